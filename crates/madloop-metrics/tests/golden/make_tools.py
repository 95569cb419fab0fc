"""Makes tools.json: data sets and their scores by the reference tools, run as their users run them.

    python3.11 -m venv env && env/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.15.0 torchvision==0.29.2 torch-fidelity==0.4.0 pytorch-fid==0.3.0 prdc==0.2 POT==0.9.7.post1 vendi-score==0.0.3 geomloss==0.3.1
    OMP_NUM_THREADS=1 env/bin/python make_tools.py > tools.json

Data. Every set is int16 * scale, scale a power of two, so that all programs see the same f32 values and
squared distances, sums and dot products are exact in f64. `real` and `generated` hold rows, scale and the
row-major little-endian int16 as base64. The keys of a set:

frechet_distance
    pytorch_fid: statistics in f64 (np.cov, ddof 1) and scipy's sqrtm of the product of the covariances.
        A product whose root is not finite makes the tool print that it adds 1e-6 to both diagonals: value
        is null then, and value_with_eps has what it returned. An error of the tool is null with a note.
        A singular product may also pass unnoticed; then value is what the tool says, not the truth.
    torch_fidelity_float64, _float32: the same with the eigenvalues of the product (real part of the complex
        roots). float32: features as its users pass them; then the means (not the covariances) are float32.
    nuclear_norm: the truth for checking both, with the trace of the root as the sum of the singular values
        of X_c Y_c^T / sqrt((n-1)(m-1)), no product of covariances.
kid
    torch-fidelity: kernel (x.y * (1/d) + 1)^3, in the dtype of the features; each subset gives
        (sum of both within-kernels off the diagonal) / (m (m-1)) - 2 sum(between) / m^2;
    mean and std (ddof 0) over the subsets. See "Subsets" below. subset_size is 1000 where both sets have
    that many rows, else 40 (15 for the tiniest).
torch_fidelity_prc
    Precision and recall (Kynkaanniemi) by k: torch.cdist in the dtype of the features (nothing is cast down
    to half precision), which above 25 rows takes |x|^2 + |y|^2 - 2 x.y, clamps it at 0 and takes the root;
    radius = kthvalue(k + 1) of a row, counting from 1 and with the point itself in the row, that is the k-th
    neighbour other than itself (a copy of the point counts as a neighbour); inside when distance <= radius.
    precision: share of generated points inside any real ball; recall: share of real points inside any
    generated ball; f_score = 2 p r / max(1e-5, p + r). Means are float32 means of 0 and 1, so compare to 1e-6.
    float32 is what users see; float64 equals exact.le (asserted).
prdc
    compute_prdc on float32 arrays: scikit-learn takes squared distances in f64, rounds them to f32 and takes
    the f32 root. Radius: k-th neighbour other than itself, inside when distance < radius (all four metrics).
exact
    The four by exact squared distances, le: <=, lt: <. coverage_le counts min <= radius. The script stops when
    prdc deviates from lt, so in these sets no tie is decided by rounding.
vendi
    vendi_score.vendi.score_X(generated, q=1, normalize=True) in f64: rows to unit length, natural entropy of
    the eigenvalues of K/n (those > 0), exponentiated. Absent where n would make it slow.
effective_rank
    Roy and Vetterli: exp of the entropy of the singular values of the generated covariance over their sum.
auth_pct
    By numpy. 100 * share of generated points farther from their nearest real point than that real point is from
    its own nearest other real point (strict >), as dgm-eval reports it (FLD subtracts 50). A generated point with
    several nearest real points takes the first; lowest and highest are over all choices among them.
mmd_rbf
    Unbiased U-statistic: mean k over pairs i != j of real, the same of generated, minus 2 mean k between,
    k = exp(-|x-y|^2 / (2 sigma^2)), by sklearn's rbf_kernel in f64. sigma = 1, and sigma = median of the distances
    (not squared) of all pairs i < j of the real set, mean of the middle two when their number is even. In high
    dimension the value at sigma = 1 is next to 0: compare it absolutely.
sliced_w2
    ot.sliced_wasserstein_distance, p = 2 (the root), with the 50 unit directions given here, one a row.
w2_sq
    ot.emd2 of squared Euclidean costs, uniform weights: exact squared W2.
w2_sq_first_column
    ot.wasserstein_1d(p=2) of the first columns, which returns the square.
sinkhorn
    geomloss SamplesLoss("sinkhorn", p=2, debias=True, backend="tensorized"), f64, uniform weights. Cost
    |x-y|^2 / 2. Temperatures: diameter^2, then exp(e) for e in arange(2 ln diameter, 2 ln blur, 2 ln scaling),
    then blur^2 (so the first comes twice); diameter = diagonal of the box around both sets. The potentials f_xy,
    f_yx, f_xx, f_yy start as softmin at the first temperature of zero potentials; each iteration updates all of
    them from the old ones and takes the mean of old and new; a last update at blur^2, all from the old ones, takes no
    mean. Value: mean(f_xy - f_xx) + mean(f_yx - f_yy). Not iterated to convergence: only the same schedule
    reproduces a value.

Subsets of torch-fidelity's KID. One RandomState(2020) serves all subsets; each subset draws the rows of
features_1 first and of features_2 second, by choice(n, size, replace=False). Here features_1 is the generated
set and features_2 the real one, as the tool's input1 and input2 are. choice without replacement and without
weights is permutation(n)[:size], also where size is small: it draws for all n rows. permutation(n) shuffles
0..n-1 in place: for i from n-1 down to 1, j = interval(i), swap entries i and j. interval(max) (random_interval
in numpy's C source): mask = smallest 2^b - 1 >= max; take draws & mask until one is <= max. For max <= 2^32 - 1
a draw is one whole raw 32-bit output of MT19937, of which nothing is kept; above that a 64-bit one (two
outputs, the first is the high half), which no set of rows needs. RandomState(int) seeds MT19937 by the plain
initialisation (the 1812433253 recurrence, init_genrand), not by init_by_array. `rng` holds the first raw outputs and
first indices; this script repeats them from scratch and stops if they differ.

fd_infinity
    No data: int values come from a hash. For row i, column j and stream s, in wrapping uint32:
        v = i * 2654435761 + j * 40503 + s
        v ^= v >> 16; v *= 0x7feb352d; v ^= v >> 15; v *= 0x846ca68b; v ^= v >> 16
        h(i, j, s) = v >> 20
        u(i, j, s) = h(s) + h(s + 7919) + h(s + 15838) + h(s + 23757) - 8190
    real[i][j] = u(i, j, 1) / 1024, generated[i][j] = u(i, j, 1000000007) * 7 / 8192 + 1/4; 6000 rows, 5 columns.
    N = trunc(linspace(5000, 6000, 15)); fd of all real rows against the first N generated ones; an ordinary
    least squares line in 1/N: intercept (FD-infinity) and slope.

The tools compute in f64 unless a key says float32: expect 1e-9 relative there (1e-6 for Frechet distances of
rank-deficient sets by pytorch_fid), and 1e-5 from float32 KID, worse far from the origin.
"""

