"""Makes golden.json: small data sets and their scores by the reference tools.

    python3 -m venv env && env/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 prdc==0.2 POT==0.9.7.post1
    env/bin/python make_golden.py > golden.json

Frechet distance: scipy.linalg.sqrtm in the manner of pytorch-fid, without its epsilon (SciPy < 1.18).
Precision, recall, density, coverage: prdc (strict <), and the same counts by <= in numpy. The
two agree on all sets without exact ties; the script stops if they do not.
KID: the unbiased estimate written out in numpy, all samples in one subset.
w2_1d: the 2-Wasserstein distance (the root) of the first columns, by POT.
"""

import contextlib
import io
import json
import sys

import numpy as np
import ot
from prdc import compute_prdc
from scipy import linalg
from scipy.spatial.distance import cdist

K = 5


def frechet(x, y):
    mu1, mu2 = x.mean(0), y.mean(0)
    s1, s2 = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    root = linalg.sqrtm(s1 @ s2)  # may warn that a product is singular
    if np.iscomplexobj(root):
        root = root.real
    return float((mu1 - mu2) @ (mu1 - mu2) + np.trace(s1) + np.trace(s2) - 2 * np.trace(root))


def kid(x, y):
    d, m, n = x.shape[1], len(x), len(y)
    k = lambda a, b: (a @ b.T / d + 1) ** 3
    kx, ky, kxy = k(x, x), k(y, y), k(x, y)
    within = (kx.sum() - np.trace(kx)) / (m * (m - 1)) + (ky.sum() - np.trace(ky)) / (n * (n - 1))
    return float(within - 2 * kxy.mean())


def manifold(x, y):
    """The same four by <=, on squared distances."""
    dxx, dyy, dxy = (cdist(a, b, "sqeuclidean") for a, b in ((x, x), (y, y), (x, y)))
    rx = np.partition(dxx, K, axis=1)[:, K]
    ry = np.partition(dyy, K, axis=1)[:, K]
    inside = dxy <= rx[:, None]
    return {
        "precision": float(inside.any(0).mean()),
        "recall": float((dxy <= ry[None, :]).any(1).mean()),
        "density": float(inside.sum() / (K * len(y))),
        "coverage": float(inside.any(1).mean()),
    }


def case(name, x, y, ties=False):
    # The sets are what an f32 holds of four decimals, so that both programs see the same values.
    x32, y32 = (np.round(a, 4).astype(np.float32) for a in (x, y))
    x, y = x32.astype(np.float64), y32.astype(np.float64)
    with contextlib.redirect_stdout(io.StringIO()):
        by_prdc = {key: float(value) for key, value in compute_prdc(x, y, K).items()}
    by_us = manifold(x, y)
    if not ties:
        assert all(abs(by_us[key] - by_prdc[key]) < 1e-12 for key in by_us), (name, by_us, by_prdc)
    as_text = lambda a: " ".join(f"{v:.4f}".rstrip("0").rstrip(".") for v in a.ravel())
    return {
        "name": name,
        "dim": x.shape[1],
        "real": as_text(x),
        "generated": as_text(y),
        "frechet_distance": frechet(x, y),
        "kid": kid(x, y),
        "trace_cov": float(np.var(y, axis=0, ddof=1).sum()),
        **by_us,
        "prdc": by_prdc,
        "w2_1d": float(np.sqrt(ot.wasserstein_1d(x[:, 0], y[:, 0], p=2))),
    }


def main():
    rng = np.random.default_rng(20240501)
    mix = rng.normal(size=(6, 6))
    cases = [
        case("correlated", rng.normal(size=(60, 6)) @ mix, 0.3 + rng.normal(size=(60, 6)) @ mix * 0.9),
        case("unequal sizes", rng.normal(size=(80, 3)), rng.uniform(-2, 2, size=(47, 3))),
        case("fewer samples than dimensions", rng.normal(size=(30, 40)), 0.2 + rng.normal(size=(25, 40))),
        case("one dimension", rng.normal(size=(50, 1)), 1 + 2 * rng.normal(size=(40, 1))),
        case("collapsed", rng.normal(size=(60, 4)), 0.2 + 0.01 * rng.normal(size=(60, 4))),
        case("collapsed far away", 50 + rng.normal(size=(60, 4)), 50.5 + 0.01 * rng.normal(size=(60, 4))),
        case("rank-deficient", rng.normal(size=(60, 2)) @ rng.normal(size=(2, 5)), rng.normal(size=(60, 5))),
        case("ties", rng.integers(0, 3, size=(60, 3)), rng.integers(0, 3, size=(60, 3)), ties=True),
        case("identical points", np.full((20, 3), 0.5), np.full((20, 3), 0.5), ties=True),
    ]
    versions = {"numpy": np.__version__, "scipy": __import__("scipy").__version__, "pot": ot.__version__, "prdc": "0.2"}
    json.dump({"k": K, "versions": versions, "cases": cases}, sys.stdout, indent=1)
    print()


main()
