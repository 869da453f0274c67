"""Files of trained weights: read through the store, checked against digest and layout, kept for the next pair."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.roots import Roots, canonical_uri, shown
from tasks.store import Blob, open_store
from tasks.transfer.features.vgg import SHAPES
from tasks.transfer.item import Checkpoint

MAX_BYTES = 1 << 30
"""All of VGG-19 in float32 has half of it, its convolutions alone 80 MB."""
HOW = "manifests/README.md says how to make one from torchvision's vgg19"

_one_at_a_time = Lock()


def read_vgg(params: Parameters, roots: Roots) -> Checkpoint:
    """VGG-19's convolutions from the file that the parameters name, float32.

    A relative path is taken from the working directory.

    Raises PairError: checkpoint_invalid (not what it should be, digest included), input_forbidden, input_missing,
    input_changed, storage. Read once for as long as it stays as it is, whatever the number of pairs and threads.
    """
    uri = canonical_uri(params.weights_uri, f"file://{Path.cwd()}")
    roots.check(uri)
    found = open_store(uri).stat(uri)
    with _one_at_a_time:
        return _read(uri, found.etag if found else None, params.vgg_sha256, roots)


@lru_cache(maxsize=2)
def _read(uri: str, etag: str | None, sha256: str, roots: Roots) -> Checkpoint:
    try:
        blob = open_store(uri).read(uri, etag=etag, allowed=roots, limit=MAX_BYTES)
    except PairError as error:
        if error.reason in (Reason.INPUT_UNSUPPORTED, Reason.INPUT_TOO_LONG):
            raise _invalid(f"{error.message}; {HOW}") from error
        raise
    if sha256 and blob.sha256 != sha256:
        raise _invalid(
            f"{shown(uri)} has the sha256 {blob.sha256}, and vgg_sha256 asks for {sha256}; "
            "name the file that has it, or correct vgg_sha256"
        )
    return Checkpoint(blob.sha256, _convolutions(blob))


def _convolutions(blob: Blob) -> Mapping[str, torch.Tensor]:
    """The tensors of VGG-19's layout in a file; what else it holds (a classifier) is left."""
    name = shown(blob.uri)
    try:
        tensors = load(blob.data)
    except SafetensorError as error:
        raise _invalid(f"{name} is not a safetensors file ({error}); {HOW}") from error
    missing = [key for key in SHAPES if key not in tensors]
    if missing:
        holds = f"its {len(tensors)} are named {', '.join(shown(key) for key in list(tensors)[:3])}, ..."
        raise _invalid(
            f"{name} lacks {len(missing)} of VGG-19's tensors, the first of them {missing[0]} ({holds}); {HOW}"
        )
    for key, shape in SHAPES.items():
        tensor = tensors[key]
        if tuple(tensor.shape) != shape:
            raise _invalid(f"{name}: {key} has the shape {tuple(tensor.shape)}, and VGG-19's has {shape}; {HOW}")
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
            raise _invalid(f"{name}: {key} does not hold finite floating-point numbers; export it again ({HOW})")
    return {key: tensors[key].float() for key in SHAPES}


def _invalid(message: str) -> PairError:
    return PairError(Reason.CHECKPOINT_INVALID, message)
