"""Writes wgan.json: the gradient penalty of small critics and its gradient for every parameter, by differentiating twice, in
double precision.

    pip install torch==2.15.0 numpy==2.4.6
    python make_wgan.py > wgan.json

Numbers of inputs and parameters are sines of their place, which the test repeats: 0.9 sin(0.7 place + phase) for inputs, and for the
parameter of number p in the order below size sin(1.3 place + p), size = 2 / sqrt(inputs of a neuron).
"""
import json

import torch
from torch.nn import functional

PENALTY = 10.0
SLOPE = 0.2


def sines(shape, step, phase, size):
    place = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (size * torch.sin(step * place + phase)).float().double().reshape(shape)


def parameters(shapes):
    """Weights of [inputs, outputs] or [k, k, inputs, outputs] and biases, in turn."""
    made = []
    for number, shape in enumerate(shapes):
        weight = shape if len(shape) > 1 else shapes[number - 1]
        inputs = torch.Size(weight[:-1]).numel()
        made.append(sines(shape, 1.3, number, 2 * inputs**-0.5).requires_grad_())
    return made


def mlp(x, parts):
    *hidden, last = parts
    for weight, bias in hidden:
        x = functional.leaky_relu(x @ weight + bias, SLOPE)
    return (x @ last[0] + last[1])[:, 0]


def dcgan(x, parts):
    """Images as height, width, channel; weights as height, width, inputs, outputs."""
    *hidden, last = parts
    x = x.permute(0, 3, 1, 2)
    for weight, bias in hidden:
        x = functional.conv2d(x, weight.permute(3, 2, 0, 1), bias, stride=2, padding=2)
        x = functional.leaky_relu(x, SLOPE)
    x = x.permute(0, 2, 3, 1).flatten(1)
    return (x @ last[0] + last[1])[:, 0]


def case(name, critic, x, shapes):
    x = x.requires_grad_()
    made = parameters(shapes)
    scores = critic(x, list(zip(made[::2], made[1::2])))
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    rows = PENALTY * (slope.flatten(1).norm(dim=1) - 1) ** 2
    gradients = torch.autograd.grad(rows.mean(), made, allow_unused=True)
    plain = lambda values: [float(f"{value:.9g}") for value in values.flatten().tolist()]
    zero = lambda gradient, value: torch.zeros_like(value) if gradient is None else gradient
    return {
        "network": name,
        "penalty": PENALTY,
        "rows": plain(rows),
        "gradients": [plain(zero(gradient, value)) for gradient, value in zip(gradients, made)],
    }


out = {
    "torch": torch.__version__,
    "cases": [
        case("mlp", mlp, sines([5, 3], 0.7, 0.3, 0.9), [[3, 6], [6], [6, 6], [6], [6, 1], [1]]),
        case(
            "dcgan",
            dcgan,
            sines([3, 8, 6, 2], 0.7, 0.3, 0.9),
            [[5, 5, 2, 3], [3], [5, 5, 3, 6], [6], [2 * 2 * 6, 1], [1]],
        ),
    ],
}
print(json.dumps(out))
