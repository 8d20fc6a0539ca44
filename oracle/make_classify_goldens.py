"""Make reference values for classifiers from transformers (sequence classification) and peft.

Run: python make_classify_goldens.py BASE_DIR OUT_DIR
BASE_DIR is a tiny Llama of make_goldens.py (test/golden/llama/model). Needs: torch, transformers, peft, safetensors.

OUT_DIR/<single|weighted|multi>/ :
  adapter/            a PEFT adapter (task_type SEQ_CLS) on all linear layers with its head `score`, B not zero
  golden.safetensors  logits f32 [R, K]; grad.<tensor>: d(loss)/d(tensor), named as in adapter_model.safetensors;
                      trained.<tensor>: after three steps of AdamW
OUT_DIR/golden.json   the rows (ids and classes), and of each case the loss, the losses and the gradient norms of the steps
The loss is the mean over rows of the cross entropy (single), of that times the weight of the row's class (weighted), or of the mean over
classes of the binary cross entropies (multi).
"""
import json, os, sys
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

BASE, OUT = sys.argv[1:3]
K = 3
OPT = dict(lr=1e-2, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, max_grad_norm=1.0)
WEIGHTS = [0.5, 2.0, 0.75]
CASES = {"single": [[0], [2], [1], [2], [0]], "weighted": [[0], [2], [1], [2], [0]], "multi": [[0, 2], [], [1], [0, 1, 2], [2]]}


def rows():
    gen = torch.Generator().manual_seed(11)
    return [torch.randint(3, 256, (n,), generator=gen).tolist() for n in (5, 17, 9, 1, 12)]


def padded(ids):
    width = max(map(len, ids))
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    return dict(input_ids=tokens, attention_mask=mask)


def make_model(kind):
    torch.manual_seed(3)
    problem = "multi_label_classification" if kind == "multi" else "single_label_classification"
    model = AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=K, problem_type=problem, dtype=torch.float32)
    model.config.pad_token_id = 0
    lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="SEQ_CLS", modules_to_save=["score"])
    model = get_peft_model(model, lora)
    gen = torch.Generator().manual_seed(5)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            p.data = torch.randn(p.shape, generator=gen) * 0.05
    return model


def loss_of(model, kind, batch, classes):
    target = torch.zeros(len(classes), K)
    for row, own in enumerate(classes):
        target[row, own] = 1
    if kind == "multi":
        return model(**batch, labels=target).loss
    labels = torch.tensor([own[0] for own in classes])
    out = model(**batch, labels=labels)
    if kind == "single":
        return out.loss
    weighted = torch.nn.functional.cross_entropy(out.logits, labels, weight=torch.tensor(WEIGHTS), reduction="sum")
    return weighted / len(classes)


def named(model):
    for name, p in model.named_parameters():
        if p.requires_grad:
            yield name.replace(".default", "").replace(".modules_to_save", ""), p


def case(kind, classes, ids):
    model, batch, folder = make_model(kind), padded(ids), f"{OUT}/{kind}"
    model.eval()  # No dropout; gradients flow all the same.
    model.save_pretrained(f"{folder}/adapter", save_embedding_layers=False)
    saved = load_file(f"{folder}/adapter/adapter_model.safetensors")
    assert set(saved) == {name for name, _ in named(model)}, set(saved) ^ {name for name, _ in named(model)}
    tensors = {"logits": model(**batch).logits.detach()}
    loss_of(model, kind, batch, classes).backward()
    tensors |= {f"grad.{name}": p.grad.clone() for name, p in named(model)}
    optimizer = torch.optim.AdamW([p for _, p in named(model)], lr=OPT["lr"], betas=OPT["betas"], eps=OPT["eps"], weight_decay=0.0)
    losses, norms = [], []
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_of(model, kind, batch, classes)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_([p for _, p in named(model)], OPT["max_grad_norm"]).item())
        optimizer.step()
        losses.append(loss.item())
    tensors |= {f"trained.{name}": p.detach().clone() for name, p in named(model)}
    save_file({k: v.contiguous() for k, v in tensors.items()}, f"{folder}/golden.safetensors")
    for name in ("README.md",):
        if os.path.exists(f"{folder}/adapter/{name}"):
            os.remove(f"{folder}/adapter/{name}")
    config = json.load(open(f"{folder}/adapter/adapter_config.json"))
    config["base_model_name_or_path"] = None
    json.dump(config, open(f"{folder}/adapter/adapter_config.json", "w"), indent=2)
    return dict(classes=classes, losses=losses, grad_norms=norms, weights=WEIGHTS if kind == "weighted" else None)


ids = rows()
golden = dict(ids=ids, optimizer=OPT, cases={kind: case(kind, classes, ids) for kind, classes in CASES.items()})
json.dump(golden, open(f"{OUT}/golden.json", "w"), indent=1)
