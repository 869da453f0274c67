"""Every way in which a file of weights has been found to be bad, by number: none is opened but as safetensors."""

import io
import json
import os
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save

from tasks import checkpoint
from tasks.checkpoint import read_vgg
from tasks.overrides import checked
from tasks.records.reasons import PairError, Reason
from tasks.roots import Roots
from tasks.transfer.features.vgg import SHAPES

FIRST = "features.0.weight"
FIRST_SHAPE = SHAPES[FIRST]


class Trap:
    """What runs a command where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


def saved(write, *given, **options):
    sink = io.BytesIO()
    write(*given, sink, **options)
    return sink.getvalue()


def deflated(data):
    """A torch file packed again: a few kilobytes that are megabytes once they are unpacked."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as stored, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    return sink.getvalue()


def safetensors(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def npy():
    sink = io.BytesIO()
    np.save(sink, np.array([Trap()], dtype=object), allow_pickle=True)
    return sink.getvalue()


def layout(**others):
    """All names of VGG-19's, with hardly a number in them."""
    return {name: torch.zeros(1) for name in SHAPES} | others


def lying(shape):
    one = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}
    return safetensors({FIRST: one}, bytes(4))


ALIEN = "is not a safetensors file"
BAD = {
    "1 a pickle in torch's format": (saved(torch.save, {FIRST: Trap()}), ALIEN),
    "1 a pickle in torch's older format": (saved(torch.save, Trap(), _use_new_zipfile_serialization=False), ALIEN),
    "1 a pickle": (pickle.dumps(Trap()), ALIEN),
    "2 TorchScript": (lambda: saved(torch.jit.save, torch.jit.script(torch.nn.ReLU())), ALIEN),
    "2 a program that is exported": (
        lambda: saved(lambda p, f: torch.export.save(p, f), torch.export.export(torch.nn.ReLU(), (torch.zeros(1),))),
        ALIEN,
    ),
    "3 zeros that are packed": (deflated(saved(torch.save, torch.zeros(2**22))), ALIEN),
    "4 half a file": (save({FIRST: torch.zeros(FIRST_SHAPE)})[:500], ALIEN),
    "4 a header of 2^40 bytes": (struct.pack("<Q", 1 << 40) + bytes(64), ALIEN),
    "4 a header of 2^64 - 1 bytes": (b"\xff" * 8 + bytes(64), ALIEN),
    "4 a header that is no JSON": (safetensors(b"{" * 64), ALIEN),
    "4 a shape larger than its bytes": (lying([1_024, 1_024]), ALIEN),
    "4 a shape beyond 64 bits": (lying([2**40, 2**40]), ALIEN),
    "4 bytes beyond the end": (
        safetensors({FIRST: {"dtype": "F32", "shape": [2**20], "data_offsets": [0, 2**22]}}, bytes(8)), ALIEN
    ),
    "5 NaN": (save(layout(**{FIRST: torch.full(FIRST_SHAPE, torch.nan)})), f"{FIRST} does not hold finite"),
    "5 infinity": (save(layout(**{FIRST: torch.full(FIRST_SHAPE, torch.inf)})), f"{FIRST} does not hold finite"),
    "6 shapes of another network": (save(layout()), f"{FIRST} has the shape (1,), and VGG-19's has (64, 3, 3, 3)"),
    "6 names of another network": (save({"conv1_1.weight": torch.zeros(2)}), "lacks 32 of VGG-19's tensors"),
    "6 numbers that are whole": (
        save(layout(**{FIRST: torch.zeros(FIRST_SHAPE, dtype=torch.int32)})), "does not hold finite floating-point"
    ),
    "6 an array of objects": (npy(), ALIEN),
}  # fmt: skip


def refused(path, **changes):
    params = checked({"features": "vgg", "vgg_weights": str(path), **changes})
    with pytest.raises(PairError) as caught:
        read_vgg(params, Roots.resolve([f"file://{path.parent}"]))
    assert caught.value.reason is Reason.CHECKPOINT_INVALID
    assert path.name in caught.value.message
    return caught.value.message


def test_every_number_is_here():
    assert {int(name.split()[0]) for name in BAD} == set(range(1, 7))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_of_weights_is_refused_and_nothing_in_it_runs(tmp_path, monkeypatch, name):
    data, words = BAD[name]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data() if callable(data) else data)
    monkeypatch.chdir(tmp_path)
    message = refused(path)
    assert words in message
    assert "manifests/README.md says how to make one" in message
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_3_what_is_too_large_is_known_by_its_size_before_it_is_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    assert f"at most {checkpoint.MAX_BYTES:,} are read" in refused(path)


def test_5_weights_with_another_digest_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save(layout()))
    assert re.search(r"has the sha256 [0-9a-f]{64}, and vgg_sha256 asks for 0{64}", refused(path, vgg_sha256="0" * 64))
