"""Writes the seed corpus of the readers: python seeds.py (needs numpy alone). The first byte of a seed chooses its kind."""

import gzip
import io
import json
import pathlib
import struct

import numpy as np

NPY, NPZ, SAFETENSORS, IDX, CSV, PACKED = range(6)
FOLDER = pathlib.Path(__file__).parent / "corpus" / "readers"


def npy(array, **options):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, **options)
    return out.getvalue()


def npz(compressed=False, **arrays):
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def safetensors(**tensors):
    names = {"float32": "F32", "float64": "F64", "float16": "F16", "uint8": "U8", "int64": "I64"}
    header, data = {}, b""
    for name, array in tensors.items():
        raw = array.tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": names[str(array.dtype)], "shape": list(array.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def idx(code, array):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def packed(*members):
    return b"".join(struct.pack("<H", len(member)) + member for member in members)


rows = (np.arange(24).reshape(8, 3) * 37 % 11).astype("f4")
pixels = (np.arange(2 * 3 * 4 * 3).reshape(2, 3, 4, 3) * 7 % 256).astype("u1")
labels = np.array([0, 1], "i8")
mu, sigma = rows.astype("f8").mean(0), np.cov(rows.astype("f8"), rowvar=False)
provenance = {"madloop": "0.1.0", "n": 8, "d": 3, "features": "none", "sample": "vector of 3", "resize": None}
known = dict(n=np.int64(8), mu_rest=np.zeros(3), provenance=np.frombuffer(json.dumps(provenance).encode(), "u1"))

SEEDS = {
    "npy-f4": (NPY, npy(rows)),
    "npy-f8-fortran": (NPY, npy(np.asfortranarray(rows.astype("f8")))),
    "npy-f2-big-v2": (NPY, npy(rows.astype(">f2"), version=(2, 0))),
    "npy-images": (NPY, npy(pixels)),
    "npy-images-fortran": (NPY, npy(np.asfortranarray(pixels))),
    "npy-object": (NPY, npy(np.array([None, {}], "O"))),
    "npy-structured": (NPY, npy(np.zeros(2, [("a", "f4"), ("b", "u1")]))),
    "npz-stored": (NPZ, npz(arr_0=rows)),
    "npz-images-labels": (NPZ, npz(compressed=True, x=pixels, y=labels)),
    "npz-fortran": (NPZ, npz(x=np.asfortranarray(rows))),
    "npz-empty": (NPZ, npz()),
    "stats-foreign": (NPZ, npz(mu=mu, sigma=sigma)),
    "stats-f4-packed": (NPZ, npz(compressed=True, mu=mu.astype("f4"), sigma=sigma.astype("f4"))),
    "stats-madloop": (NPZ, npz(mu=mu, sigma=sigma, **known)),
    "stats-one": (NPZ, npz(mu=mu, sigma=sigma * np.nan, n=np.int64(1))),
    "safetensors-f4": (SAFETENSORS, safetensors(x=rows, y=np.arange(8))),
    "safetensors-images": (SAFETENSORS, safetensors(images=pixels)),
    "safetensors-f2": (SAFETENSORS, safetensors(x=rows.astype("f2"))),
    "idx-images": (IDX, idx(8, pixels[..., 0])),
    "idx-images-gz": (IDX, gzip.compress(idx(8, pixels[..., 0]), mtime=0)),
    "idx-f4": (IDX, idx(13, rows.astype(">f4"))),
    "idx-f8-gz": (IDX, gzip.compress(idx(14, rows.astype(">f8")), mtime=0)),
    "packed-foreign": (PACKED, packed(npy(mu), npy(sigma))),
    "packed-f4-fortran": (PACKED, packed(npy(mu.astype("f4")), npy(np.asfortranarray(sigma.astype("f4"))))),
    "packed-madloop": (
        PACKED,
        packed(npy(mu), npy(sigma), npy(known["n"]), npy(known["mu_rest"]), npy(known["provenance"])),
    ),
    "csv-header": (CSV, b"a,label,b\n1.5,2,3\n3e4,7,-1\n"),
    "csv-gz": (CSV, gzip.compress(b"1,2\n3,4\n", mtime=0)),
}

FOLDER.mkdir(parents=True, exist_ok=True)
for name, (kind, content) in SEEDS.items():
    (FOLDER / name).write_bytes(bytes([kind]) + content)
