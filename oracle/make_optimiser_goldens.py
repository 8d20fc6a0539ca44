"""Make reference values for optimisers and learning-rate schedules from torch.optim and transformers.

Run: python make_optimiser_goldens.py OUT_DIR
Needs: torch, transformers (from PyPI, CPU is enough).

Writes
  OUT_DIR/optimisers.json   parameters {"matrix": [6, 10], "vector": [8]} before, their gradients at each of the 6 steps, and for each case the
                            optimiser, its options and the parameters after the first and after the last step
  OUT_DIR/schedules.json    for each case the schedule, its options, and the share of the peak rate at each value of transformers' counter
"""
import json, sys
from pathlib import Path
import torch
from transformers import get_scheduler
from transformers.optimization import Adafactor

OUT, STEPS, LR = Path(sys.argv[1]), 6, 0.05
gen = torch.Generator().manual_seed(0)
SHAPES = {"matrix": (6, 10), "vector": (8,)}
START = {k: torch.randn(s, generator=gen) for k, s in SHAPES.items()}
# Columns of very different sizes, so that an optimiser that mixes them up shows.
GRADS = [{k: torch.randn(s, generator=gen) * torch.logspace(-3, 0, s[-1]) for k, s in SHAPES.items()} for _ in range(STEPS)]
numbers = lambda t: [float(f"{x:.9g}") for x in t.flatten().tolist()]

CASES = {
    "adamw": ("adamw", dict(beta1=0.9, beta2=0.999, eps=1e-8), 0.1,
              lambda p: torch.optim.AdamW(p, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)),
    "sgd": ("sgd", dict(momentum=0, nesterov=False), 0, lambda p: torch.optim.SGD(p, lr=LR)),
    "sgd with momentum and weight decay": ("sgd", dict(momentum=0.9, nesterov=False), 0.1,
              lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9, weight_decay=0.1)),
    "sgd with Nesterov's momentum": ("sgd", dict(momentum=0.8, nesterov=True), 0,
              lambda p: torch.optim.SGD(p, lr=LR, momentum=0.8, nesterov=True)),
    # torch takes the smaller of lr and 1 / sqrt(step) for a rate; lr is the smaller here.
    "adafactor of torch": ("adafactor", dict(parameterScale=True), 0.1,
              lambda p: torch.optim.Adafactor(p, lr=LR, eps=(1e-30, 1e-3), weight_decay=0.1)),
    "adafactor of transformers": ("adafactor", dict(parameterScale=False), 0.1,
              lambda p: Adafactor(p, lr=LR, scale_parameter=False, relative_step=False, weight_decay=0.1)),
    "adafactor of transformers, scaled": ("adafactor", dict(parameterScale=True), 0,
              lambda p: Adafactor(p, lr=LR, scale_parameter=True, relative_step=False)),
}


def run(make):
    params = {k: torch.nn.Parameter(v.clone()) for k, v in START.items()}
    optimiser = make(list(params.values()))
    after = []
    for grads in GRADS:
        for k, p in params.items():
            p.grad = grads[k].clone()
        optimiser.step()
        after.append({k: numbers(p.detach()) for k, p in params.items()})
    return after[0], after[-1]


def case(name):
    optimizer, options, decay, make = CASES[name]
    first, last = run(make)
    return dict(name=name, optimizer=optimizer, options=options, weightDecay=decay, first=first, last=last)


def schedule(kind, theirs, warmup, total, floor=None, decay=None):
    extra = {}
    if theirs == "cosine_with_min_lr":
        extra = dict(min_lr_rate=floor)
    if theirs == "warmup_stable_decay":
        extra = dict(num_decay_steps=decay, decay_type="1-sqrt", min_lr_ratio=floor or 0)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(theirs, optimiser, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=extra)
    rates = []
    for _ in range(total):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return dict(schedule=kind, theirs=theirs, warmupSteps=warmup, totalSteps=total, floor=floor or 0, decaySteps=decay or 0, rates=rates)


SCHEDULES = [
    schedule("constant", "constant_with_warmup", 3, 12),
    schedule("linear", "linear", 0, 9),
    schedule("linear", "linear", 4, 17),
    schedule("cosine", "cosine", 0, 9),
    schedule("cosine", "cosine", 3, 20),
    schedule("cosine", "cosine_with_min_lr", 3, 20, floor=0.1),
    schedule("wsd", "warmup_stable_decay", 3, 20, decay=5),
    schedule("wsd", "warmup_stable_decay", 0, 20, decay=20),
    schedule("wsd", "warmup_stable_decay", 2, 16, floor=0.25, decay=6),
    schedule("inverse-sqrt", "inverse_sqrt", 4, 20),
    schedule("inverse-sqrt", "inverse_sqrt", 0, 20),
]
json_of = lambda value: json.dumps(value) + "\n"
OUT.mkdir(parents=True, exist_ok=True)
golden = dict(lr=LR, shapes=SHAPES, start={k: numbers(v) for k, v in START.items()},
              grads=[{k: numbers(v) for k, v in g.items()} for g in GRADS], cases=[case(name) for name in CASES])
(OUT / "optimisers.json").write_text(json_of(golden))
(OUT / "schedules.json").write_text(json_of(SCHEDULES))
