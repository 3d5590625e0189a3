"""Values of other libraries that calibration's tests compare with: python make_golden.py > golden.json

Needs numpy, scipy, scikit-learn (1.9.1 when last run) and xgboost (3.2.0) in an environment outside the tree.
"""
import json

import numpy as np
from scipy.optimize import minimize
from scipy.stats import beta, binom
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from xgboost import XGBClassifier

rng = np.random.default_rng(20240601)


def rounded(a, digits=12):
    return [float(f"{v:.{digits}g}") for v in np.asarray(a, dtype=float).ravel()]


n = 240
p = np.clip(rng.beta(4, 1, n), 1e-6, 1 - 1e-9)
p[10:20] = p[10]  # ties
y = (rng.random(n) < p**2.2).astype(int)
grid = np.linspace(0.0, 1.0, 41)

x = rng.normal(size=(n, 3)) * [1, 5, 0.2]
weights = rng.integers(1, 4, n).astype(float)
label = (rng.random(n) < 1 / (1 + np.exp(-(x @ [0.8, -0.2, 1.0] + 0.3)))).astype(int)

fit = LogisticRegression(C=1 / 3.0, tol=1e-12, max_iter=10000)
fit.fit(x, label, sample_weight=weights)
# XGBoost keeps 32-bit floats: its columns are compared on a grid that they hold exactly.
coarse = np.round(x * 8) / 8
trees = XGBClassifier(n_estimators=40, max_depth=3, learning_rate=0.2, reg_lambda=1.5, min_child_weight=2.0, tree_method="exact", n_jobs=1,
                      base_score=float(np.average(label, weights=weights)))
trees.fit(coarse, label, sample_weight=weights)


iso = IsotonicRegression(out_of_bounds="clip").fit(p, y)


def cll(q):
    q = np.clip(q, 1e-20, 1 - 1e-12)
    return -np.log(-np.log(q))


def platt(q):
    n1, n0 = y.sum(), n - y.sum()
    target = np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))

    def loss(t):
        z = t[0] * cll(p) + t[1]
        return np.sum(np.logaddexp(0, z) - target * z)

    t = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-10}).x
    return 1 / (1 + np.exp(-(t[0] * cll(q) + t[1])))


def beta_map(q):
    def columns(v):
        v = np.clip(v, 1e-4, 1 - 1e-4)
        return np.stack([np.log(v), -np.log(1 - v)], 1)

    m = LogisticRegression(C=1e6, tol=1e-12, max_iter=100000).fit(columns(p), y)
    assert (m.coef_ > 0).all(), m.coef_
    return m.predict_proba(columns(q))[:, 1]


def venn_abers(q):
    out = []
    for v in q:
        both = []
        for lab in (0, 1):
            f = IsotonicRegression().fit(np.append(p, v), np.append(y, lab))
            both.append(f.predict([v])[0])
        out.append(both[1] / (1 - both[0] + both[1]))
    return out


probe = np.concatenate([grid, p[:15]])
tails = [(0, 22, 0.1), (5, 91, 0.1), (5, 90, 0.1), (17, 300, 0.05), (499, 500, 0.999), (3, 10000, 0.001)]
bounds = [(0, 22, 0.1), (5, 91, 0.1), (30, 300, 0.05), (299, 300, 0.1), (1, 5, 0.025)]
print(json.dumps({
    "p": rounded(p, 17), "y": y.tolist(), "probe": rounded(probe, 17),
    "brier": brier_score_loss(y, p), "log_loss": log_loss(y, np.clip(p, 1e-6, 1 - 1e-6)), "auroc": roc_auc_score(y, p),
    "isotonic": rounded(iso.predict(probe)), "platt": rounded(platt(probe)), "beta": rounded(beta_map(probe)),
    "venn_abers": rounded(venn_abers(probe)),
    "x": rounded(x, 17), "label": label.tolist(), "weight": weights.tolist(),
    "logistic": rounded(np.append(fit.coef_[0], fit.intercept_)),
    "coarse": rounded(coarse, 17), "trees": rounded(trees.predict_proba(coarse)[:, 1]),
    "tails": [[k, m, r, float(binom.cdf(k, m, r))] for k, m, r in tails],
    "upper": [[k, m, d, float(beta.ppf(1 - d, k + 1, m - k))] for k, m, d in bounds],
    "lower": [[k, m, d, float(beta.ppf(d, k, m - k + 1)) if k else 0.0] for k, m, d in bounds],
}))
