"""Writes test/golden/statistics.json: exact binomial tests, normal quantiles and Holm's correction by their definitions in exact or high precision."""
import json
from fractions import Fraction
from math import comb
from pathlib import Path
from statistics import NormalDist

pairs = [(0, 0), (1, 0), (5, 1), (12, 30), (7, 7), (40, 61), (700, 800)]


def mcnemar(b, c):
    n, k = b + c, min(b, c)
    return float(min(Fraction(1), 2 * Fraction(sum(comb(n, i) for i in range(k + 1)), 2**n)))


shares = [0.001, 0.025, 0.2, 0.5, 0.8, 0.95, 0.975, 0.995, 0.9999]
p = [0.01, 0.04, 0.03, 0.005, 0.5]
order = sorted(range(len(p)), key=lambda i: p[i])
corrected, most = [0.0] * len(p), 0.0
for rank, i in enumerate(order):
    most = max(most, min(1.0, (len(p) - rank) * p[i]))
    corrected[i] = most
out = {
    "mcnemar": [{"gained": b, "lost": c, "p": mcnemar(b, c)} for b, c in pairs],
    "quantiles": [{"share": s, "x": NormalDist().inv_cdf(s)} for s in shares],
    "holm": {"p": p, "corrected": corrected},
}
path = Path(__file__).parent.parent / "test/golden/statistics.json"
path.write_text(json.dumps(out, indent=2) + "\n")
