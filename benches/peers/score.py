"""Times `madloop score` against the Python tools that compute the same metrics.

    python benches/peers/score.py --madloop target/release/madloop --n 10000 --d 2048 [--repeats 3] [--out results.json]
    python benches/peers/score.py --madloop target/release/madloop --curve [--large] [--d 2048]

Every measurement is a fresh process. For a peer the clock runs over the metric alone: imports, reading and
the change to tensors are done before. For madloop it runs over the whole process with reading, so ratios favour
the peers. Peers and madloop alternate, so that a machine that slows down slows all of them. A peer's memory is
its peak resident size, and the part of it above what imports and data took; madloop's is the peak of its process.

The parent imports nothing large: a child's peak starts at the size of the process that started it, so madloop's
reads about 16 MB where it is less.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MB = 1e6
MAIN = "frechet_distance,kid,kid_std,precision,recall,density,coverage"
SIZES = [2500, 5000, 10000, 20000]


# Peers: each imports what it needs and returns (prepare, compute); compute's time is taken. It returns
# values under madloop's names where they mean the same.


def fd_torch_fidelity():
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    def compute(real, gen):
        made = [fid_features_to_statistics(x) for x in (gen, real)]
        return {"frechet_distance": fid_statistics_to_metric(*made, False)["frechet_inception_distance"]}

    return torch.from_numpy, compute


def kid_torch_fidelity():
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    def compute(real, gen):
        size = min(1000, len(real), len(gen))
        got = kid_features_to_metric(gen, real, kid_subset_size=size, verbose=False)
        return {"kid": got["kernel_inception_distance_mean"], "kid_std": got["kernel_inception_distance_std"]}

    return torch.from_numpy, compute


def pr_torch_fidelity():
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    def compute(real, gen):
        got = prc_features_to_metric(gen, real, verbose=False)
        return {"precision": got["precision"], "recall": got["recall"]}

    return torch.from_numpy, compute


def prdc_k5():
    from prdc import compute_prdc

    def compute(real, gen):
        with contextlib.redirect_stdout(io.StringIO()):
            return compute_prdc(real, gen, nearest_k=5)

    return None, compute


def fd_pytorch_fid():
    import warnings

    import numpy as np
    from pytorch_fid.fid_score import calculate_frechet_distance

    def compute(real, gen):
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stats = [s for x in (real, gen) for s in (x.mean(0), np.cov(x, rowvar=False))]
            return {"frechet_distance": calculate_frechet_distance(*stats)}

    # The tool keeps its features in f64.
    return lambda x: x.astype(np.float64), compute


def fd_eigh():
    import numpy as np
    from scipy import linalg

    def compute(real, gen):
        s1, s2 = (np.cov(x, rowvar=False) for x in (real, gen))
        w, v = linalg.eigh(s1)
        root = (v * np.sqrt(np.maximum(w, 0))) @ v.T
        between = np.sqrt(np.maximum(linalg.eigvalsh(root @ s2 @ root), 0)).sum()
        shift = real.mean(0, dtype=np.float64) - gen.mean(0, dtype=np.float64)
        return {"frechet_distance": shift @ shift + np.trace(s1) + np.trace(s2) - 2 * between}

    return None, compute


def sliced_w2_pot():
    import ot

    def compute(real, gen):
        return {"sliced_w2": ot.sliced_wasserstein_distance(real, gen, n_projections=50, p=2, seed=0)}

    return None, compute


def vendi_score():
    from vendi_score import vendi

    def compute(real, gen):
        # The library has both forms and leaves the choice of the smaller matrix to its user.
        best = vendi.score_dual if gen.shape[1] < len(gen) else vendi.score_X
        return {"vendi": best(gen, normalize=True)}

    return None, compute


# name: (loader, the metrics madloop computes for it, its options, most repeats)
PEERS = {
    "torch-fidelity FD": (fd_torch_fidelity, "frechet_distance", [], 9),
    "numpy.cov + scipy eigh FD": (fd_eigh, "frechet_distance", [], 9),
    "pytorch-fid FD (sqrtm)": (fd_pytorch_fid, "frechet_distance", [], 1),
    "torch-fidelity KID": (kid_torch_fidelity, "kid,kid_std", [], 9),
    "torch-fidelity P/R (k = 3)": (pr_torch_fidelity, "precision,recall", ["--k", "3"], 9),
    "prdc (k = 5)": (prdc_k5, "precision,recall,density,coverage", [], 9),
    "POT sliced W2": (sliced_w2_pot, "sliced_w2", [], 9),
    "vendi-score": (vendi_score, "vendi", [], 9),
}
CACHED = "madloop, reference kept from before"
# The least work that gives the metrics of MAIN: the fastest of each group, summed.
GROUPS = [
    ("torch-fidelity FD", "numpy.cov + scipy eigh FD", "pytorch-fid FD (sqrtm)"),
    ("torch-fidelity KID",),
    ("prdc (k = 5)",),
]


def status(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / MB
    return float("nan")


def use_all_cores():
    # torch starts with the physical cores, which on a shared machine may be half of those given.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(len(os.sched_getaffinity(0)))


def worker(name, data):
    import numpy as np

    prepare, compute = PEERS[name][0]()
    use_all_cores()
    sets = [np.load(data / f"{role}.npy") for role in ("real", "gen")]
    if prepare:
        sets = [prepare(s) for s in sets]
    baseline = status("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    start = time.perf_counter()
    values = compute(*sets)
    seconds = time.perf_counter() - start
    peak = status("VmHWM")
    values = {key: float(value) for key, value in values.items()}
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "extra_mb": peak - baseline, "values": values}))


def gemm():
    """Peak of a matrix product, the measure of how near a metric is to what the cores can do."""
    import numpy as np

    n = 3072
    out = {}
    for kind in ("float32", "float64"):
        a = np.random.default_rng(0).random((n, n), dtype=kind)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            a @ a
            times.append(time.perf_counter() - start)
        out[kind] = 2 * n**3 / min(times) / 1e9
    print(json.dumps(out))


def make(data, n, d):
    """Clusters and correlated factors over noise, with a spectrum that falls as network features' do."""
    import numpy as np

    rng = np.random.default_rng(7)
    rank = max(1, min(256, d // 2))
    fall = np.sqrt(1 + np.arange(rank, dtype=np.float32))
    factors = rng.standard_normal((rank, d), dtype=np.float32) / fall[:, None]
    centres = rng.standard_normal((20, d), dtype=np.float32) * np.float32(0.5)
    shift = rng.standard_normal(d, dtype=np.float32) * np.float32(0.05)
    for role, spread, offset in (("real", 1.0, 0.0), ("gen", 0.95, 1.0)):
        x = rng.standard_normal((n, rank), dtype=np.float32) @ factors
        x *= np.float32(0.3 * spread)
        x += centres[rng.integers(0, len(centres), n)]
        x += np.float32(0.1) * rng.standard_normal((n, d), dtype=np.float32)
        x += np.float32(offset) * shift
        np.save(data / f"{role}.npy", x)


class Failed(Exception):
    """A child process ended with an error."""


def child(arguments, env):
    """A measurement in a fresh Python process."""
    done = subprocess.run([sys.executable, __file__, *arguments], env=env, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


def madloop(program, data, metrics, options, env):
    command = [program, "score", "--real", data / "real.npy", "--gen", data / "gen.npy", "--features", "none"]
    command += ["--metrics", metrics, "--json", *options]
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen([str(c) for c in command], stdout=out, env=env)
        _, code, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(code)
        if process.returncode:
            raise Failed(f"madloop failed: {' '.join(map(str, command))}")
        out.seek(0)
        values = json.load(out)["metrics"]
    return {"seconds": seconds, "peak_mb": usage.ru_maxrss * 1024 / MB, "values": values}


def known_metrics(program):
    listed = subprocess.run([program, "score", "--metrics", "list"], capture_output=True, text=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.strip()}


class Runs:
    """Measurements by name."""

    def __init__(self):
        self.of = {}

    def add(self, name, measured):
        print(f"{name}: {measured['seconds']:.3f} s", file=sys.stderr)
        self.of.setdefault(name, []).append(measured)

    def all(self, name, key):
        return [m[key] for m in self.of[name]]

    def median(self, name):
        return statistics.median(self.all(name, "seconds"))

    def peak(self, name, key="peak_mb"):
        return max(self.all(name, key))


def counterpart(name):
    return f"madloop for {name}"


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows = rows[:1] + [["-" * w for w in widths]] + rows[1:]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in rows)


def compare(args, env):
    # Every comparison prepares the real set anew, but for those of the row that says otherwise.
    env = {**env, "MADLOOP_CACHE": ""}
    known = known_metrics(args.madloop)
    peers = {name: p for name, p in PEERS.items() if not args.only or any(o in name for o in args.only)}
    runs, failed = Runs(), set()
    with tempfile.TemporaryDirectory(dir=args.temp) as folder:
        data = Path(folder)
        child(["--make", folder, "--n", str(args.n), "--d", str(args.d)], env)
        peak = child(["--gemm"], env)
        madloop(args.madloop, data, MAIN, [], env)  # a first run pays for reading the program and data from disk
        for repeat in range(args.repeats):
            runs.add("madloop", madloop(args.madloop, data, MAIN, [], env))
            cached = {**env, "MADLOOP_CACHE": str(data / "cache")}
            if repeat == 0:
                madloop(args.madloop, data, MAIN, [], cached)
            runs.add(CACHED, madloop(args.madloop, data, MAIN, [], cached))
            for name, (_, metrics, options, most) in peers.items():
                if repeat >= most or name in failed:
                    continue
                try:
                    runs.add(name, child(["--worker", name, "--data", folder], env))
                except Failed as error:  # one tool's failure costs not the others' measurements
                    print(error, file=sys.stderr)
                    failed.add(name)
                    continue
                if set(metrics.split(",")) <= known:
                    runs.add(counterpart(name), madloop(args.madloop, data, metrics, options, env))

    whole = runs.median("madloop")
    rows = [["tool", "metrics", "median s", "peak MB", "above data MB", "madloop, same metrics: s", "MB", "ratio"]]
    main = [MAIN.replace(",", ", "), f"{whole:.3f}", f"{runs.peak('madloop'):.0f}"]
    rows.append(["madloop, whole process", *main, "", "", "", ""])
    rows.append([CACHED, MAIN.replace(",", ", "), f"{runs.median(CACHED):.3f}", f"{runs.peak(CACHED):.0f}"] + [""] * 4)
    for name, (_, metrics, _, _) in peers.items():
        if name not in runs.of:
            rows.append([name, metrics.replace(",", ", "), "failed", "", "", "", "", ""])
            continue
        row = [name, metrics.replace(",", ", "), f"{runs.median(name):.3f}", f"{runs.peak(name):.0f}"]
        row.append(f"{runs.peak(name, 'extra_mb'):.0f}")
        if counterpart(name) in runs.of:
            ours = runs.median(counterpart(name))
            row += [f"{ours:.3f}", f"{runs.peak(counterpart(name)):.0f}", f"{runs.median(name) / ours:.1f}"]
        else:
            row += ["", "", ""]
        rows.append(row)
    print(f"n = {args.n}, d = {args.d}, {len(os.sched_getaffinity(0))} cores, {args.repeats} repeats\n")
    print(table(rows))

    summary = {}
    for what, groups in (("without", GROUPS), ("with", GROUPS + [("torch-fidelity P/R (k = 3)",)])):
        if all(any(name in runs.of for name in group) for group in groups):
            fastest = []
            for group in groups:
                ran = [name for name in group if name in runs.of]
                fastest.append(min((min(runs.all(name, "seconds")), name) for name in ran))
            total = sum(seconds for seconds, _ in fastest)
            tools = [name for _, name in fastest]
            summary[f"{what}_torch_fidelity_pr"] = {"seconds": total, "tools": tools, "ratio": total / whole}
            print(f"\n{' + '.join(tools)}, the fastest run of each: {total:.3f} s, {total / whole:.1f} times madloop's median")
    print(f"\nMatrix product in numpy: {peak['float32']:.0f} GFLOP/s in f32, {peak['float64']:.0f} in f64")

    rows = [["metric", "tool", "value", "madloop"]]
    for name in peers:
        if counterpart(name) in runs.of:
            ours = runs.of[counterpart(name)][-1]["values"]
            for metric, value in runs.of[name][-1]["values"].items():
                rows.append([metric, name, f"{value:.7g}", f"{ours[metric]:.7g}" if metric in ours else ""])
    print("\n" + table(rows))
    return {"n": args.n, "d": args.d, "gemm_gflops": peak, "runs": runs.of, "sum_of_fastest": summary}


def curve(args, env):
    rows = [["N", "median s", "peak MB", "s / (N^2 d) in 1e-12"]]
    runs = Runs()
    for n in SIZES + [50000] * args.large:
        with tempfile.TemporaryDirectory(dir=args.temp) as folder:
            child(["--make", folder, "--n", str(n), "--d", str(args.d)], env)
            for _ in range(args.repeats):
                runs.add(str(n), madloop(args.madloop, Path(folder), MAIN, [], env))
        each = runs.median(str(n)) / (n * n * args.d) * 1e12
        rows.append([str(n), f"{runs.median(str(n)):.3f}", f"{runs.peak(str(n)):.0f}", f"{each:.2f}"])
    print(f"madloop score --metrics {MAIN}, d = {args.d}, {len(os.sched_getaffinity(0))} cores\n")
    print(table(rows))
    return {"d": args.d, "curve": runs.of}


def versions():
    from importlib.metadata import version

    lines = (Path(__file__).parent / "requirements.txt").read_text().splitlines()
    names = [line.split("==")[0] for line in lines if "==" in line and not line.startswith("#")]
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--madloop", help="the program, release build")
    parser.add_argument("--n", type=int, default=10000, help="rows of each set")
    parser.add_argument("--d", type=int, default=2048, help="columns")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", action="append", help="peers whose name contains this (repeatable)")
    parser.add_argument("--curve", action="store_true", help="madloop alone at growing N")
    parser.add_argument("--large", action="store_true", help="--curve goes to N = 50000")
    parser.add_argument("--out", help="write all measurements as JSON")
    parser.add_argument("--temp", help="folder for the feature files (default: the system's)")
    for hidden in ("--make", "--worker", "--data"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--gemm", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        return make(Path(args.make), args.n, args.d)
    if args.worker:
        return worker(args.worker, Path(args.data))
    if args.gemm:
        return gemm()
    if not args.madloop or not shutil.which(args.madloop):
        parser.error("--madloop must name the program")
    cores = str(len(os.sched_getaffinity(0)))
    threads = {f"{library}_NUM_THREADS": cores for library in ("OMP", "OPENBLAS", "MKL")}
    env = {**os.environ, **threads}
    results = curve(args, env) if args.curve else compare(args, env)
    results |= {"cpu": cpu(), "cores": int(cores), "versions": versions()}
    if args.out:
        Path(args.out).write_text(json.dumps(results, indent=1) + "\n")


main()
