"""The peer's side of `npm run bench -- forgetting`: plain LoRA by transformers + peft on the same token ids, steps and rates.

Run: python forgetting.py GGUF WORKLOAD.json THREADS
WORKLOAD: {"train": [{"ids", "labels"}, ...], "steps": [[row, ...], ...], "rates": [...], "seed": n, "task": [...], "text": [...]}
Prints one JSON line: {"task": nats per token after training, "text": nats per token after training}
"""
import json, os, sys
import torch
from transformers import AutoModelForCausalLM
from peft import LoraConfig, get_peft_model

gguf, work, threads = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(work["seed"])
folder, file = os.path.split(os.path.abspath(gguf))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
params = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(params, lr=1.0, weight_decay=0.0)


def summed(row):
    ids = torch.tensor([row["ids"]])
    logits = model(input_ids=ids).logits[0, :-1]
    targets = torch.tensor(row["labels"])[1:]
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")
    return loss, int((targets != -100).sum())


def mean(rows):
    with torch.no_grad():
        parts = [summed(row) for row in rows]
    return sum(loss.item() for loss, _ in parts) / sum(n for _, n in parts)


for rows, rate in zip(work["steps"], work["rates"]):
    batch = [work["train"][i] for i in rows]
    tokens = sum(sum(label != -100 for label in row["labels"][1:]) for row in batch)
    for row in batch:
        (summed(row)[0] / tokens).backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
print(json.dumps({"task": mean(work["task"]), "text": mean(work["text"])}))
