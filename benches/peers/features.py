"""Times image features: `madloop stats` against the PyTorch networks on the same folder of images.

    python benches/peers/features.py --madloop target/release/madloop --images FOLDER --effnet WEIGHTS [--n 2000] [--inception-n 64]

Every measurement is a fresh process over decoding, resizing and the network; madloop's also writes mean and covariance. PyTorch runs with as
many threads as there are cores and batches of 32; its clock starts after imports and the loading of weights, madloop's with the process.
Inception has random weights (its own cannot be had everywhere): the time does not depend on them. Processor time is told beside the wall
time, for machines that do other things too.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH = 32


def batches(folder, n):
    import numpy as np
    from PIL import Image

    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:n]
    for first in range(0, len(files), BATCH):
        yield [np.asarray(Image.open(path).convert("RGB")) for path in files[first : first + BATCH]]


def effnet(args):
    import numpy as np
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from PIL import Image
    from safetensors.torch import load_file

    net = EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()
    net.load_state_dict(load_file(args.effnet))

    def resized(x):
        one = lambda c: Image.fromarray(x[:, :, c].astype(np.float32), mode="F").resize((128, 128), Image.BICUBIC)
        return np.stack([np.asarray(one(c)) for c in range(3)]).clip(0, 255)

    return lambda images: net.extract_features(
        torch.from_numpy((np.stack([resized(x) for x in images]) - 127) / 128)
    ).mean((2, 3))


def inception(args):
    import numpy as np
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    net = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=args.inception)
    return lambda images: net(torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2)))


def peer(args):
    import torch

    run = {"effnet-lite0": effnet, "inception": inception}[args.peer](args)
    torch.set_num_threads(os.cpu_count())
    with torch.no_grad():
        run(next(iter(batches(args.images, 2))))
        processor, start, done = time.process_time(), time.perf_counter(), 0
        for images in batches(args.images, args.n):
            run(images)
            done += len(images)
    wall, processor = time.perf_counter() - start, time.process_time() - processor
    print(json.dumps({"images": done, "wall": wall, "processor": processor}))


def random_inception(path):
    """A weights file with the network's tensors and random values."""
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as module

    torch.manual_seed(0)
    keep = {}
    load = torch.load
    torch.load = lambda *_, **__: keep["state"]
    original = torch.nn.Module.load_state_dict

    def fill(self, state):
        keep["state"] = self.state_dict()

    torch.nn.Module.load_state_dict = fill
    keep["state"] = {}
    module.FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path="none")
    torch.load, torch.nn.Module.load_state_dict = load, original
    torch.save(keep["state"], path)


def own(args, name, weights, n):
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "images"
        part.mkdir()
        files = sorted(path for path in Path(args.images).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        for at, path in enumerate(files[:n]):
            shutil.copyfile(path, part / f"{at:06d}{path.suffix}")
        command = [args.madloop, "stats", str(part), "-o", f"{folder}/stats.npz", "--features", name, "--weights", weights]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"images": min(n, len(files)), "wall": wall, "processor": processor}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--madloop", default="target/release/madloop")
    parser.add_argument("--images", required=True)
    parser.add_argument("--effnet", required=True)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--inception-n", type=int, default=64)
    parser.add_argument("--inception", help=argparse.SUPPRESS)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    with tempfile.TemporaryDirectory() as folder:
        weights = f"{folder}/inception.pth"
        make = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import features; features.random_inception({weights!r})"
        subprocess.run([sys.executable, "-c", make], check=True)
        for name, file, n in (("effnet-lite0", args.effnet, args.n), ("inception", weights, args.inception_n)):
            command = [sys.executable, __file__, "--peer", name, "--images", args.images, "--effnet", args.effnet]
            command += ["--inception", weights, "--n", str(n)]
            torch = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            for who, found in (("madloop", own(args, name, file, n)), ("PyTorch", torch)):
                rate, cost = found["images"] / found["wall"], 1000 * found["processor"] / found["images"]
                print(f"{name:14} {who:8} {found['images']:6} images {rate:8.1f} images/s {cost:8.1f} ms of processor time an image")


if __name__ == "__main__":
    main()
