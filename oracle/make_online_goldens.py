"""Make reference values for methods that train on drawn answers, from TRL's own functions on fixed rollouts.

Run: python make_online_goldens.py OUT_DIR
Needs: torch, transformers, peft, trl 1.16.0, datasets (all from PyPI).

Writes OUT_DIR/online.json:
  group       answers to each prompt; max_tokens the longest answer
  rewards     of all answers, group after group; one group is constant
  advantages  {"grpo-group" | "grpo-batch" | "grpo-none" | "rloo-none" | "rloo-batch": [...]}: the very lines of TRL's trainers, cut out of their source
  answers     for each answer its tokens' log-probabilities in nats: now, old (under the model that drew it), ref (under the reference), and its advantage
  losses      {name: {config, loss, slopes: [[d loss / d logp of each token]], metrics}}: GRPOTrainer._compute_loss and RLOOTrainer._compute_loss in float64, whose
              log-probabilities come from `answers`
"""
import inspect, json, os, sys, textwrap
from collections import defaultdict
from types import SimpleNamespace
import torch
from trl import GRPOTrainer, RLOOTrainer
from trl.trainer.utils import nanstd

OUT = sys.argv[1]
gen = torch.Generator().manual_seed(11)
GROUP, MAX = 4, 9
rewards = torch.rand(12, generator=gen, dtype=torch.float64)
rewards[4:8] = 0.5


def cut(cls, first, last):
    lines = inspect.getsource(cls._generate_and_score_completions).split("\n")
    start = next(i for i, line in enumerate(lines) if first in line)
    end = next(i for i, line in enumerate(lines) if i > start and last in line)
    return textwrap.dedent("\n".join(lines[start:end + 1]))


def grpo_advantages(scale):
    code = cut(GRPOTrainer, 'if self.multi_objective_aggregation == "sum_then_normalize":', "advantages = torch.nan_to_num(advantages, nan=0.0)")
    me = SimpleNamespace(multi_objective_aggregation="sum_then_normalize", scale_rewards=scale, reward_weights=torch.ones(1, dtype=torch.float64))
    names = dict(self=me, rewards_per_func=rewards[:, None], num_generations=GROUP, device="cpu", torch=torch, nanstd=nanstd, unscorable_mask=torch.zeros(12, dtype=torch.bool))
    exec(code, names)
    return names["advantages"].tolist()


def rloo_advantages(normalise):
    code = cut(RLOOTrainer, "grouped_rewards = rewards.view(-1, num_generations)", "advantages = torch.nan_to_num(advantages, nan=0.0)")
    names = dict(self=SimpleNamespace(normalize_advantages=normalise), rewards=rewards, num_generations=GROUP, torch=torch, nanstd=nanstd)
    exec(code, names)
    return names["advantages"].tolist()


advantages = {f"grpo-{scale}": grpo_advantages(scale) for scale in ("group", "batch", "none")}
advantages |= {"rloo-none": rloo_advantages(False), "rloo-batch": rloo_advantages(True)}

lengths = torch.randint(1, MAX + 1, (12,), generator=gen).tolist()
draw = lambda n: -3 * torch.rand(n, generator=gen, dtype=torch.float64)
answers = []
for n, advantage in zip(lengths, advantages["grpo-group"]):
    old = draw(n)
    answers.append(dict(now=old + 0.5 * torch.randn(n, generator=gen, dtype=torch.float64), old=old, ref=old + 0.3 * torch.randn(n, generator=gen, dtype=torch.float64), advantage=advantage))
pad = lambda key: torch.stack([torch.nn.functional.pad(a[key], (0, MAX - len(a[key])), value=-1.0) for a in answers])
mask = torch.stack([torch.cat([torch.ones(n), torch.zeros(MAX - n)]) for n in lengths]).double()


def run(cls, name, **config):
    me = cls.__new__(cls)
    now = pad("now").requires_grad_()
    me.model = SimpleNamespace(training=True)
    me.accelerator = SimpleNamespace(reduce=lambda x, reduction: x, gather=lambda x: x, gather_for_metrics=lambda x: x, num_processes=1)
    me._metrics = {"train": defaultdict(list)}
    beta = config.get("beta", 0.0)
    me.args = SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1)
    values = dict(beta=beta, loss_type=config.get("loss", "grpo"), importance_sampling_level=config.get("importance", "token"), epsilon_low=config["epsilon"],
                  epsilon_high=config.get("epsilonHigh", config["epsilon"]), aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None, use_vllm=False,
                  max_completion_length=MAX, current_gradient_accumulation_steps=1, _entropy_bonus_enabled=False, use_adaptive_entropy=False, entropy_coef=0.0)
    for key, value in values.items():
        setattr(me, key, value)
    me._get_per_token_logps_and_entropies = lambda *a, **k: (now, torch.zeros_like(now), None)
    inputs = dict(prompt_ids=torch.ones(12, 1), prompt_mask=torch.ones(12, 1), completion_ids=torch.ones(12, MAX), completion_mask=mask, advantages=torch.tensor([a["advantage"] for a in answers], dtype=torch.float64),
                  old_per_token_logps=pad("old"), ref_per_token_logps=pad("ref"), old_logps=(pad("old") * mask).sum(1), num_items_in_batch=mask.sum())
    loss = cls._compute_loss(me, me.model, inputs)
    loss.backward()
    slopes = [now.grad[i, :n].tolist() for i, n in enumerate(lengths)]
    metrics = {k: v[0] for k, v in me._metrics["train"].items() if k in ("kl", "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean")}
    return name, dict(config=config, loss=loss.item(), slopes=slopes, metrics=metrics)


losses = [run(GRPOTrainer, f"grpo-{kind}", loss=kind, epsilon=0.2) for kind in ("grpo", "bnpo", "dr_grpo", "dapo")]
losses += [
    run(GRPOTrainer, "grpo-high", loss="grpo", epsilon=0.2, epsilonHigh=0.28),
    run(GRPOTrainer, "grpo-kl", loss="dapo", epsilon=0.2, beta=0.04),
    run(GRPOTrainer, "grpo-kl-mean", loss="grpo", epsilon=0.2, beta=0.04),
    run(GRPOTrainer, "grpo-cispo", loss="cispo", epsilon=0.2, epsilonHigh=1.5),
    run(GRPOTrainer, "grpo-sequence", loss="grpo", epsilon=0.1, epsilonHigh=0.15, importance="sequence"),
    run(GRPOTrainer, "grpo-sequence-dapo", loss="dapo", epsilon=0.1, beta=0.02, importance="sequence"),
    run(RLOOTrainer, "rloo", epsilon=0.2),
    run(RLOOTrainer, "rloo-high", epsilon=0.2, epsilonHigh=0.6),
]
listed = [{key: value.tolist() if hasattr(value, "tolist") else value for key, value in a.items()} for a in answers]
json.dump(dict(group=GROUP, max_tokens=MAX, rewards=rewards.tolist(), advantages=advantages, answers=listed, losses=dict(losses)), open(os.path.join(OUT, "online.json"), "w"), indent=1)
for name, value in losses:
    print(name, value["loss"], value["metrics"])
