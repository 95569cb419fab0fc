"""Training steps in PyTorch, the peers of madloop-neural's examples `unet_step` and `ddpm_step`.

    python benches/peers/unet_step.py [THREADS [BASE_CHANNELS]] [--net stack|unet] [--madloop target/release/examples/unet_step] [--rounds N]

Prints median and minimum seconds of a training step (forward, backward, Adam), batch 64, 28x28, in PyTorch's two memory formats, and
for the stack those of a forward pass without gradients. With --madloop the example runs between them, round by round, and the medians
of the rounds' ratios are printed: a busy machine slows neighbours alike. Peak memory is that of fresh processes, one a peer.

--net stack: convolutions of a small U-Net's shapes, as example `unet_step`. --net unet: the diffusion family's MNIST network with its
whole step (noise, loss, norm of the gradient, Adam with clipping, moving average), as example `ddpm_step`.
"""

import argparse
import copy
import os
import re
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn import functional

BATCH = 64


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, x):
        return x + functional.silu(self.norm(self.conv(x)))


class Stack(nn.Module):
    """Four blocks at full size, four at half of it with twice the channels, four at full size."""

    def __init__(self, c):
        super().__init__()
        self.input = nn.Conv2d(1, c, 3, padding=1)
        self.high = nn.Sequential(*(Residual(c) for _ in range(4)))
        self.down = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1)
        self.low = nn.Sequential(*(Residual(2 * c) for _ in range(4)))
        self.up = nn.Conv2d(2 * c, c, 3, padding=1)
        self.last = nn.Sequential(*(Residual(c) for _ in range(4)))
        self.output = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, x):
        x = self.high(self.input(x))
        low = functional.interpolate(self.low(self.down(x)), scale_factor=2)
        return self.output(self.last(x + self.up(low)))


