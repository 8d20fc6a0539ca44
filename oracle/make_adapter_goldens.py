"""Reference values of adapter methods from peft, on the tiny models of make_goldens.py.

Run: python make_adapter_goldens.py GOLDEN_DIR [CASE ...]       (GOLDEN_DIR holds llama/ and llama-tied-rope3/; needs torch, transformers, peft)
Writes GOLDEN_DIR/adapters/<case>/:
  adapter/             the PEFT folder to start from, its tensors drawn at random (of pissa and olora: peft's own start, converted to plain LoRA by peft after
                       the steps, so that it goes with the unchanged base)
  golden.safetensors   grad.<tensor> of the mean loss, by the names in the adapter's folder; of pissa and olora start.<module>: scale * B A at the start
  golden.json          base, loss before the steps, losses and gradient norms of AdamW, `after`: the loss behind them
full-frozen has no adapter: the last layer and the final norm train.
"""
import json, os, sys
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from peft import IA3Config, LoraConfig, VeraConfig, get_peft_model

ROOT = sys.argv[1]
STEPS, LR = 3, 1e-2
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Tokens whose rows train: some stand in the batches, as targets and before them, and one does not.
ROWS = [101, 233, 106, 60, 13]
LM = dict(task_type="CAUSAL_LM")
CASES = {
    "rslora": ("llama", LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=LINEAR, **LM)),
    "patterns": ("llama", LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], layers_to_transform=[1],
                                     rank_pattern={"down_proj": 2, "self_attn.v_proj": 3}, alpha_pattern={".*_proj": 6, "q_proj": 16}, **LM)),
    "dora": ("llama", LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=LINEAR, **LM)),
    "saved": ("llama", LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"],
                                  modules_to_save=["embed_tokens", "lm_head", "norm"], **LM)),
    "saved-tied": ("llama-tied-rope3", LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["embed_tokens"],
                                                  ensure_weight_tying=True, **LM)),
    "saved-untied": ("llama-tied-rope3", LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["embed_tokens"], **LM)),
    "rows": ("llama", LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"],
                                 trainable_token_indices={"embed_tokens": ROWS, "lm_head": ROWS}, **LM)),
    "rows-tied": ("llama-tied-rope3", LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], trainable_token_indices=ROWS, **LM)),
    "vera": ("llama", VeraConfig(r=8, target_modules=LINEAR, **LM)),
    "ia3": ("llama", IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], **LM)),
    "pissa": ("llama", LoraConfig(r=4, lora_alpha=8, init_lora_weights="pissa", target_modules=LINEAR, **LM)),
    "olora": ("llama", LoraConfig(r=4, lora_alpha=8, init_lora_weights="olora", target_modules=LINEAR, **LM)),
}


def steps(model, params, batch):
    opt = torch.optim.AdamW(params, lr=LR, weight_decay=0.0)
    losses, norms = [], []
    for _ in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(params, 1.0).item())
        losses.append(loss.item())
        opt.step()
        opt.zero_grad()
    return dict(lr=LR, losses=losses, grad_norms=norms, after=model(**batch).loss.item())


def open_base(base):
    torch.manual_seed(0)
    golden = load_file(f"{ROOT}/{base}/golden.safetensors")
    batch = {k: golden[k] for k in ("input_ids", "attention_mask", "labels")}
    model = AutoModelForCausalLM.from_pretrained(f"{ROOT}/{base}/model", dtype=torch.float32, attn_implementation="eager").eval()
    return model, batch


def one(case, base, config):
    model, batch = open_base(base)
    starts = getattr(config, "init_lora_weights", True)
    d = f"{ROOT}/adapters/{case}"
    os.makedirs(d, exist_ok=True)
    peft = get_peft_model(model, config).eval()
    params = {n: p for n, p in peft.named_parameters() if p.requires_grad}
    g = {}
    if starts in ("pissa", "olora"):
        for n, m in peft.named_modules():
            if hasattr(m, "lora_A") and "default" in m.lora_A:
                name = n.replace("base_model.model.", "")
                g[f"start.{name}"] = (m.scaling["default"] * m.lora_B["default"].weight @ m.lora_A["default"].weight).detach().clone()
        peft.peft_config["default"].init_lora_weights = True
        peft.save_pretrained(f"{d}/start")
        peft.peft_config["default"].init_lora_weights = starts
    else:
        gen = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for n, p in params.items():
                if "modules_to_save" in n or "trainable_tokens" in n:
                    p.add_(torch.randn(p.shape, generator=gen) * 0.02)
                elif "magnitude" in n or "ia3" in n:
                    p.mul_(1 + 0.1 * torch.randn(p.shape, generator=gen))
                else:
                    p.copy_(torch.randn(p.shape, generator=gen) * 0.1)
        peft.save_pretrained(f"{d}/adapter")
        saved = load_file(f"{d}/adapter/adapter_model.safetensors")
    meta = dict(base=base, loss=peft(**batch).loss.item())
    peft(**batch).loss.backward()
    if starts not in ("pissa", "olora"):
        for n, p in params.items():
            name = n.replace(".default", "").replace("modules_to_save.", "").replace("magnitude_vector.weight", "magnitude_vector")
            assert name in saved, (name, list(saved))
            g[f"grad.{name}"] = p.grad.clone()
        print(case, "untrained in folder:", [n for n in saved if f"grad.{n}" not in g])
    peft.zero_grad()
    meta.update(steps(peft, list(params.values()), batch))
    if starts in ("pissa", "olora"):
        peft.save_pretrained(f"{d}/adapter", path_initial_model_for_weight_conversion=f"{d}/start")
        import shutil
        shutil.rmtree(f"{d}/start")
    finish(d, g, meta)


def full_frozen():
    model, batch = open_base("llama")
    params = []
    for n, p in model.named_parameters():
        p.requires_grad_(".layers.1." in n or n == "model.norm.weight")
        params += [p] if p.requires_grad else []
    d = f"{ROOT}/adapters/full-frozen"
    os.makedirs(d, exist_ok=True)
    meta = dict(base="llama", loss=model(**batch).loss.item())
    meta.update(steps(model, params, batch))
    finish(d, {}, meta)


def finish(d, g, meta):
    if g:
        save_file({k: v.contiguous() for k, v in g.items()}, f"{d}/golden.safetensors")
    json.dump(meta, open(f"{d}/golden.json", "w"), indent=1)
    for name in ("README.md",):
        if os.path.exists(f"{d}/adapter/{name}"):
            os.remove(f"{d}/adapter/{name}")
    config = f"{d}/adapter/adapter_config.json"
    if os.path.exists(config):
        c = json.load(open(config))
        c["base_model_name_or_path"] = None
        json.dump(c, open(config, "w"), indent=2, sort_keys=True)
    print(d, meta["loss"], meta["losses"], meta["after"])


if __name__ == "__main__":
    for case, (base, config) in CASES.items():
        if len(sys.argv) > 2 and case not in sys.argv[2:]:
            continue
        one(case, base, config)
    if len(sys.argv) == 2:
        full_frozen()
