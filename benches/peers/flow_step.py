"""Training steps of flows in PyTorch, the peer of madloop-neural's example `flow_step`.

    python benches/peers/flow_step.py plane|images [THREADS] [--madloop target/release/examples/flow_step] [--rounds N]

The same flows with their whole step (noise on pixels, likelihood, norm of the gradient, Adam with clipping): on the plane 8 couplings of 64 hidden
units, batch 256; on 28x28 images two levels of 4 couplings, batch 64. Prints median and minimum seconds of a step. With --madloop the
example runs between, round by round, and the medians of the rounds' ratios are printed: a busy machine slows neighbours alike. On a machine that is
busier than it has cores, waiting drowns both; the ratio of processor time (user and system, all threads) is then the one to read: PyTorch's
over its steps, madloop's over the whole process, which also starts, and draws samples.
"""

import argparse
import math
import os
import re
import resource
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional


def shuffled(c):
    return [2 * j + 1 for j in range(c // 2)] + [2 * j for j in range(c - c // 2)]


class Map(nn.Module):
    """x W + b on the channels, W = P L U D from one matrix whose diagonal is ln D."""

    def __init__(self, c):
        super().__init__()
        self.a, self.bias = nn.Parameter(torch.zeros(c, c)), nn.Parameter(torch.zeros(c))
        self.register_buffer("order", torch.tensor(shuffled(c)))
        self.register_buffer("one", torch.eye(c))

    def matrix(self):
        lower, upper = self.a.tril(-1) + self.one, self.a.triu(1) + self.one
        product = (lower @ upper) * self.a.diagonal().exp()
        return torch.empty_like(product).index_copy(0, self.order, product)

    def log_det(self):
        return self.a.diagonal().sum()


class RowStep(nn.Module):
    def __init__(self, c, hidden):
        super().__init__()
        self.kept, self.map = c // 2, Map(c)
        last = nn.Linear(hidden, 2 * (c - c // 2))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(c // 2, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last)

    def forward(self, x):
        h = torch.addmm(self.map.bias, x, self.map.matrix())
        a, b = h[:, : self.kept], h[:, self.kept :]
        r, t = self.net(a).chunk(2, 1)
        log_scale = 4 * torch.sigmoid(r) - 2
        y = torch.cat([a, b * log_scale.exp() + t], 1)
        return y, log_scale.sum(1) + self.map.log_det()


class ImageStep(nn.Module):
    def __init__(self, c, hidden):
        super().__init__()
        self.kept, self.map = c // 2, Map(c)
        last = nn.Conv2d(hidden, 2 * (c - c // 2), 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first, second = nn.Conv2d(c // 2, hidden, 3, padding=1), nn.Conv2d(hidden, hidden, 1)
        self.net = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)

    def forward(self, x):
        h = functional.conv2d(x, self.map.matrix().t()[:, :, None, None], self.map.bias)
        a, b = h[:, : self.kept], h[:, self.kept :]
        r, t = self.net(a).chunk(2, 1)
        log_scale = 4 * torch.sigmoid(r) - 2
        y = torch.cat([a, b * log_scale.exp() + t], 1)
        return y, log_scale.sum((1, 2, 3)) + self.map.log_det() * x.shape[2] * x.shape[3]


class Plane(nn.Module):
    BATCH, DIM = 256, 2

    def __init__(self, memory_format):
        super().__init__()
        self.steps = nn.ModuleList([RowStep(2, 64) for _ in range(8)])
        self.data = torch.randn(10_000, 2)

    def batch(self):
        return self.data[torch.randint(10_000, (self.BATCH,))], 0.0

    def forward(self, x):
        log_det = 0.0
        for step in self.steps:
            x, more = step(x)
            log_det = log_det + more
        return [x], log_det


class Images(nn.Module):
    BATCH, DIM, MARGIN = 64, 784, 0.05

    def __init__(self, memory_format):
        super().__init__()
        self.format = memory_format
        self.levels = nn.ModuleList([nn.ModuleList([ImageStep(c, 64) for _ in range(4)]) for c in (4, 8)])
        self.data = torch.randint(256, (self.BATCH, 1, 28, 28)).float()

    def batch(self):
        v = (self.data + torch.rand_like(self.data)) / 256
        p = self.MARGIN + (1 - 2 * self.MARGIN) * v
        gained = -(p * (1 - p)).log().sum((1, 2, 3)) + self.DIM * math.log((1 - 2 * self.MARGIN) / 256)
        return torch.logit(p), gained

    def forward(self, x):
        log_det, out = 0.0, []
        for at, level in enumerate(self.levels):
            x = functional.pixel_unshuffle(x, 2).to(memory_format=self.format)
            for step in level:
                x, more = step(x)
                log_det = log_det + more
            if at == 0:
                x, done = x.chunk(2, 1)
                out.append(done)
        return [*out, x], log_det


NETS = {"plane": Plane, "images": Images}


class Peer:
    def __init__(self, net, memory_format):
        torch.manual_seed(0)
        self.net = NETS[net](memory_format)
        if net == "images":
            self.net = self.net.to(memory_format=memory_format)
        self.optimiser = torch.optim.Adam(self.net.parameters(), 1e-3)

    def step(self):
        x, gained = self.net.batch()
        latents, log_det = self.net(x)
        squares = sum((z * z).flatten(1).sum(1) for z in latents)
        d = self.net.DIM
        loss = ((0.5 * squares - log_det - gained) / d + 0.5 * math.log(2 * math.pi)).mean()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.optimiser.step()
        return loss.item()

    def measure(self, runs):
        for _ in range(3):
            self.step()
        taken, used = [], time.process_time()
        for _ in range(runs):
            start = time.perf_counter()
            self.step()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken), min(taken), (time.process_time() - used) / runs


def of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", choices=NETS)
    parser.add_argument("threads", nargs="?", type=int, default=2)
    parser.add_argument("--madloop", help="the built example flow_step, to run in turn")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    formats = {"contiguous": torch.contiguous_format}
    if args.net == "images":
        formats["channels_last"] = torch.channels_last
    peers = {name: Peer(args.net, of) for name, of in formats.items()}
    parameters = sum(p.numel() for p in next(iter(peers.values())).net.parameters())
    print(f"torch {torch.__version__}, {args.threads} threads, {args.net}, {parameters} parameters")
    runs, steps = {"plane": (300, 400), "images": (15, 20)}[args.net]
    ratios, of_time, least = [], [], (float("inf"), float("inf"))

    def show(name, median, fastest, cpu):
        print(f"{name}: median {median * 1e3:.3f} ms, min {fastest * 1e3:.3f} ms, processor {cpu * 1e3:.3f} ms", flush=True)

    for _ in range(args.rounds if args.madloop else 1):
        taken = {name: peer.measure(runs) for name, peer in peers.items()}
        for name, values in taken.items():
            show(name, *values)
        if args.madloop:
            used = of_children()
            out = subprocess.run([args.madloop, args.net, str(args.threads)], capture_output=True, text=True, check=True).stdout
            cpu = (of_children() - used) / steps
            median, fastest = map(float, re.search(r"train step: median (\S+) s, min (\S+) s", out).groups())
            show(f"madloop (load {os.getloadavg()[0]:.1f})", median, fastest, cpu)
            ratios.append(median / min(median for median, _, _ in taken.values()))
            of_time.append(cpu / min(cpu for _, _, cpu in taken.values()))
            least = (min(least[0], fastest), min(least[1], *(fastest for _, fastest, _ in taken.values())))
    if ratios:
        listed = lambda values: f"{statistics.median(values):.2f} of {', '.join(f'{v:.2f}' for v in values)}"
        print(f"madloop / better PyTorch, median {listed(ratios)}; processor time {listed(of_time)}")
        print(f"fastest of all rounds: {least[0] * 1e3:.3f} ms and {least[1] * 1e3:.3f} ms, ratio {least[0] / least[1]:.2f}")


if __name__ == "__main__":
    main()
