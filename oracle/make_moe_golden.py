"""Make reference values for adapters on the experts of a mixture, and for the router's auxiliary loss.

Run: python make_moe_golden.py GOLDENS      (the folder that make_goldens.py wrote; adds GOLDENS/qwen3-moe/experts/)
Needs: torch, transformers, safetensors, numpy.

transformers holds all experts of a layer in one tensor, where an adapter for each of them has no place; so W + scale * B A is put in the place of
W, and gradients flow through it to A and B. Written:
  adapter/            a PEFT folder as transformers 4 named its modules (mlp.experts.0.gate_proj), on the experts' three matrices and on q_proj
  golden.safetensors  lora_logits, grad.<tensor> of the adapter, aux_grad.<tensor> of all weights of the base with the auxiliary loss
  golden.json         lora_loss; aux: {"coefficient", "loss" (with it), "plain" (without)}; adamw: 10 steps on the adapter
"""
import json, os, sys
import torch
from safetensors.torch import load_file, save_file
from torch.func import functional_call
from transformers import AutoModelForCausalLM

ROOT = os.path.join(sys.argv[1], "qwen3-moe")
OUT = os.path.join(ROOT, "experts")
RANK, ALPHA, COEFFICIENT = 4, 8, 0.05
OPT = dict(lr=1e-2, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, max_grad_norm=1.0, steps=10)

model = AutoModelForCausalLM.from_pretrained(f"{ROOT}/model", attn_implementation="eager").float().eval()
rows = load_file(f"{ROOT}/golden.safetensors")
ids, mask, labels = rows["input_ids"], rows["attention_mask"], rows["labels"]
params = {n: p.detach().clone() for n, p in model.named_parameters()}
c = model.config
gen = torch.Generator().manual_seed(2)


def sizes():
    for layer in range(c.num_hidden_layers):
        yield layer, "self_attn.q_proj", c.num_attention_heads * c.head_dim, c.hidden_size
        for e in range(c.num_experts):
            for part, out, width in (("gate_proj", c.moe_intermediate_size, c.hidden_size), ("up_proj", c.moe_intermediate_size, c.hidden_size),
                                     ("down_proj", c.hidden_size, c.moe_intermediate_size)):
                yield layer, f"mlp.experts.{e}.{part}", out, width


adapter = {}
for layer, module, out, width in sizes():
    for part, shape in (("lora_A", (RANK, width)), ("lora_B", (out, RANK))):
        adapter[f"base_model.model.model.layers.{layer}.{module}.{part}.weight"] = (torch.randn(shape, generator=gen) * 0.1).requires_grad_()


def merged():
    def delta(layer, module):
        name = f"base_model.model.model.layers.{layer}.{module}"
        return ALPHA / RANK * adapter[f"{name}.lora_B.weight"] @ adapter[f"{name}.lora_A.weight"]

    p = dict(params)
    for layer in range(c.num_hidden_layers):
        q, stem = f"model.layers.{layer}.self_attn.q_proj.weight", f"model.layers.{layer}.mlp.experts"
        p[q] = params[q] + delta(layer, "self_attn.q_proj")
        both = [torch.cat([delta(layer, f"mlp.experts.{e}.gate_proj"), delta(layer, f"mlp.experts.{e}.up_proj")]) for e in range(c.num_experts)]
        p[f"{stem}.gate_up_proj"] = params[f"{stem}.gate_up_proj"] + torch.stack(both)
        p[f"{stem}.down_proj"] = params[f"{stem}.down_proj"] + torch.stack([delta(layer, f"mlp.experts.{e}.down_proj") for e in range(c.num_experts)])
    return p


def run(p, **more):
    return functional_call(model, p, kwargs=dict(input_ids=ids, attention_mask=mask, labels=labels, **more))


os.makedirs(f"{OUT}/adapter", exist_ok=True)
save_file({n: p.detach().clone() for n, p in adapter.items()}, f"{OUT}/adapter/adapter_model.safetensors")
json.dump(dict(peft_type="LORA", task_type="CAUSAL_LM", base_model_name_or_path=None, r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, bias="none",
               fan_in_fan_out=False, use_rslora=False, use_dora=False, modules_to_save=None, layers_to_transform=None, layers_pattern=None,
               rank_pattern={}, alpha_pattern={}, target_modules=["down_proj", "gate_proj", "q_proj", "up_proj"]),
          open(f"{OUT}/adapter/adapter_config.json", "w"), indent=1)
g = {}
out = run(merged())
out.loss.backward()
g["lora_logits"] = out.logits.detach().clone()
for n, p in adapter.items():
    g[f"grad.{n}"] = p.grad.clone()
meta = dict(lora_loss=out.loss.item())

losses, norms, leaves = [], [], list(adapter.values())
opt = torch.optim.AdamW(leaves, lr=OPT["lr"], betas=OPT["betas"], eps=OPT["eps"], weight_decay=OPT["weight_decay"])
for _ in range(OPT["steps"]):
    opt.zero_grad()
    loss = run(merged()).loss
    loss.backward()
    norms.append(torch.nn.utils.clip_grad_norm_(leaves, OPT["max_grad_norm"]).item())
    losses.append(loss.item())
    opt.step()
meta["adamw"] = dict(OPT, losses=losses, grad_norms=norms)

model.router_aux_loss_coef = COEFFICIENT
plain = run(params).loss.item()
model.zero_grad()
out = model(input_ids=ids, attention_mask=mask, labels=labels, output_router_logits=True)
out.loss.backward()
for n, p in model.named_parameters():
    g[f"aux_grad.{n}"] = p.grad.clone()
meta["aux"] = dict(coefficient=COEFFICIENT, loss=out.loss.item(), plain=plain)
save_file({k: v.contiguous() for k, v in g.items()}, f"{OUT}/golden.safetensors")
json.dump(meta, open(f"{OUT}/golden.json", "w"), indent=1)
print(meta["lora_loss"], meta["adamw"]["losses"][-1], meta["aux"])