import base64
import contextlib
import io
import json
import sys
import warnings
from importlib.metadata import version

import numpy as np
import ot
import torch
from geomloss import SamplesLoss
from prdc import compute_prdc
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy import linalg
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics.pairwise import rbf_kernel
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from vendi_score import vendi

SEED = 2020
KS = (3, 5)
PROJECTIONS = 50


class Points:
    """Rows of int16 and a scale; `f64` and `f32` hold the same numbers."""

    def __init__(self, values, scale):
        ints = np.round(np.asarray(values) / scale)
        self.ints = np.clip(ints, -32768, 32767).astype("<i2")
        self.scale = scale
        self.f64 = self.ints.astype(np.float64) * scale
        self.f32 = self.f64.astype(np.float32)
        assert (self.f32 == self.f64).all()

    def packed(self):
        text = base64.b64encode(self.ints.tobytes()).decode()
        return {"rows": len(self.ints), "scale": self.scale, "int16": text}


def squared(x, y):
    """Exact squared distances of two sets of one scale, in units of scale^2."""
    a, b = x.ints.astype(np.float64), y.ints.astype(np.float64)
    return (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * (a @ b.T)


def tensors(x, y):
    for name, kind in (("float64", "f64"), ("float32", "f32")):
        yield name, torch.from_numpy(getattr(x, kind)), torch.from_numpy(getattr(y, kind))


def trace_root(x, y):
    """tr (S_x S_y)^(1/2) without forming either covariance."""
    a, b = x - x.mean(0), y - y.mean(0)
    return linalg.svdvals(a @ b.T).sum() / np.sqrt((len(x) - 1) * (len(y) - 1))


def frechet(x, y):
    stats = [(p.f64.mean(0), np.cov(p.f64, rowvar=False)) for p in (x, y)]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = float(calculate_frechet_distance(*stats[0], *stats[1]))
    except Exception as error:  # the tool's failure is the record
        by_pytorch_fid = {"value": None, "note": f"{type(error).__name__}: {error}"}
    else:
        if "singular" in said.getvalue():
            by_pytorch_fid = {"value": None, "value_with_eps": value, "note": said.getvalue().strip()}
        else:
            by_pytorch_fid = {"value": value}
    out = {"pytorch_fid": by_pytorch_fid}
    for name, real, generated in tensors(x, y):
        made = [fid_features_to_statistics(t) for t in (generated, real)]
        out[f"torch_fidelity_{name}"] = float(fid_statistics_to_metric(*made, False)["frechet_inception_distance"])
    shift = stats[0][0] - stats[1][0]
    traces = sum(np.trace(s) for _, s in stats)
    out["nuclear_norm"] = float(shift @ shift + traces - 2 * trace_root(x.f64, y.f64))
    return out


def kid(x, y, size):
    out = {"seed": SEED, "subsets": 100, "subset_size": size}
    for name, real, generated in tensors(x, y):
        got = kid_features_to_metric(
            generated, real, kid_subsets=100, kid_subset_size=size, rng_seed=SEED, verbose=False
        )
        out[name] = {
            "mean": got["kernel_inception_distance_mean"],
            "std": got["kernel_inception_distance_std"],
        }
    return out


def torch_fidelity_prc(x, y):
    return {
        f"k{k}": {
            name: prc_features_to_metric(generated, real, prc_neighborhood=k, verbose=False)
            for name, real, generated in tensors(x, y)
        }
        for k in KS
    }


def exact_prdc(x, y, k, below):
    between = squared(x, y)
    radius_x = np.sort(squared(x, x), axis=1)[:, k]
    radius_y = np.sort(squared(y, y), axis=1)[:, k]
    inside = below(between, radius_x[:, None])
    return {
        "precision": float(inside.any(0).mean()),
        "recall": float(below(between, radius_y[None, :]).any(1).mean()),
        "density": float(inside.sum() / (k * len(y.ints))),
        "coverage": float(below(between.min(1), radius_x).mean()),
    }


def prdc(x, y, k):
    with contextlib.redirect_stdout(io.StringIO()):
        return {key: float(value) for key, value in compute_prdc(x.f32, y.f32, nearest_k=k).items()}


def auth_pct(x, y):
    between = squared(x, y)  # [real, generated]
    own = squared(x, x)
    np.fill_diagonal(own, np.inf)
    own = own.min(1)
    nearest = between.min(0)
    tied = between == nearest
    first = nearest > own[between.argmin(0)]
    every = nearest > np.where(tied, own[:, None], -np.inf).max(0)
    some = nearest > np.where(tied, own[:, None], np.inf).min(0)
    shares = {"value": first, "lowest": every, "highest": some}
    return {key: 100 * float(share.mean()) for key, share in shares.items()}


def mmd_rbf(x, y):
    def at(sigma):
        gamma = 1 / (2 * sigma * sigma)
        kx, ky, kxy = (rbf_kernel(a, b, gamma=gamma) for a, b in ((x, x), (y, y), (x, y)))
        off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
        return float(off(kx) + off(ky) - 2 * kxy.mean())

    median = float(np.median(pdist(x)))
    return {"sigma_1": at(1.0), "median_sigma": median, "sigma_median": at(median)}


def effective_rank(y):
    s = linalg.svdvals(np.cov(y, rowvar=False))
    p = s / s.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def sinkhorn(x, y, blur):
    loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.5, debias=True, backend="tensorized")
    return {"blur": blur, "scaling": 0.5, "value": float(loss(torch.from_numpy(x), torch.from_numpy(y)))}


