"""The peer's side of `npm run bench -- train`: transformers + peft on the same token ids.

Run: python train.py GGUF WORKLOAD.json float32|bfloat16 THREADS
WORKLOAD: {"batches": [[{"ids": [...], "labels": [...]}, ...], ...]}. One optimiser step a batch, padded to its longest row.
Prints one JSON line: {"tokensPerSecond": real tokens over the time of all steps but the first, "peakBytes": n, "losses": [...]}
"""
import json, os, resource, sys, time
import torch
from transformers import AutoModelForCausalLM
from peft import LoraConfig, get_peft_model

gguf, workload, dtype, threads = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3], int(sys.argv[4])
torch.set_num_threads(threads)
torch.manual_seed(0)
folder, file = os.path.split(os.path.abspath(gguf))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=getattr(torch, dtype))
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
params = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(params, lr=1e-3, weight_decay=0.0)
losses, seconds, tokens = [], 0.0, 0
for step, rows in enumerate(workload["batches"]):
    longest = max(len(r["ids"]) for r in rows)
    pad = lambda values, fill: values + [fill] * (longest - len(values))
    ids = torch.tensor([pad(r["ids"], 0) for r in rows])
    labels = torch.tensor([pad(r["labels"], -100) for r in rows])
    mask = torch.tensor([pad([1] * len(r["ids"]), 0) for r in rows])
    start = time.perf_counter()
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
    if step > 0:
        seconds += time.perf_counter() - start
        tokens += sum(len(r["ids"]) for r in rows)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"tokensPerSecond": tokens / seconds, "peakBytes": peak, "losses": losses}))
