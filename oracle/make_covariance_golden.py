"""Reference values of shrunken covariances from scikit-learn.

Run: python make_covariance_golden.py OUT.json       (needs scikit-learn)
Writes {"rows": [[...]], "covariance": [[...]]}: Ledoit and Wolf's estimate for rows that are centred already.
"""
import json, sys
import numpy as np
from sklearn.covariance import LedoitWolf

rng = np.random.default_rng(0)
rows = np.round(rng.normal(size=(12, 5)) @ rng.normal(size=(5, 5)), 3)
covariance = LedoitWolf(assume_centered=True).fit(rows).covariance_
json.dump(dict(rows=rows.tolist(), covariance=covariance.tolist()), open(sys.argv[1], "w"), indent=1)