def score(name, x, y, *, size, small=False, large_vendi=False, blurs=(), directions=None):
    assert x.scale == y.scale
    out = {
        "name": name,
        "dim": x.f64.shape[1],
        "real": x.packed(),
        "generated": y.packed(),
        "frechet_distance": frechet(x, y),
        "kid": kid(x, y, size),
        "torch_fidelity_prc": torch_fidelity_prc(x, y),
        "prdc": {},
        "exact": {},
        "effective_rank": effective_rank(y.f64),
        "auth_pct": auth_pct(x, y),
        "mmd_rbf": mmd_rbf(x.f64, y.f64),
        "w2_sq_first_column": float(ot.wasserstein_1d(x.f64[:, 0], y.f64[:, 0], p=2)),
    }
    for k in KS:
        key = f"k{k}"
        le, lt = exact_prdc(x, y, k, np.less_equal), exact_prdc(x, y, k, np.less)
        out["exact"][key] = {"le": le, "lt": lt}
        out["prdc"][key] = prdc(x, y, k)
        off = {m: (lt[m], v) for m, v in out["prdc"][key].items() if abs(v - lt[m]) > 1e-12}
        assert not off, f"{name}, k = {k}: rounding decides ties in prdc: {off}"
        by_torch = out["torch_fidelity_prc"][key]
        for kind in ("float64", "float32"):
            off = [m for m in ("precision", "recall") if abs(by_torch[kind][m] - le[m]) > 1e-6]
            if off:
                print(f"{name}, k = {k}: torch-fidelity in {kind} deviates in {off}", file=sys.stderr)
            assert kind == "float32" or not off
        if le != lt:
            print(f"{name}, k = {k}: exact ties matter", file=sys.stderr)
    if small or large_vendi:
        out["vendi"] = float(vendi.score_X(y.f64, q=1, normalize=True))
    if small:
        costs = ot.dist(x.f64, y.f64, metric="sqeuclidean")
        out["w2_sq"] = float(ot.emd2(*(np.full(n, 1 / n) for n in costs.shape), costs))
    if blurs:
        out["sinkhorn"] = [sinkhorn(x.f64, y.f64, blur) for blur in blurs]
    if directions is not None:
        value = ot.sliced_wasserstein_distance(x.f64, y.f64, projections=directions.T, p=2)
        out["sliced_w2"] = {"value": float(value), "projections": directions.tolist()}
    f = out["frechet_distance"]
    for tool in ("torch_fidelity_float64", "torch_fidelity_float32"):
        print(f"{name}: {tool} off by {f[tool] - f['nuclear_norm']:.1e} of {f['nuclear_norm']:.6g}", file=sys.stderr)
    said = f["pytorch_fid"]
    said = said["note"] if said["value"] is None else f"off by {said['value'] - f['nuclear_norm']:.1e}"
    print(f"{name}: pytorch_fid {said}", file=sys.stderr)
    return out


