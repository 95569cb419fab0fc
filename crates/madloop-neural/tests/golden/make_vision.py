"""Writes vision.json: what the Python networks make of a few images, for tests/vision.rs.

    python make_vision.py --effnet efficientnet_lite0.safetensors > vision.json

torch, torchvision, pytorch-fid, torch-fidelity, efficientnet-lite-pytorch, safetensors and Pillow; versions are in the output. No weights are
downloaded: apart from EfficientNet-Lite0's own, weights come from `fill`, which tests/vision.rs repeats.
"""

import argparse
import json
import sys
from importlib.metadata import version

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

EVERY = 64


def words(key, count):
    """A fixed sequence of 32-bit words."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(key * 0x9E3779B1 & 0xFFFFFFFF)).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x = (x * np.uint32(factor)).astype(np.uint32)
    return x ^ (x >> np.uint32(16))


def units(key, count):
    """From -1/2 to 1/2."""
    return words(key, count).astype(np.float64) / 2**32 - 0.5


def fill(model):
    """Weights by formula, in the order of the state dictionary; returns names and shapes."""
    state = model.state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    for key, name in enumerate(names):
        shape = tuple(state[name].shape)
        u = units(key, int(np.prod(shape)))
        if len(shape) > 1:
            value = u * np.sqrt(24.0 / np.prod(shape[1:]))
        elif name.endswith(("running_var", "bn.weight")) or "_bn" in name and name.endswith(".weight"):
            value = 1.0 + 0.4 * u
        else:
            value = 0.2 * u
        state[name] = torch.from_numpy(value.astype(np.float32).reshape(shape))
    model.load_state_dict(state)
    return [[name, list(state[name].shape)] for name in names]


def image(key, height, width):
    """Pixels `[height, width, 3]`: noise on a slope."""
    noise = (words(1000 + key, height * width * 3) >> 25).astype(np.int64).reshape(height, width, 3)
    i, j, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return ((noise + 2 * i + j * (c + 1)) % 256).astype(np.uint8)


def pil(x, side):
    """As clean-fid: bicubic a channel in float."""
    def one(c):
        return np.asarray(Image.fromarray(x[:, :, c].astype(np.float32), mode="F").resize((side, side), Image.BICUBIC))
    return np.stack([one(c) for c in range(3)]).clip(0, 255)[None]


def some(x):
    x = np.asarray(x, dtype=np.float64).reshape(-1)
    return {"every": EVERY, "values": [float(f"{v:.9g}") for v in x[::EVERY]], "norm": float(np.sqrt((x * x).mean()))}


def nchw(x):
    return torch.from_numpy(x.transpose(2, 0, 1)[None].copy())


@torch.no_grad()
def effnet(weights):
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()
    cases = {}
    for kind in ("formula", "trained"):
        if kind == "formula":
            tensors = fill(model)
        else:
            from safetensors.torch import load_file

            model.load_state_dict(load_file(weights), strict=False)
        for key, (height, width, side) in enumerate([(64, 64, 128), (37, 80, 128), (200, 150, 96)]):
            x = torch.from_numpy((pil(image(key, height, width), side) - 127) / 128).float()
            y = model.extract_features(x).mean((2, 3))
            cases[f"{kind} {key}"] = {"size": [height, width], "side": side, "features": some(y)}
    return {"tensors": tensors, "cases": cases}


@torch.no_grad()
def inception():
    import pytorch_fid.inception as fid
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as tf1

    made = {}

    def filled(*args, **kwargs):
        # The network as pytorch-fid builds it, without its download.
        net = fid._inception_v3(num_classes=1008, aux_logits=False, weights=None)
        net.Mixed_5b = fid.FIDInceptionA(192, pool_features=32)
        net.Mixed_5c = fid.FIDInceptionA(256, pool_features=64)
        net.Mixed_5d = fid.FIDInceptionA(288, pool_features=64)
        net.Mixed_6b = fid.FIDInceptionC(768, channels_7x7=128)
        net.Mixed_6c = fid.FIDInceptionC(768, channels_7x7=160)
        net.Mixed_6d = fid.FIDInceptionC(768, channels_7x7=160)
        net.Mixed_6e = fid.FIDInceptionC(768, channels_7x7=192)
        net.Mixed_7b = fid.FIDInceptionE_1(1280)
        net.Mixed_7c = fid.FIDInceptionE_2(2048)
        made["tensors"] = fill(net)
        made["net"] = net
        return net

    fid.fid_inception_v3 = filled
    model = fid.InceptionV3(resize_input=False, normalize_input=False).eval()
    net = made["net"].eval()
    cases = {}
    seen = {}
    net.Mixed_6d.branch1x1.register_forward_hook(lambda _, __, out: seen.update(spatial=out))
    for key, (height, width) in enumerate([(64, 64), (33, 100), (360, 310)]):
        x = image(key, height, width)
        ways = {
            "torch-fidelity": (tf1(nchw(x).float(), size=(299, 299), align_corners=False) - 128) / 128,
            "pytorch-fid": 2 * F.interpolate(nchw(x).float() / 255, (299, 299), mode="bilinear", align_corners=False) - 1,
            "clean-fid": torch.from_numpy((pil(x, 299) - 128) / 128).float(),
        }
        for way, x in ways.items():
            y = model(x)[0][:, :, 0, 0]
            cases[f"{way} {key}"] = {
                "size": [height, width],
                "resize": way,
                "input": some(x.permute(0, 2, 3, 1)[:, ::29, ::13]),
                "features": some(y),
                "logits": some(y @ net.fc.weight.T),
                "spatial": some(seen["spatial"].permute(0, 2, 3, 1)[..., :7]),
            }
    return {"tensors": made["tensors"], "cases": cases}


@torch.no_grad()
def vgg16():
    import torchvision
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as tf1

    model = torchvision.models.vgg16(weights=None).eval()
    tensors = fill(model)
    del model.classifier[6], model.classifier[5]
    cases = {}
    for key, (height, width) in enumerate([(64, 64), (300, 250)]):
        x = tf1(nchw(image(key, height, width)).float(), size=(224, 224), align_corners=False)
        mean, deviation = (255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225)
        x = torchvision.transforms.functional.normalize(x, mean, deviation)
        cases[str(key)] = {"size": [height, width], "features": some(model(x))}
    return {"tensors": tensors, "cases": cases}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--effnet", required=True)
    args = parser.parse_args()
    packages = ["torch", "torchvision", "pytorch-fid", "torch-fidelity", "efficientnet-lite-pytorch", "pillow"]
    result = {"versions": {name: version(name) for name in packages}}
    result |= {"effnet-lite0": effnet(args.effnet), "inception": inception(), "vgg16": vgg16()}
    json.dump(result, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
