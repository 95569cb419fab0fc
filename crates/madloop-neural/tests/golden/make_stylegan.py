"""Writes stylegan.json: layers, networks and regularisers of StyleGAN2 and the gradients of all parameters, in PyTorch and double precision,
written from the papers (arXiv:1912.04958, arXiv:2006.06676). Regularisers are differentiated twice.

    pip install torch==2.15.0 numpy==2.4.6
    python make_stylegan.py > stylegan.json

Numbers of inputs and parameters are sines of their place, which the test repeats: size sin(step place + phase), with step 0.7 for inputs
and 1.3 for parameters, whose phase is their number in the order of their declaration; biases of styles are 1 more. Images lie as height,
width, channel, and weights as height, width, inputs, outputs. Gradients are given as some of their numbers (evenly spread) and their norm.
"""
import json
import math

import torch
from torch.nn import functional

MOST, FACTOR, GROUP = 6, 1.0, 2
LATENT, MAPPING = 5, 2


def sines(shape, step, phase, size):
    place = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (size * torch.sin(step * place + phase)).float().double().reshape(shape)


def channels(side):
    return max(1, round(min(32768 // side, MOST) * FACTOR))


class Parameters:
    """Declares parameters in order, or hands out those that were declared."""

    def __init__(self):
        self.specs, self.values = [], {}

    def __call__(self, path, *shape, size=1.0, plus=0.0):
        if path not in self.values:
            value = sines(shape, 1.3, len(self.specs), size) + plus
            self.specs.append([path, list(shape)])
            self.values[path] = value.float().double().requires_grad_()
        return self.values[path]


def lrelu(x, gain=math.sqrt(2)):
    return functional.leaky_relu(x, 0.2) * gain


def linear(x, weight, bias, rate=1.0):
    return x @ (weight * rate / math.sqrt(weight.shape[0])) + bias * rate


def filtered(x, before, after, gain=1.0):
    """The filter [1, 3, 3, 1] / 8 in both directions, with so many zeros before and after; [n, c, h, w]."""
    f = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    n, c, h, w = x.shape
    x = functional.pad(x, [before, after, before, after]).reshape(n * c, 1, h + before + after, w + before + after)
    x = functional.conv2d(x, (f[:, None] * f[None, :])[None, None] * gain)
    return x.reshape(n, c, x.shape[2], x.shape[3])


def upsample(x):
    n, c, h, w = x.shape
    wide = torch.zeros(n, c, h, 2, w, 2, dtype=x.dtype)
    wide[:, :, :, 0, :, 0] = x
    return filtered(wide.reshape(n, c, 2 * h, 2 * w), 2, 1, 4.0)


def downsample(x):
    return filtered(x, 1, 1)[:, :, ::2, ::2]


def torch_weight(weight):
    return weight.permute(3, 2, 0, 1)


def down_conv(x, weight):
    return functional.conv2d(filtered(x, 2, 2), torch_weight(weight), stride=2)


def modulated(x, weight, style, up=False, demodulate=True):
    """The weights of each image, as groups of one convolution; [n, i, h, w], [k, k, i, o], [n, i]."""
    n, i, h, w = x.shape
    o, k = weight.shape[3], weight.shape[0]
    each = torch_weight(weight)[None] * style[:, None, :, None, None]  # [n, o, i, k, k]
    if demodulate:
        each = each * (each.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, n * i, h, w)
    if up:
        y = functional.conv_transpose2d(x, each.transpose(1, 2).reshape(n * i, o, k, k), stride=2, groups=n)
        return filtered(y.reshape(n, o, y.shape[2], y.shape[3]), 1, 1, 4.0)
    y = functional.conv2d(x, each.reshape(n * o, i, k, k), padding=k // 2, groups=n)
    return y.reshape(n, o, h, w)


def with_deviation(x, group):
    n, c, h, w = x.shape
    y = x.reshape(n // group, group, c, h, w)
    y = y - y.mean(dim=1, keepdim=True)
    y = (y.square().mean(dim=1) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    y = y.reshape(n // group, 1, 1, 1, 1).expand(n // group, group, 1, h, w).reshape(n, 1, h, w)
    return torch.cat([x, y], dim=1)


def sides(side):
    return [4 * 2**at for at in range(int(math.log2(side)) - 1)]


def discriminator(p, x):
    """[n, h, w, c] -> [n]."""
    side, c = x.shape[1], x.shape[3]
    x = x.permute(0, 3, 1, 2)
    blocks = []
    for s in reversed(sides(side)[1:]):
        narrow, wide = channels(s), channels(s // 2)
        at = f"block.{s}"
        blocks.append(
            (
                p(f"{at}.first.weight", 3, 3, narrow, narrow),
                p(f"{at}.first.bias", narrow, size=0.1),
                p(f"{at}.down.weight", 3, 3, narrow, wide),
                p(f"{at}.down.bias", wide, size=0.1),
                p(f"{at}.skip.weight", 1, 1, narrow, wide),
            )
        )
    first, last = channels(side), channels(4)
    gained = lambda weight: weight / math.sqrt(weight[..., 0].numel())
    bias = lambda b: b[None, :, None, None]
    weight = p("from_image.weight", 1, 1, c, first)
    x = lrelu(functional.conv2d(x, torch_weight(gained(weight))) + bias(p("from_image.bias", first, size=0.1)))
    for w0, b0, w1, b1, skip in blocks:
        h = lrelu(functional.conv2d(x, torch_weight(gained(w0)), padding=1) + bias(b0))
        h = lrelu(down_conv(h, gained(w1)) + bias(b1))
        x = (h + functional.conv2d(downsample(x), torch_weight(gained(skip)))) / math.sqrt(2)
    x = with_deviation(x, GROUP)
    weight = gained(p("conv.weight", 3, 3, last + 1, last))
    x = lrelu(functional.conv2d(x, torch_weight(weight), padding=1) + bias(p("conv.bias", last, size=0.1)))
    x = x.permute(0, 2, 3, 1).flatten(1)
    x = lrelu(linear(x, p("hidden.weight", 16 * last, last), p("hidden.bias", last, size=0.1)))
    return linear(x, p("out.weight", last, 1), p("out.bias", 1, size=0.1))[:, 0]


def mapping(p, z):
    x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    for at in range(MAPPING):
        weight = p(f"mapping.layer.{at}.weight", LATENT, LATENT, size=100.0)
        x = lrelu(linear(x, weight, p(f"mapping.layer.{at}.bias", LATENT, size=10.0), 0.01))
    return x


def synthesis(p, styles, noise, side, c):
    """[n, layers, latent] -> [n, h, w, c]."""
    n = styles.shape[0]
    x = p("synthesis.start", 1, 4, 4, channels(4)).permute(0, 3, 1, 2).expand(n, -1, -1, -1)
    image, at, noise = None, 0, iter(noise)

    def style(path, i):
        weight, bias = p(f"{path}.style.weight", LATENT, i), p(f"{path}.style.bias", i, size=0.1, plus=1.0)
        return linear(styles[:, at], weight, bias)

    def layer(x, path, i, o, up):
        s = style(path, i)
        weight = p(f"{path}.weight", 3, 3, i, o) / math.sqrt(9 * i)
        strength = p(f"{path}.strength", 1, size=0.3)
        b = p(f"{path}.bias", o, size=0.1)
        y = modulated(x, weight, s, up)
        return lrelu(y + next(noise)[:, None] * strength + b[None, :, None, None])

    for s in sides(side):
        wide = channels(s)
        path = f"synthesis.block.{s}"
        if s > 4:
            x = layer(x, f"{path}.up", channels(s // 2), wide, True)
            at += 1
        x = layer(x, f"{path}.conv", wide, wide, False)
        at += 1
        st = style(f"{path}.to_image", wide)
        weight = p(f"{path}.to_image.weight", 1, 1, wide, c) / math.sqrt(wide)
        y = modulated(x, weight, st, demodulate=False) + p(f"{path}.to_image.bias", c, size=0.1)[None, :, None, None]
        image = y if image is None else upsample(image) + y
    return image.permute(0, 2, 3, 1)


def plain(values):
    return [float(f"{value:.9g}") for value in values.flatten().tolist()]


def parts(gradient):
    """Some numbers of a gradient, and its norm."""
    flat = gradient.flatten()
    step = max(1, flat.numel() // 40)
    return {"step": step, "some": plain(flat[::step]), "norm": float(f"{flat.norm().item():.9g}")}


def gradients(p, loss):
    found = torch.autograd.grad(loss, list(p.values.values()), allow_unused=True)
    zero = lambda g, value: torch.zeros_like(value) if g is None else g
    return [parts(zero(g, value)) for g, value in zip(found, p.values.values())]


def of_layers():
    image = lambda *shape, phase: sines(shape, 0.7, phase, 0.9)
    first = lambda x: x.permute(0, 3, 1, 2)
    last = lambda x: plain(x.permute(0, 2, 3, 1))
    x, weight, style = image(2, 3, 4, 3, phase=0.1), sines([3, 3, 3, 2], 1.3, 0.2, 0.8), sines([2, 3], 0.7, 0.5, 1.5)
    even = image(2, 4, 6, 3, phase=0.1)
    return {
        "up": last(upsample(first(x))),
        "down": last(downsample(first(even))),
        "down_conv": last(down_conv(first(even), weight)),
        "modulated": last(modulated(first(x), weight, style)),
        "modulated_up": last(modulated(first(x), weight, style, up=True)),
        "deviation": last(with_deviation(first(image(4, 2, 2, 3, phase=0.1)), 2)),
    }


def of_discriminator(side, c, n, gamma):
    p = Parameters()
    x = sines([n, side, side, c], 0.7, 0.3, 0.9).requires_grad_()
    scores = discriminator(p, x)
    forward = gradients(p, functional.softplus(scores).mean())
    scores = discriminator(p, x)
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    rows = gamma / 2 * slope.square().sum(dim=(1, 2, 3))
    second = gradients(p, rows.mean())
    return {
        "side": side, "channels": c, "rows": n, "gamma": gamma, "parameters": p.specs, "scores": plain(scores),
        "gradients": forward, "r1": plain(rows), "r1_gradients": second,
    }


def of_generator(side, c, n, mean, weight):
    p = Parameters()
    layers = 2 * len(sides(side))
    z, z2 = sines([n, LATENT], 0.7, 0.3, 0.9), sines([n, LATENT], 0.7, 0.9, 0.9)
    noise_sides = [4] + [s for s in sides(side)[1:] for _ in range(2)]
    noise = [sines([n, s, s], 0.7, 0.2 * at, 1.0) for at, s in enumerate(noise_sides)]
    y = sines([n, side, side, c], 0.9, 0.4, 1.0) / side

    def make():
        w, w2 = mapping(p, z), mapping(p, z2)
        # Image r takes its second style from layer r + 1 on.
        second = torch.arange(layers)[None, :] >= torch.arange(n)[:, None] + 1
        styles = torch.where(second[..., None], w2[:, None], w[:, None])
        return styles, synthesis(p, styles, noise, side, c)

    _, image = make()
    forward = gradients(p, (image * y).sum(dim=(1, 2, 3)).square().mean())
    styles, image = make()
    (slope,) = torch.autograd.grad((image * y).sum(), styles, create_graph=True)
    lengths = slope.square().sum(dim=2).mean(dim=1).sqrt()
    new = mean + 0.01 * (lengths.detach().mean() - mean)
    rows = weight * (lengths - new).square()
    second = gradients(p, rows.mean())
    return {
        "side": side, "channels": c, "rows": n, "mean": mean, "weight": weight, "parameters": p.specs,
        "image": parts(image), "gradients": forward, "lengths": plain(lengths), "penalty": plain(rows),
        "path_gradients": second,
    }


out = {
    "torch": torch.__version__,
    "layers": of_layers(),
    "discriminators": [of_discriminator(16, 3, 4, 3.0), of_discriminator(8, 1, 2, 1.0)],
    "generators": [of_generator(16, 3, 3, 0.7, 2.0), of_generator(8, 1, 2, 0.0, 1.0)],
}
print(json.dumps(out))
