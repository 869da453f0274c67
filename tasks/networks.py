"""Networks for one style, below models/<style digest>/ of a root: written once, found by the digest of the style."""

import hashlib
from functools import lru_cache
from threading import Lock
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from tasks.layout import Layout
from tasks.records.reasons import PairError, Reason
from tasks.records.words import at_root
from tasks.roots import shown
from tasks.store import AlreadyExists, open_store
from tasks.training.header import header_of, text_of
from tasks.transfer.feedforward import Architecture, Network
from tasks.transfer.item import Trained

FORMAT = 1
MAX_BYTES = 1 << 30

_one_at_a_time = Lock()


def publish(layout: Layout, name: str, network: Network, header: dict[str, Any]) -> tuple[str, str]:
    """Write a network for good; returns its URI and digest.

    `header` holds at least the style's digest and the settings that it was trained with. Raises AlreadyExists where
    another one has this name.
    """
    told = {"format": FORMAT, "architecture": network.architecture.as_dict(), **header}
    weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    data, uri = save(weights, text_of(told)), layout.model(header["style"]["sha256"], name)
    if not open_store(uri).commit(uri, data):
        raise AlreadyExists(uri)
    return uri, hashlib.sha256(data).hexdigest()


def find_network(root: str, style_sha256: str, name: str, style_uri: str) -> Trained:
    """The network of a style by its name, or the newest where the name is empty.

    Raises PairError: checkpoint_invalid where there is none, or it is not as it was written; storage. Read once for as
    long as it stays as it is, whatever the number of pairs and threads.
    """
    layout = Layout(root)
    store, folder = open_store(root), layout.models(style_sha256)
    found = [(stat.modified, uri, stat.etag) for uri, stat in store.list(folder) if uri.endswith(".safetensors")]
    named = [one for one in found if one[1] == layout.model(style_sha256, name)] if name else found
    if not named:
        what = f"no network {name!r} of" if found else "no network of"
        named_so = f" --name {name}" if name else ""
        raise PairError(
            Reason.CHECKPOINT_INVALID,
            f"{what} the style {shown(style_uri)} below {folder}; train one: "
            f"`gramophone train {style_uri} --corpus MANIFEST_OR_DIR{named_so} {at_root(root)}`",
        )
    _, uri, etag = max(named)
    with _one_at_a_time:
        return _read(uri, etag)


@lru_cache(maxsize=4)
def _read(uri: str, etag: str) -> Trained:
    try:
        blob = open_store(uri).read(uri, etag=etag, limit=MAX_BYTES)
    except PairError as error:
        if error.reason in (Reason.INPUT_UNSUPPORTED, Reason.INPUT_TOO_LONG):
            raise _invalid(error.message) from error
        raise
    try:
        weights, header = load(blob.data), header_of(blob.data)
        if header.get("format") != FORMAT:
            raise ValueError(f"its format is {header.get('format')}, and this version reads {FORMAT}")
        network = Network(Architecture(**header["architecture"]))
        network.load_state_dict(weights)
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ValueError("it holds numbers that are not finite")
        settings = header["settings"]
        rate, n_fft, hop = (int(settings[key]) for key in ("sample_rate", "n_fft", "hop_length"))
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        why = str(error).split("\n")[0]
        raise _invalid(f"{shown(uri)} is not a network as `gramophone train` writes it ({why})") from error
    return Trained(blob.sha256, network.eval().requires_grad_(False), rate, n_fft, hop)


def _invalid(message: str) -> PairError:
    return PairError(Reason.CHECKPOINT_INVALID, f"{message}; move it away and train another")
