"""Which places inputs may come from: our own reading of URIs, before anything is opened (promise 8)."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from tasks.records.reasons import PairError, Reason

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")


def canonical_uri(text: str, base: str) -> str:
    """The one spelling of a URI: `file:///absolute/path` or `s3://bucket/key`.

    `base` is the URI of the folder that relative paths are taken from. Names are literal: nothing in them is
    a wildcard or an escape. Raises PairError (input_forbidden) for whatever is neither a path nor an s3:// URI,
    without ever opening it.
    """
    if not text or not text.isprintable():
        _refuse(text, "holds characters that cannot be printed" if text else "is empty")
    if "::" in text:
        _refuse(text, "chains file systems with '::'")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _relative(text, base)
    if scheme[1] == "file" and scheme[2]:
        return _file(text, text.removeprefix("file://"))
    if scheme[1] == "s3" and scheme[2]:
        return _s3(text)
    if scheme[1].lower() in ("s3", "s3a", "s3n"):
        _refuse(text, "is not spelled s3://bucket/key")
    _refuse(text, f"begins with {scheme[1]}:, which is not read; use a path or s3://bucket/key")


def _relative(text: str, base: str) -> str:
    if base.startswith("s3://"):
        if text.startswith("/"):
            _refuse(text, "is a local path in a manifest that is not local")
        return _s3(f"{base.rstrip('/')}/{text}")
    folder = local_path(base)
    assert folder is not None
    return _file(text, str(folder / text))


def _file(text: str, path: str) -> str:
    if not path.startswith("/"):
        _refuse(text, "names a host; write file:///absolute/path")
    return f"file://{os.path.normpath(path)}".replace("file:////", "file:///")


def _s3(text: str) -> str:
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if "@" in bucket or ":" in bucket:
        _refuse(text, "holds credentials or a port; credentials come from the environment")
    if not _BUCKET.match(bucket):
        _refuse(text, f"names no bucket ({bucket!r})")
    if "?" in key or "#" in key:
        _refuse(text, "holds '?' or '#', which object names here do not")
    if key and any(part in ("", ".", "..") for part in key.rstrip("/").split("/")):
        _refuse(text, "holds an empty part, '.' or '..'")
    return text.rstrip("/")


def _refuse(text: str, why: str) -> NoReturn:
    raise PairError(Reason.INPUT_FORBIDDEN, f"{_shown(text)} {why}")


def _shown(text: str) -> str:
    """The value for a message: without passwords, escaped, at most 80 characters."""
    text = re.sub(r"//[^/@]*@", "//***@", text)
    escaped = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return repr(escaped if len(escaped) <= 80 else escaped[:77] + "...")


def local_path(uri: str) -> Path | None:
    """The path of a file:// URI, else None."""
    return Path(uri.removeprefix("file://")) if uri.startswith("file://") else None


@dataclass(frozen=True)
class Roots:
    """Places that inputs may come from, as URIs with links resolved."""

    uris: tuple[str, ...]

    @classmethod
    def resolve(cls, uris: Iterable[str]) -> "Roots":
        """The places as they are now, links followed: what is linked elsewhere later is not allowed by them."""
        return cls(tuple(dict.fromkeys(_resolved(uri) for uri in uris)))

    def check(self, uri: str) -> None:
        """Raises PairError (input_forbidden) where a canonical URI, its links followed, lies in none of the places."""
        real = _resolved(uri)
        if not any(_inside(real, root) for root in self.uris):
            linked = f" (a link to {_shown(real)})" if real != uri else ""
            raise PairError(
                Reason.INPUT_FORBIDDEN,
                f"{_shown(uri)}{linked} lies outside the places that inputs may come from: {', '.join(self.uris)}; "
                "allow its place with `--allow URI`",
            )


def _resolved(uri: str) -> str:
    path = local_path(uri)
    return uri.rstrip("/") if path is None else f"file://{os.path.realpath(path)}"


def _inside(uri: str, root: str) -> bool:
    scheme, _, rest = uri.partition("://")
    root_scheme, _, place = root.partition("://")
    return scheme == root_scheme and PurePosixPath(rest).is_relative_to(place)