def mersenne(seed):
    """Raw 32-bit outputs of MT19937 seeded the plain way, to check what the docstring says."""
    state = [seed]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
    while True:
        for i in range(624):
            bits = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7FFFFFFF)
            state[i] = state[(i + 397) % 624] ^ (bits >> 1) ^ (0x9908B0DF if bits & 1 else 0)
        for v in state:
            v ^= v >> 11
            v ^= (v << 7) & 0x9D2C5680
            v ^= (v << 15) & 0xEFC60000
            yield v ^ (v >> 18)


def choice(draws, n, size):
    rows = list(range(n))
    for i in range(n - 1, 0, -1):
        mask = (1 << i.bit_length()) - 1
        j = next(v for v in (next(draws) & mask for _ in iter(int, 1)) if v <= i)
        rows[i], rows[j] = rows[j], rows[i]
    return rows[:size]


def rng():
    raw = np.frombuffer(np.random.RandomState(SEED).bytes(80), "<u4").tolist()
    ours = mersenne(SEED)
    assert raw == [next(ours) for _ in raw]
    draws = []
    # Each entry: these choices one after the other, from a fresh generator.
    two = (1200, 1200), (60, 60)
    pairs = (1100, 1200, 1100, 1200), (50, 60, 50, 60)
    for populations, size in zip(two + pairs, (1000, 40, 1000, 40)):
        numpys, ours = np.random.RandomState(SEED), mersenne(SEED)
        first = []
        for n in populations:
            rows = numpys.choice(n, size, replace=False).tolist()
            assert rows == choice(ours, n, size)
            first.append(rows[:10])
        draws.append({"populations": populations, "size": size, "first": first})
    return {"seed": SEED, "raw_u32": raw, "draws": draws}


def hashed(rows, columns, stream):
    i, j = (a.astype(np.uint32) for a in np.indices((rows, columns)))
    total = np.full((rows, columns), -8190, np.int64)
    for step in range(4):
        v = i * np.uint32(2654435761) + j * np.uint32(40503) + np.uint32(stream + 7919 * step)
        v ^= v >> np.uint32(16)
        v *= np.uint32(0x7FEB352D)
        v ^= v >> np.uint32(15)
        v *= np.uint32(0x846CA68B)
        v ^= v >> np.uint32(16)
        total += v >> np.uint32(20)
    return total


