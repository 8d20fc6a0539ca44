"""Scores rows of JSONL by lm-evaluation-harness with local YAML tasks: python score.py MODEL.gguf FOLDER OUT.json

FOLDER holds NAME.jsonl for each task; OUT.json gets, for each, the log-likelihood of every choice in nats, whether what follows is the greedy one, and
the bits per byte of pages. Needs lm_eval, transformers, torch and gguf.
"""
import json, os, sys
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

model_file, folder, out = sys.argv[1:4]
torch.set_num_threads(int(os.environ.get('THREADS', '2')))

UTILS = '''
import re
from lm_eval.tasks.hellaswag.utils import preprocess
from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer
def bits(doc, results): return {"bits_per_byte": (results[0], len(doc["page"].encode("utf-8")))}
def wiki(doc): return preprocess(doc["question"])
def endings(doc): return [preprocess(one) for one in doc["choices"].values()]
def gold(doc): return list(doc["choices"]).index(doc["answer"])
def before(doc):
    at = doc["sentence"].index("_")
    return [doc["sentence"][:at] + doc[key] for key in ("option1", "option2")]
def which(doc): return int(doc["answer"]) - 1
def after(doc): return doc["sentence"][doc["sentence"].index("_") + 1:].strip()
'''
CHOICE = 'output_type: multiple_choice\nmetric_list:\n  - metric: acc\n  - metric: acc_norm\n'
TASKS = {
    'lambada': 'output_type: loglikelihood\ndoc_to_text: "{{context}}"\ndoc_to_target: "{{\' \' + continuation}}"\nmetric_list:\n  - metric: acc\n  - metric: perplexity\n',
    'hellaswag': CHOICE + 'doc_to_text: !function utils.wiki\ndoc_to_choice: !function utils.endings\ndoc_to_target: !function utils.gold\n',
    'arc': CHOICE + 'doc_to_text: "{{query}}\\nAnswer:"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: gold\n',
    'piqa': CHOICE + 'doc_to_text: "{{query}}Answer:"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: gold\n',
    'blimp': CHOICE + 'doc_to_text: ""\ndoc_to_choice: "{{[good, bad]}}"\ndoc_to_target: 0\n',
    'winogrande': CHOICE + 'doc_to_text: !function utils.which\ndoc_to_choice: !function utils.before\ndoc_to_target: !function utils.after\n',
    'wikitext': 'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: !function utils.wikitext_detokenizer\nprocess_results: !function utils.bits\nmetric_list:\n  - metric: bits_per_byte\n    aggregation: bits_per_byte\n    higher_is_better: false\n',
}
names = [name for name in TASKS if os.path.exists(f'{folder}/{name}.jsonl')]
open(f'{folder}/utils.py', 'w').write(UTILS)
for name in names:
    source = f'dataset_path: json\ndataset_kwargs:\n  data_files:\n    validation: {folder}/{name}.jsonl\nvalidation_split: validation\n'
    open(f'{folder}/{name}.yaml', 'w').write(f'task: ours_{name}\n{source}{TASKS[name]}metadata:\n  version: 1.0\n')

place, file = os.path.split(model_file)
tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=file)
model = AutoModelForCausalLM.from_pretrained(place, gguf_file=file, dtype=torch.float32)
lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8, max_length=2047)
found = simple_evaluate(
    model=lm,
    tasks=[f'ours_{name}' for name in names],
    task_manager=TaskManager(include_path=folder, include_defaults=False),
    log_samples=True,
    bootstrap_iters=0,
)
result = {}
for name in names:
    samples = sorted(found['samples'][f'ours_{name}'], key=lambda one: one['doc_id'])
    if name == 'wikitext':
        result[name] = {'bitsPerByte': found['results'][f'ours_{name}']['bits_per_byte,none']}
    elif name == 'lambada':
        result[name] = {'items': [{'scores': [one['filtered_resps'][0][0]], 'value': int(one['filtered_resps'][0][1])} for one in samples]}
    else:
        key = 'acc_norm' if name == 'hellaswag' else 'acc'
        result[name] = {'items': [{'scores': [resp[0] for resp in one['filtered_resps']], 'value': one[key]} for one in samples]}
json.dump(result, open(out, 'w'))
