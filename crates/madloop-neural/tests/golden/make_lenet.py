"""Writes lenet.json: features of the reference LeNet by NumPy in float32, one product and one sum at a time.

    pip install numpy==2.4.6
    python make_lenet.py > lenet.json
"""
import json
import struct
from pathlib import Path

import numpy as np

ASSET = Path(__file__).parents[2] / "assets" / "lenet-mnist.safetensors"


def weights():
    raw = ASSET.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    data = raw[8 + length :]
    head = json.loads(raw[8 : 8 + length])
    head.pop("__metadata__")
    part = lambda about: data[about["data_offsets"][0] : about["data_offsets"][1]]
    return {name: np.frombuffer(part(about), "<f4").reshape(about["shape"]) for name, about in head.items()}


def conv(x, weight, bias, border):
    """[h, w, c] -> largest of each 2 x 2, rectified."""
    x = np.pad(x, ((border, border), (border, border), (0, 0)))
    h, w = x.shape[0] - 4, x.shape[1] - 4
    out = np.broadcast_to(bias, (h, w, len(bias))).copy()
    for dy in range(5):
        for dx in range(5):
            for channel in range(x.shape[2]):
                out += x[dy : dy + h, dx : dx + w, channel, None] * weight[dy, dx, channel]
    out = out.reshape(h // 2, 2, w // 2, 2, -1).max(axis=(1, 3))
    return np.maximum(out, np.float32(0))


def dense(x, weight, bias):
    out = bias.copy()
    for value, row in zip(x, weight):
        out += value * row
    return out


def features(w, pixels):
    x = pixels.astype(np.float32) / np.float32(255)
    x = (x - w["input.mean"]) / w["input.deviation"]
    x = conv(x.reshape(28, 28, 1), w["network.conv.0.weight"], w["network.conv.0.bias"], 2)
    x = conv(x, w["network.conv.1.weight"], w["network.conv.1.bias"], 0).reshape(-1)
    x = np.maximum(dense(x, w["network.dense.0.weight"], w["network.dense.0.bias"]), np.float32(0))
    return dense(x, w["network.dense.1.weight"], w["network.dense.1.bias"])


at = np.arange(3 * 784)
pixels = (at * at % 251).astype(np.uint8).reshape(3, 784)
w = weights()
print(json.dumps([[float(value) for value in features(w, row)] for row in pixels]))
