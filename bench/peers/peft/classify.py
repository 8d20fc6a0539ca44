"""The peer's side of `npm run bench -- classify`: sequence classification in transformers + peft on the same token ids, steps and rates.

Run: python classify.py GGUF WORKLOAD.json THREADS
Prints one JSON line: {"predicted": [class of each test row], "trainSeconds": s, "testSeconds": s, "peakBytes": n, "losses": [...]}
"""
import json, os, resource, sys, time
import torch
from transformers import AutoModelForSequenceClassification
from peft import LoraConfig, get_peft_model

gguf, work, threads = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)
folder, file = os.path.split(os.path.abspath(gguf))
model = AutoModelForSequenceClassification.from_pretrained(
    folder, gguf_file=file, dtype=torch.float32, num_labels=len(work["labels"]))
PAD = 0  # <|endoftext|>, which no row holds.
model.config.pad_token_id = PAD
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="SEQ_CLS"))
params = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(params, lr=1e-3, weight_decay=0.0)


def batch(rows):
    longest = max(len(r["ids"]) for r in rows)
    pad = lambda values, fill: values + [fill] * (longest - len(values))
    return dict(input_ids=torch.tensor([pad(r["ids"], PAD) for r in rows]),
                attention_mask=torch.tensor([pad([1] * len(r["ids"]), 0) for r in rows]))


losses, start = [], time.perf_counter()
for rows, rate in zip(work["steps"], work["rates"]):
    rows = [work["train"][i] for i in rows]
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = model(**batch(rows), labels=torch.tensor([r["class"] for r in rows])).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
trained = time.perf_counter()
model.eval()
test, predicted = work["test"], [0] * len(work["test"])
order = sorted(range(len(test)), key=lambda i: len(test[i]["ids"]))
with torch.no_grad():
    for at in range(0, len(order), 32):
        some = order[at:at + 32]
        for i, k in zip(some, model(**batch([test[i] for i in some])).logits.argmax(-1).tolist()):
            predicted[i] = k
tested = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(dict(predicted=predicted, trainSeconds=trained - start, testSeconds=tested - trained, peakBytes=peak, losses=losses)))
