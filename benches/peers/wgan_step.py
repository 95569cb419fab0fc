"""A training step of a WGAN-GP (5 updates of the critic with gradient penalty, one of the generator) on 28x28 images: madloop's networks in
PyTorch, beside its example `wgan_step`, round by round.

    python benches/peers/wgan_step.py mlp 512 64 2 --madloop target/release/examples/wgan_step

The arguments are the network, the MLP's width or the DCGAN's base channels, the batch and the threads. Both sides draw batches, latents
and mixing shares anew for every update and read the loss back. PyTorch gets its fused Adam, one pass of the critic over real and made samples
together, and for the DCGAN both memory formats, of which the faster counts.
"""

import argparse
import os
import re
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional

LATENT, N_CRITIC, PENALTY, ROWS, SIDE = 128, 5, 10.0, 4096, 28


def leaky():
    return nn.LeakyReLU(0.2)


def norm(channels):
    return nn.Sequential(nn.GroupNorm(min(channels // 4, 8), channels), nn.SiLU())


def mlp(width, depth=3):
    def stack(sizes):
        layers = [part for i, o in zip(sizes, sizes[1:]) for part in (nn.Linear(i, o), leaky())]
        return layers[:-1]

    pixels = SIDE * SIDE
    critic = nn.Sequential(nn.Flatten(), *stack([pixels] + [width] * depth + [1]))
    generator = nn.Sequential(*stack([LATENT] + [width] * depth + [pixels]), nn.Tanh(), nn.Unflatten(1, (1, SIDE, SIDE)))
    return critic, generator


def dcgan(base):
    def halve(i, o):
        return [nn.Conv2d(i, o, 5, stride=2, padding=2), leaky()]

    def double(i, o):
        return [nn.Upsample(scale_factor=2), nn.Conv2d(i, o, 3, padding=1), norm(o)]

    critic = nn.Sequential(
        *halve(1, base), *halve(base, 2 * base), *halve(2 * base, 4 * base), nn.Flatten(), nn.Linear(16 * 4 * base, 1)
    )
    generator = nn.Sequential(
        nn.Linear(LATENT, 49 * 4 * base),
        nn.Unflatten(1, (4 * base, 7, 7)),
        norm(4 * base),
        *double(4 * base, 2 * base),
        *double(2 * base, base),
        nn.Conv2d(base, 1, 3, padding=1),
        nn.Tanh(),
    )
    return critic, generator


class Peer:
    def __init__(self, networks, batch, memory_format):
        torch.manual_seed(0)
        self.critic, self.generator = (net.to(memory_format=memory_format) for net in networks)
        self.batch, self.format = batch, memory_format
        self.data = torch.randint(0, 256, (ROWS, 1, SIDE, SIDE), dtype=torch.uint8)
        adam = lambda net: torch.optim.Adam(net.parameters(), 1e-4, betas=(0.0, 0.9), fused=True)
        self.of_critic, self.of_generator = adam(self.critic), adam(self.generator)

    def update(self, optimiser, loss):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    def step(self):
        for parameter in self.critic.parameters():
            parameter.requires_grad_(True)
        for _ in range(N_CRITIC):
            rows = torch.randint(ROWS, (self.batch,))
            real = (self.data[rows].float() / 127.5 - 1).to(memory_format=self.format)
            with torch.no_grad():
                made = self.generator(torch.randn(self.batch, LATENT))
            share = torch.rand(self.batch, 1, 1, 1)
            between = (made + share * (real - made)).to(memory_format=self.format).requires_grad_()
            scores = self.critic(torch.cat([made, real]))
            (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
            penalty = PENALTY * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
            loss = scores[: self.batch].mean() - scores[self.batch :].mean() + penalty
            self.update(self.of_critic, loss)
        for parameter in self.critic.parameters():
            parameter.requires_grad_(False)
        made = self.generator(torch.randn(self.batch, LATENT))
        self.update(self.of_generator, -self.critic(made).mean())

    def measure(self, runs):
        for _ in range(2):
            self.step()
        taken = []
        for _ in range(runs):
            start = time.perf_counter()
            self.step()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken), min(taken)


def madloop(command):
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    median, least = re.search(r"train step: median (\S+) s, min (\S+) s", out).groups()
    return float(median), float(least)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", choices=("mlp", "dcgan"))
    parser.add_argument("size", type=int)
    parser.add_argument("batch", nargs="?", type=int, default=64)
    parser.add_argument("threads", nargs="?", type=int, default=2)
    parser.add_argument("--madloop", required=True, help="the built example wgan_step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=14, help="steps of a round")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    formats = {"contiguous": torch.contiguous_format}
    if args.net == "dcgan":
        formats["channels_last"] = torch.channels_last
    make = mlp if args.net == "mlp" else dcgan
    peers = {name: Peer(make(args.size), args.batch, of) for name, of in formats.items()}
    counts = [sum(p.numel() for p in net.parameters()) for net in make(args.size)]
    print(f"torch {torch.__version__}, {args.threads} threads, {args.net} {args.size}, batch {args.batch}, parameters {counts}")
    command = [args.madloop, args.net, str(args.size), str(args.batch), str(args.threads)]
    ratios, ours, theirs = [], [], []
    for _ in range(args.rounds):
        taken = {name: peer.measure(args.runs) for name, peer in peers.items()}
        mine = madloop(command)
        best = min(median for median, _ in taken.values())
        ratios.append(mine[0] / best)
        ours.append(mine[1])
        theirs.append(min(least for _, least in taken.values()))
        shown = ", ".join(f"{name} {median * 1e3:.1f} ms" for name, (median, _) in taken.items())
        print(f"  {shown}, madloop {mine[0] * 1e3:.1f} ms, ratio {ratios[-1]:.2f} (load {os.getloadavg()[0]:.1f})", flush=True)
    print(f"madloop / better PyTorch by medians: {statistics.median(ratios):.2f} of {', '.join(f'{r:.2f}' for r in ratios)}")
    print(f"fastest of all rounds: {min(ours) * 1e3:.1f} ms and {min(theirs) * 1e3:.1f} ms, ratio {min(ours) / min(theirs):.2f}")


if __name__ == "__main__":
    main()
