"""The peer's side of `npm run bench -- dpo`: TRL's DPOTrainer with peft on the same token ids, in the same order.

Run: python dpo.py GGUF WORKLOAD.json THREADS
WORKLOAD: {"train": [{"prompt_ids", "chosen_ids", "rejected_ids"}], "held": [...], "batch": n, "beta": x, "rate": x}. One pass over train.
Prints one JSON line: {"seconds": of train(), the reference's share included, "tokens": real ones, "peakBytes": n, "losses": [...], "margins": [...] of held}
"""
import json, os, resource, sys, tempfile, time
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

gguf, workload, threads = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)
folder, file = os.path.split(os.path.abspath(gguf))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
model.is_quantized = False  # its weights were widened when they were read
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token


class Trainer(DPOTrainer):
    def _prepare_dataset(self, dataset, *args, **kwargs):  # the rows are ids already
        return dataset

    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)


batch, rows = workload["batch"], workload["train"]
config = DPOConfig(
    output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, num_train_epochs=1, learning_rate=workload["rate"], beta=workload["beta"],
    lr_scheduler_type="constant", logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False,
    seed=0, max_grad_norm=1.0, weight_decay=0.0, disable_tqdm=True, optim="adamw_torch", max_length=None)
adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
trainer = Trainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=adapter)
start = time.perf_counter()
trainer.train()
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
tokens = sum(len(r["prompt_ids"]) * 2 + len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in rows)

net = trainer.model.eval()


def logp(prompt, answer):
    ids = torch.tensor([prompt + answer])
    logits = net(ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(answer)[:, None]).sum().item()


margins = []
with torch.no_grad():
    for r in workload["held"]:
        gap = lambda: logp(r["prompt_ids"], r["chosen_ids"]) - logp(r["prompt_ids"], r["rejected_ids"])
        now = gap()
        with net.disable_adapter():
            margins.append(now - gap())
print(json.dumps({"seconds": seconds, "tokens": tokens, "peakBytes": peak, "losses": losses, "margins": margins}))
