"""Writes small files as torch.save does, for the tests of src/vision/pickle.rs: zip.pth, legacy.pth and call.pth.

    pip install torch==2.15.0 numpy==2.4.6
    python make_pth.py
"""
import collections

import torch


class Call:
    """What a reader must not run."""

    def __reduce__(self):
        import os

        return os.system, ("echo called",)


whole = torch.arange(12, dtype=torch.float32).reshape(3, 4)
state = collections.OrderedDict(
    [
        ("a.weight", whole),
        # A part of the same values, and the same in another order.
        ("a.part", whole[1]),
        ("a.turned", whole.T),
        ("b.bias", torch.nn.Parameter(torch.tensor([0.5, -1.25]), requires_grad=False).data),
        ("b.num_batches_tracked", torch.tensor(7)),
        ("scalar", torch.tensor(2.5)),
    ]
)
state._metadata = collections.OrderedDict([("", {"version": 1}), ("a", {"version": 2})])
torch.save(state, "zip.pth")
torch.save(state, "legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"x": Call()}, "call.pth")
