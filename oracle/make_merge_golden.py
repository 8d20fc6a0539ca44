"""What peft's add_weighted_adapter makes of two LoRA adapters, on a tiny model of make_goldens.py.

Run: python make_merge_golden.py GOLDEN_DIR        (GOLDEN_DIR holds llama/ and adapters/rslora/; needs torch, transformers, peft)
Writes GOLDEN_DIR/adapters/merged.safetensors: ties.<tensor> of combination_type ties (density 0.3, weights 1 and 0.7) by the names in an adapter's folder, and of three
modules cat.<module>: the whole update scale * B A of combination_type cat, which is the weighted sum.
"""
import os, sys
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from peft import PeftModel

ROOT = sys.argv[1]
base = AutoModelForCausalLM.from_pretrained(os.path.join(ROOT, "llama", "model"), dtype=torch.float32)
model = PeftModel.from_pretrained(base, os.path.join(ROOT, "llama", "adapter"), adapter_name="first")
model.load_adapter(os.path.join(ROOT, "adapters", "rslora", "adapter"), adapter_name="second")
weights = [1.0, 0.7]
model.add_weighted_adapter(["first", "second"], weights, "ties", combination_type="ties", density=0.3)
model.add_weighted_adapter(["first", "second"], weights, "cat", combination_type="cat")
out = {}
for name, tensor in model.state_dict().items():
    for part in ("lora_A", "lora_B"):
        if f".{part}.ties.weight" in name:
            out["ties." + name.replace(".ties.", ".")] = tensor.clone()
for name, module in model.named_modules():
    if not hasattr(module, "lora_A") or not name.endswith(("layers.0.self_attn.q_proj", "layers.1.mlp.down_proj", "layers.1.self_attn.v_proj")):
        continue
    assert module.scaling["ties"] == 1.0, module.scaling
    out["cat." + name] = module.get_delta_weight("cat").clone()
    both = sum(w * module.get_delta_weight(one) for w, one in zip(weights, ["first", "second"]))
    assert torch.allclose(out["cat." + name], both, atol=1e-6)
save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(ROOT, "adapters", "merged.safetensors"))
print(len(out), "tensors", sum(v.numel() for v in out.values()))
