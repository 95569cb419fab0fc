"""An average training step of StyleGAN2 in PyTorch, beside madloop's example `stylegan_step`, round by round: discriminator and generator in every step,
R1 in each 16th and the path length in each 4th, over 16 steps.

    python benches/peers/stylegan_step.py 64 16 0.25 2 --madloop target/release/examples/stylegan_step

The arguments are the side of images, the batch, the factor of channels and the threads. PyTorch's networks are written from the papers in its natural
fast form: activations are scaled by styles (which a CPU does faster than one group an image), upsampling is a transposed convolution and a
filter of depthwise convolutions, Adam is fused, and the faster of both memory formats counts.
"""

import argparse
import math
import os
import re
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional

LATENT, MAPPING, GROUP, ROWS = 512, 8, 4, 512
CYCLE, WARM = 16, 2


def channels(side, factor):
    return max(1, round(min(32768 // side, 512) * factor))


def lrelu(x, gain=math.sqrt(2)):
    return functional.leaky_relu(x * gain, 0.2)


class Linear(nn.Module):
    def __init__(self, i, o, bias=0.0, rate=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i) / rate)
        self.bias = nn.Parameter(torch.full((o,), bias))
        self.gain, self.rate = rate / math.sqrt(i), rate

    def forward(self, x):
        return functional.linear(x * self.gain, self.weight, self.bias * self.rate)


def filtered(x, before, after, gain=1.0, stride=1):
    f = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8 * math.sqrt(gain)
    c = x.shape[1]
    if before == after:
        x = functional.conv2d(x, f.reshape(1, 1, 4, 1).expand(c, 1, 4, 1), padding=(before, 0), stride=(stride, 1), groups=c)
        return functional.conv2d(x, f.reshape(1, 1, 1, 4).expand(c, 1, 1, 4), padding=(0, before), stride=(1, stride), groups=c)
    x = functional.pad(x, [before, after, before, after])
    x = functional.conv2d(x, f.reshape(1, 1, 4, 1).expand(c, 1, 4, 1), groups=c)
    return functional.conv2d(x, f.reshape(1, 1, 1, 4).expand(c, 1, 1, 4), groups=c)


def upsample(x):
    """Zeros between pixels and the filter, as one transposed convolution of few channels."""
    f = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    c = x.shape[1]
    return functional.conv_transpose2d(x, (f[:, None] * f)[None, None].expand(c, 1, 4, 4), stride=2, padding=1, groups=c)


class StyledConv(nn.Module):
    def __init__(self, i, o, k=3, up=False, demodulate=True):
        super().__init__()
        self.style = Linear(LATENT, i, 1.0)
        self.weight = nn.Parameter(torch.randn(i, o, k, k) if up else torch.randn(o, i, k, k))
        self.bias = nn.Parameter(torch.zeros(o))
        self.strength = nn.Parameter(torch.zeros([])) if demodulate else None
        self.gain, self.up, self.k, self.demodulate = 1 / math.sqrt(i * k * k), up, k, demodulate

    def forward(self, x, w):
        s = self.style(w) * self.gain
        x = x * s[:, :, None, None]
        if not self.demodulate:
            return functional.conv2d(x, self.weight, self.bias)
        squares = self.weight.square().sum(dim=(2, 3))
        d = (s.square() @ (squares if self.up else squares.t()) + 1e-8).rsqrt()
        if self.up:
            x = filtered(functional.conv_transpose2d(x, self.weight, stride=2), 1, 1, 4.0)
        else:
            x = functional.conv2d(x, self.weight, padding=1)
        noise = torch.randn(x.shape[0], 1, x.shape[2], x.shape[3])
        return lrelu(torch.addcmul(noise * self.strength + self.bias[:, None, None], x, d[:, :, None, None]))


class Generator(nn.Module):
    def __init__(self, side, factor):
        super().__init__()
        self.mapping = nn.ModuleList(Linear(LATENT, LATENT, rate=0.01) for _ in range(MAPPING))
        self.sides = [4 * 2**at for at in range(int(math.log2(side)) - 1)]
        self.start = nn.Parameter(torch.randn(1, channels(4, factor), 4, 4))
        self.convs, self.images = nn.ModuleList(), nn.ModuleList()
        for s in self.sides:
            c = channels(s, factor)
            if s > 4:
                self.convs.append(StyledConv(channels(s // 2, factor), c, up=True))
            self.convs.append(StyledConv(c, c))
            self.images.append(StyledConv(c, 3, k=1, demodulate=False))
        self.styles = 2 * len(self.sides)

    def style(self, z):
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            x = lrelu(layer(x))
        return x

    def mixed(self, n):
        w = self.style(torch.randn(2 * n, LATENT))
        cut = torch.where(torch.rand(n) < 0.9, torch.randint(1, self.styles, (n,)), self.styles)
        second = torch.arange(self.styles)[None, :] >= cut[:, None]
        return torch.where(second[..., None], w[n:, None], w[:n, None])

    def forward(self, styles):
        x = self.start.expand(styles.shape[0], -1, -1, -1)
        convs, at, image = iter(self.convs), 0, None
        for s, to_image in zip(self.sides, self.images):
            for _ in range(1 if s == 4 else 2):
                x = next(convs)(x, styles[:, at])
                at += 1
            y = to_image(x, styles[:, at])
            image = y if image is None else upsample(image) + y
        return image


class Conv(nn.Module):
    def __init__(self, i, o, k, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i, k, k))
        self.bias = nn.Parameter(torch.zeros(o)) if bias else None
        self.gain = 1 / math.sqrt(i * k * k)

    def forward(self, x, down=False):
        k = self.weight.shape[2]
        if down:
            x = filtered(x, 2, 2) if k == 3 else filtered(x, 1, 1, stride=2)
            return functional.conv2d(x, self.weight * self.gain, self.bias, stride=2 if k == 3 else 1)
        return functional.conv2d(x, self.weight * self.gain, self.bias, padding=k // 2)


class Discriminator(nn.Module):
    def __init__(self, side, factor):
        super().__init__()
        of = lambda s: channels(s, factor)
        self.first = Conv(3, of(side), 1)
        self.blocks = nn.ModuleList()
        while side > 4:
            narrow, wide = of(side), of(side // 2)
            self.blocks.append(nn.ModuleList([Conv(narrow, narrow, 3), Conv(narrow, wide, 3), Conv(narrow, wide, 1, False)]))
            side //= 2
        self.last = Conv(of(4) + 1, of(4), 3)
        self.hidden, self.out = Linear(16 * of(4), of(4)), Linear(of(4), 1)

    def forward(self, x):
        x = lrelu(self.first(x))
        for conv, down, skip in self.blocks:
            h = lrelu(down(lrelu(conv(x)), down=True))
            x = (h + skip(x, down=True)) * math.sqrt(0.5)
        n, c, h, w = x.shape
        y = x.reshape(n // GROUP, GROUP, c, h, w)
        y = (y - y.mean(dim=1, keepdim=True)).square().mean(dim=1)
        y = (y + 1e-8).sqrt().mean(dim=(1, 2, 3)).repeat_interleave(GROUP)
        x = torch.cat([x, y[:, None, None, None].expand(n, 1, h, w)], dim=1)
        x = lrelu(self.last(x))
        return self.out(lrelu(self.hidden(x.flatten(1))))[:, 0]


class Peer:
    def __init__(self, side, batch, factor, memory_format):
        torch.manual_seed(0)
        self.g = Generator(side, factor).to(memory_format=memory_format)
        self.d = Discriminator(side, factor).to(memory_format=memory_format)
        self.side, self.batch, self.format = side, batch, memory_format
        self.average = [p.detach().clone() for p in self.g.parameters()]
        self.data = torch.randint(0, 256, (ROWS, 3, side, side), dtype=torch.uint8)
        adam = lambda net: torch.optim.Adam(net.parameters(), 0.0025, betas=(0.0, 0.99), fused=True)
        self.of_g, self.of_d = adam(self.g), adam(self.d)
        self.length, self.steps = torch.zeros([]), 0

    def real(self):
        rows = torch.randint(ROWS, (self.batch,))
        return (self.data[rows].float() / 127.5 - 1).to(memory_format=self.format)

    def update(self, optimiser, loss):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    def step(self):
        # The discriminator.
        with torch.no_grad():
            made = self.g(self.g.mixed(self.batch))
        real = self.real()
        loss = functional.softplus(self.d(made)).mean() + functional.softplus(-self.d(real)).mean()
        self.update(self.of_d, loss)
        if self.steps % 16 == 0:
            x = real.requires_grad_()
            (slope,) = torch.autograd.grad(self.d(x).sum(), x, create_graph=True)
            self.update(self.of_d, 16 * 0.5 * slope.square().sum(dim=(1, 2, 3)).mean())
        # The generator.
        if self.steps % 4 == 0:
            styles = self.g.mixed(self.batch // 2)
            image = self.g(styles)
            y = torch.randn_like(image) / self.side
            (slope,) = torch.autograd.grad((image * y).sum(), styles, create_graph=True)
            lengths = slope.square().sum(dim=2).mean(dim=1).sqrt()
            self.length = self.length.lerp(lengths.detach().mean(), 0.01)
            self.update(self.of_g, 8 * (lengths - self.length).square().mean())
        for p in self.d.parameters():
            p.requires_grad_(False)
        self.update(self.of_g, functional.softplus(-self.d(self.g(self.g.mixed(self.batch)))).mean())
        for p in self.d.parameters():
            p.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.g.parameters()), 0.001)
        self.steps += 1

    def measure(self):
        """Seconds and processor seconds of an average step."""
        while self.steps < WARM:
            self.step()
        start = time.perf_counter(), time.process_time()
        for _ in range(CYCLE):
            self.step()
        return (time.perf_counter() - start[0]) / CYCLE, (time.process_time() - start[1]) / CYCLE


def madloop(command):
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(float(x) for x in re.search(r"mean (\S+) s, processor (\S+) s", out).groups())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", type=int)
    parser.add_argument("batch", nargs="?", type=int, default=16)
    parser.add_argument("fmaps", nargs="?", type=float, default=0.25)
    parser.add_argument("threads", nargs="?", type=int, default=2)
    parser.add_argument("--madloop", required=True, help="the built example stylegan_step")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    peers = {name: Peer(args.side, args.batch, args.fmaps, of) for name, of in formats.items()}
    counts = [sum(p.numel() for p in net.parameters()) for net in (peers["contiguous"].d, peers["contiguous"].g)]
    print(f"torch {torch.__version__}, {args.threads} threads, {args.side} px, batch {args.batch}, parameters {counts}", flush=True)
    command = [args.madloop, *map(str, (args.side, args.batch, args.fmaps, args.threads))]
    ratios = []
    for _ in range(args.rounds):
        taken = {name: peer.measure() for name, peer in peers.items()}
        mine = madloop(command)
        best = [min(times[at] for times in taken.values()) for at in (0, 1)]
        ratios.append([mine[at] / best[at] for at in (0, 1)])
        shown = ", ".join(f"{name} {wall:.2f} s ({cpu:.2f})" for name, (wall, cpu) in taken.items())
        print(
            f"  {shown}, madloop {mine[0]:.2f} s ({mine[1]:.2f}), ratio {ratios[-1][0]:.2f} ({ratios[-1][1]:.2f}), "
            f"processor time in brackets (load {os.getloadavg()[0]:.1f})",
            flush=True,
        )
    wall, cpu = (statistics.median(r[at] for r in ratios) for at in (0, 1))
    print(f"madloop / better PyTorch: {wall:.2f} by the clock, {cpu:.2f} by processor time")


if __name__ == "__main__":
    main()
