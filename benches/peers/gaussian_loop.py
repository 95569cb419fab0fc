"""A Gaussian fresh-data loop by sufficient statistics (madloop) beside plain NumPy that draws the samples.

    cargo build --release && python benches/peers/gaussian_loop.py [--madloop target/release/madloop]

d = 100, 40 generations, a tenth of each generation fresh real data, lambda = 0.8; in every generation both take the squared
W2 to N(0, I). Both may use all cores: NumPy through its BLAS, madloop by running loops side by side. Per loop: NumPy's
time of one loop; madloop's whole process (start included) over its number of loops. Medians of --rounds, taken in turn.
"""

import argparse
import json
import statistics
import subprocess
import time

import numpy as np

DIM, GENERATIONS, LAMBDA = 100, 40, 0.8


def w2_sq(mean, cov):
    roots = np.sqrt(np.clip(np.linalg.eigvalsh(cov), 0, None))
    return mean @ mean + np.trace(cov) + DIM - 2 * roots.sum()


def numpy_loop(n, rng):
    """One loop; the distance at the last generation."""
    n_real, n_synthetic = n // 10, n - n // 10
    x = rng.standard_normal((n_real, DIM))
    for t in range(GENERATIONS):
        mean, cov = x.mean(axis=0), np.cov(x, rowvar=False)
        distance = w2_sq(mean, cov)
        if t + 1 < GENERATIONS:
            values, vectors = np.linalg.eigh(cov)
            root = vectors * np.sqrt(np.clip(LAMBDA * values, 0, None))
            synthetic = mean + rng.standard_normal((n_synthetic, DIM)) @ root.T
            x = np.concatenate([rng.standard_normal((n_real, DIM)), synthetic])
    return distance


def madloop(binary, n, replicates):
    command = [binary, "theory", "curve", "--loop", "fresh-data", "--dim", str(DIM), "--n-real", str(n // 10),
               "--n-synthetic", str(n - n // 10), "--lambda", str(LAMBDA), "--generations", str(GENERATIONS),
               "--replicates", str(replicates), "--json"]
    start = time.perf_counter()
    out = subprocess.run(command, check=True, capture_output=True).stdout
    seconds = time.perf_counter() - start
    return seconds / replicates, json.loads(out)["generations"][-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--madloop", default="target/release/madloop")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 10**9])
    parser.add_argument("--most", type=int, default=100_000, help="largest n for NumPy")
    parser.add_argument("--replicates", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{'n':>12} {'NumPy s/loop':>14} {'madloop s/loop':>15} {'ratio':>9}   W2^2 at the end: NumPy, madloop")
    for n in args.sizes:
        peer, ours, distances, last = [], [], [], None
        for _ in range(args.rounds):
            if n <= args.most:
                start = time.perf_counter()
                distances.append(numpy_loop(n, rng))
                peer.append(time.perf_counter() - start)
            seconds, last = madloop(args.madloop, n, args.replicates)
            ours.append(seconds)
        us = statistics.median(ours)
        text = f"{last['w2_sq']:.4g} +- {last['w2_sq_se']:.1g}"
        if peer:
            them = statistics.median(peer)
            spread = statistics.stdev(distances) if len(distances) > 1 else float("nan")
            print(f"{n:>12} {them:>14.4f} {us:>15.6f} {them / us:>8.0f}x   {np.mean(distances):.4g} (sd {spread:.1g}), {text}")
        else:
            print(f"{n:>12} {'-':>14} {us:>15.6f} {'-':>9}   {text}")


if __name__ == "__main__":
    main()
