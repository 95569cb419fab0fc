"""Writes schedules.json: noise schedules as PyTorch computes them, in double precision.

    pip install torch==2.15.0 numpy==2.4.6
    python make_schedules.py > schedules.json
"""
import json
import math

import torch


def linear(total):
    scale = 1000.0 / total
    betas = torch.linspace(scale * 1e-4, scale * 0.02, total, dtype=torch.float64)
    return betas.clamp(max=0.999)


def cosine(total):
    t = torch.linspace(0, total, total + 1, dtype=torch.float64) / total
    bar = torch.cos((t + 0.008) / 1.008 * (math.pi / 2)) ** 2
    bar = bar / bar[0]
    return (1 - bar[1:] / bar[:-1]).clamp(max=0.999)


out = {"torch": torch.__version__, "schedules": []}
for kind, make in (("linear", linear), ("cosine", cosine)):
    for total in (20, 100, 500, 1000):
        betas = make(total)
        bar = torch.cumprod(1 - betas, 0)
        ratio = 0.5 * (torch.log(bar) - torch.log1p(-bar))
        t = sorted({0, 1, total // 4, total // 2, total - 2, total - 1})
        pick = lambda values: [values[i].item() for i in t]
        out["schedules"].append(
            {"kind": kind, "timesteps": total, "t": t, "beta": pick(betas), "alpha_bar": pick(bar), "half_log_snr": pick(ratio)}
        )
print(json.dumps(out, indent=1))