def fd_infinity():
    real = hashed(6000, 5, 1) / 1024
    generated = hashed(6000, 5, 1000000007) * 7 / 8192 + 0.25
    s_real = np.cov(real, rowvar=False)
    w, v = linalg.eigh(s_real)
    root = (v * np.sqrt(w)) @ v.T
    sizes = [int(n) for n in np.linspace(5000, 6000, 15)]
    distances = []
    for n in sizes:
        s = np.cov(generated[:n], rowvar=False)
        shift = real.mean(0) - generated[:n].mean(0)
        between = np.sqrt(linalg.eigvalsh(root @ s @ root)).sum()
        distances.append(float(shift @ shift + np.trace(s_real) + np.trace(s) - 2 * between))
        by_tool = calculate_frechet_distance(real.mean(0), s_real, generated[:n].mean(0), s)
        assert abs(by_tool - distances[-1]) < 1e-9, (by_tool, distances[-1])
    design = np.stack([np.ones(len(sizes)), 1 / np.array(sizes)], axis=1)
    intercept, slope = np.linalg.lstsq(design, np.array(distances), rcond=None)[0]
    return {
        "rows": 6000,
        "dim": 5,
        "real_first_row": real[0].tolist(),
        "generated_first_row": generated[0].tolist(),
        "generated_last_row": generated[-1].tolist(),
        "sizes": sizes,
        "frechet_distance": distances,
        "intercept": float(intercept),
        "slope": float(slope),
    }


def sets():
    rng = np.random.default_rng(20250314)
    normal = rng.normal
    fine, coarse = 2.0**-10, 2.0**-8

    def directions(dim):
        a = normal(size=(PROJECTIONS, dim))
        return a / np.linalg.norm(a, axis=1, keepdims=True)

    mix = normal(size=(8, 8))
    yield score(
        "correlated",
        Points(normal(size=(1200, 8)) @ mix, fine),
        Points(0.25 + 0.9 * normal(size=(1100, 8)) @ mix, fine),
        size=1000,
        large_vendi=True,
        directions=directions(8),
    )
    yield score(
        "fewer rows than dimensions",
        Points(normal(size=(60, 100)), fine),
        Points(0.2 + normal(size=(50, 100)), fine),
        size=40,
        small=True,
        blurs=(0.05,),
    )
    decay = 1 / np.sqrt(1 + np.arange(600) / 20)
    yield score(
        "far fewer rows than dimensions",
        Points(2 * normal(size=(130, 600)) * decay, fine),
        Points(0.1 + 2 * normal(size=(120, 600)) * decay, fine),
        size=40,
        small=True,
        blurs=(0.05,),
    )
    yield score(
        "lattice",
        Points(rng.integers(0, 5, size=(1050, 4)), 1.0),
        Points(rng.integers(1, 5, size=(1050, 4)), 1.0),
        size=1000,
        directions=directions(4),
    )
    yield score(
        "collapsed",
        Points(normal(size=(1020, 6)), fine),
        Points(0.1 + 0.02 * normal(size=(1020, 6)), fine),
        size=1000,
        blurs=(0.05,),
    )
    yield score(
        "collapsed far away",
        Points(40 + normal(size=(300, 6)), 2.0**-9),
        Points(40.25 + 0.05 * normal(size=(280, 6)), 2.0**-9),
        size=40,
        large_vendi=True,
    )
    plane = np.round(8 * normal(size=(5, 12))) * coarse  # on the grid, so that rounding adds no rank
    yield score(
        "rank-deficient",
        Points(rng.integers(-40, 41, size=(150, 5)) @ plane, coarse),
        Points(0.0625 + rng.integers(-30, 31, size=(150, 5)) @ plane, coarse),
        size=40,
        small=True,
        blurs=(0.05, 0.5),
    )
    yield score(
        "heavy tails",
        Points(rng.standard_t(2.5, size=(1500, 3)), coarse),
        Points(1.2 * rng.standard_t(3, size=(1001, 3)), coarse),
        size=1000,
        directions=directions(3),
    )
    twice = normal(size=(120, 5))
    yield score("identical", Points(twice, fine), Points(twice, fine), size=40, small=True, blurs=(0.05,))
    yield score(
        "tiny",
        Points(normal(size=(30, 2)), fine),
        Points(0.5 + 1.5 * normal(size=(20, 2)), fine),
        size=15,
        small=True,
        blurs=(0.05,),
        directions=directions(2),
    )


def main():
    packages = "numpy scipy scikit-learn torch torch-fidelity pytorch-fid prdc POT vendi-score geomloss"
    out = {
        "versions": {name: version(name) for name in packages.split()},
        "rng": rng(),
        "fd_infinity": fd_infinity(),
        "sets": list(sets()),
    }
    # One set a line: a diff shows which changed.
    print("{")
    for key in ("versions", "rng", "fd_infinity"):
        print(f'"{key}": {json.dumps(out[key])},')
    print('"sets": [')
    print(",\n".join(json.dumps(s) for s in out["sets"]))
    print("]\n}")


main()
