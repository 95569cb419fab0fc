"""A training step of a small U-Net's convolutional stack in PyTorch, the peer of madloop-neural's example `unet_step`.

    python benches/peers/unet_step.py [THREADS [BASE_CHANNELS]] [--madloop target/release/examples/unet_step] [--rounds N]

Prints median and minimum seconds of a training step (forward, backward, Adam) and of a forward pass without gradients, batch 64,
28x28, in PyTorch's two memory formats. With --madloop the example runs between them, round by round, and the medians of the
rounds' ratios are printed: a busy machine slows neighbours alike.
"""

import argparse
import re
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
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
        self.high = nn.Sequential(*(Block(c) for _ in range(4)))
        self.down = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1)
        self.low = nn.Sequential(*(Block(2 * c) for _ in range(4)))
        self.up = nn.Conv2d(2 * c, c, 3, padding=1)
        self.last = nn.Sequential(*(Block(c) for _ in range(4)))
        self.output = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, x):
        x = self.high(self.input(x))
        low = functional.interpolate(self.low(self.down(x)), scale_factor=2)
        return self.output(self.last(x + self.up(low)))


def seconds(step, warm_up, runs):
    for _ in range(warm_up):
        step()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), min(taken)


class Peer:
    def __init__(self, base, memory_format):
        torch.manual_seed(0)
        self.net = Stack(base).to(memory_format=memory_format)
        self.x = torch.randn(64, 1, 28, 28).to(memory_format=memory_format)
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
        return seconds(self.train, 2, runs), seconds(self.forward, 2, runs)


def show(name, train, forward):
    print(f"{name}")
    print(f"  train step: median {train[0]:.4f} s, min {train[1]:.4f} s")
    print(f"  forward: median {forward[0]:.4f} s, min {forward[1]:.4f} s", flush=True)


def madloop(binary, threads, base):
    out = subprocess.run([binary, str(threads), str(base)], capture_output=True, text=True, check=True).stdout
    return tuple(tuple(map(float, re.search(rf"{what}: median (\S+) s, min (\S+) s", out).groups())) for what in ("train step", "forward"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("threads", nargs="?", type=int, default=2)
    parser.add_argument("base", nargs="?", type=int, default=64)
    parser.add_argument("--madloop", help="the built example, to run in turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=9, help="steps of a round")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} threads, base {args.base}")
    peers = {name: Peer(args.base, getattr(torch, f"{name}_format" if name == "contiguous" else name)) for name in ("contiguous", "channels_last")}
    ratios = []
    for _ in range(args.rounds if args.madloop else 1):
        taken = {}
        for name, peer in peers.items():
            taken[name] = peer.measure(args.runs)
            show(name, *taken[name])
        if args.madloop:
            ours = madloop(args.madloop, args.threads, args.base)
            show("madloop", *ours)
            ratios.append([ours[i][0] / min(t[i][0] for t in taken.values()) for i in range(2)])
    for name, all_ratios in zip(("train step", "forward"), zip(*ratios)):
        listed = ", ".join(f"{r:.2f}" for r in all_ratios)
        print(f"{name}: madloop / better PyTorch, median {statistics.median(all_ratios):.2f} of {listed}")


if __name__ == "__main__":
    main()