def norm(channels):
    return nn.GroupNorm(min(channels // 4, 8), channels)


def three(i, o, stride=1):
    return nn.Conv2d(i, o, 3, stride=stride, padding=1)


class Block(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + shift of the embedding)))"""

    def __init__(self, i, o, embedding):
        super().__init__()
        self.norms = nn.ModuleList([norm(i), norm(o)])
        self.convs = nn.ModuleList([three(i, o), three(o, o)])
        self.shift = nn.Linear(embedding, o)
        self.across = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x, embedding):
        h = self.convs[0](functional.silu(self.norms[0](x)))
        h = h + self.shift(embedding)[:, :, None, None]
        return self.across(x) + self.convs[1](functional.silu(self.norms[1](h)))


class Unet(nn.Module):
    """madloop's default U-Net: levels of 1, 2 and 2 times the base channels, two blocks each, one connection across a level."""

    FEATURES = 64

    def __init__(self, base, classes=10, multipliers=(1, 2, 2), blocks=2):
        super().__init__()
        width = 4 * base
        self.time = nn.Sequential(nn.Linear(self.FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Linear(classes, width, bias=False)
        self.input = three(1, base)
        channels = [base * m for m in multipliers]
        now, self.down = base, nn.ModuleList()
        for level, c in enumerate(channels):
            row = [Block(now if at == 0 else c, c, width) for at in range(blocks)]
            now = c
            last = level + 1 == len(channels)
            self.down.append(nn.ModuleList([nn.ModuleList(row), nn.Identity() if last else three(now, now, 2)]))
        self.middle = nn.ModuleList([Block(now, now, width) for _ in range(2)])
        self.up = nn.ModuleList()
        for level, c in reversed(list(enumerate(channels))):
            first = level + 1 == len(channels)
            double = nn.Identity() if first else three(now, c)
            now = now if first else c
            row = [Block(now + c if at == 0 else c, c, width) for at in range(blocks)]
            now = c
            self.up.append(nn.ModuleList([double, nn.ModuleList(row)]))
        self.norm, self.output = norm(now), three(now, 1)

    def forward(self, x, times, labels):
        angles = times[:, None] * 10_000.0 ** (-torch.arange(self.FEATURES // 2) / (self.FEATURES // 2))
        embedding = self.time(torch.cat([angles.sin(), angles.cos()], 1)) + self.label(labels)
        embedding = functional.silu(embedding)
        h, across = self.input(x), []
        for row, halve in self.down:
            for block in row:
                h = block(h, embedding)
            across.append(h)
            h = halve(h)
        for block in self.middle:
            h = block(h, embedding)
        for level, (double, row) in enumerate(self.up):
            if level > 0:
                h = double(functional.interpolate(h, scale_factor=2))
            h = torch.cat([h, across.pop()], 1)
            for block in row:
                h = block(h, embedding)
        return self.output(functional.silu(self.norm(h)))


def seconds(step, warm_up, runs):
    for _ in range(warm_up):
        step()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), min(taken)


class StackPeer:
    def __init__(self, base, memory_format):
        torch.manual_seed(0)
        self.net = Stack(base).to(memory_format=memory_format)
        self.x = torch.randn(BATCH, 1, 28, 28).to(memory_format=memory_format)
        self.optimiser = torch.optim.Adam(self.net.parameters(), 1e-3)

    def train(self):
        loss = ((self.net(self.x) - self.x) ** 2).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def forward(self):
        with torch.no_grad():
            self.net(self.x)

    def measure(self, runs):
        return {"train step": seconds(self.train, 2, runs), "forward": seconds(self.forward, 2, runs)}


class UnetPeer:
    STEPS = 500

    def __init__(self, base, memory_format):
        torch.manual_seed(0)
        self.net = Unet(base).to(memory_format=memory_format)
        self.format = memory_format
        self.average = copy.deepcopy(self.net)
        self.data = torch.rand(BATCH, 1, 28, 28) * 2 - 1
        self.labels = functional.one_hot(torch.arange(BATCH) % 10, 10).float()
        signal = torch.cumprod(1 - torch.linspace(1e-4, 0.02, self.STEPS), 0)
        self.alpha, self.sigma = signal.sqrt(), (1 - signal).sqrt()
        self.optimiser = torch.optim.Adam(self.net.parameters(), 1e-4)

    def train(self):
        times = torch.randint(self.STEPS, (BATCH,))
        alpha, sigma = (values[times][:, None, None, None] for values in (self.alpha, self.sigma))
        noise = torch.randn_like(self.data)
        x = (alpha * self.data + sigma * noise).to(memory_format=self.format)
        labels = self.labels * (torch.rand(BATCH, 1) >= 0.1)
        estimate = sigma * x + alpha * self.net(x, times.float(), labels)
        loss = functional.mse_loss(estimate, noise)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1e-3)
        return loss.item()

    def measure(self, runs):
        return {"train step": seconds(self.train, 2, runs)}


PEERS = {"stack": StackPeer, "unet": UnetPeer}


def show(name, taken):
    print(name)
    for what, (median, least) in taken.items():
        print(f"  {what}: median {median:.4f} s, min {least:.4f} s", flush=True)


def madloop(command):
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"(train step|forward): median (\S+) s, min (\S+) s", out)
    return {what: (float(median), float(least)) for what, median, least in found}


def peak_megabytes(command):
    """Largest resident set of a fresh process."""
    # Through a small process: a child counts what its parent had when it was forked.
    through = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    through += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    return int(subprocess.run([sys.executable, "-c", through, *command], capture_output=True, check=True).stdout) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("threads", nargs="?", type=int, default=2)
    parser.add_argument("base", nargs="?", type=int, default=64)
    parser.add_argument("--net", choices=PEERS, default="stack")
    parser.add_argument("--madloop", help="the built example, to run in turn: unet_step for the stack, ddpm_step for the unet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=9, help="steps of a round")
    parser.add_argument("--only", choices=("contiguous", "channels_last"), help="one memory format")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    peers = {name: PEERS[args.net](args.base, of) for name, of in formats.items() if args.only in (None, name)}
    parameters = sum(p.numel() for p in next(iter(peers.values())).net.parameters())
    print(f"torch {torch.__version__}, {args.threads} threads, {args.net} of base {args.base}, {parameters} parameters")
    numbers = [args.threads, args.base] if args.net == "stack" else [args.base, BATCH, args.threads]
    command = [args.madloop, *map(str, numbers)]
    ratios, least = {}, {}
    for _ in range(args.rounds if args.madloop else 1):
        taken = {}
        for name, peer in peers.items():
            taken[name] = peer.measure(args.runs)
            show(name, taken[name])
        if args.madloop:
            ours = madloop(command)
            show(f"madloop (load {os.getloadavg()[0]:.1f})", ours)
            for what in set.intersection(set(ours), *map(set, taken.values())):
                theirs = [t[what] for t in taken.values()]
                ratios.setdefault(what, []).append(ours[what][0] / min(median for median, _ in theirs))
                before = least.get(what, (float("inf"), float("inf")))
                least[what] = (min(before[0], ours[what][1]), min(before[1], *(one for _, one in theirs)))
    for what, listed in sorted(ratios.items(), reverse=True):
        print(f"{what}: madloop / better PyTorch, median {statistics.median(listed):.2f} of {', '.join(f'{r:.2f}' for r in listed)}")
        print(f"  fastest of all rounds: {least[what][0]:.4f} s and {least[what][1]:.4f} s, ratio {least[what][0] / least[what][1]:.2f}")
    if args.madloop:
        again = [sys.executable, __file__, str(args.threads), str(args.base), "--net", args.net, "--runs", "3", "--only"]
        peaks = {name: peak_megabytes([*again, name]) for name in peers} | {"madloop": peak_megabytes(command)}
        print("peak memory: " + ", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks.items()))


if __name__ == "__main__":
    main()
