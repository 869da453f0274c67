"""Which places inputs may come from: our own reading of URIs, before anything is opened (promise 8)."""

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from tasks.records.reasons import PairError, Reason, UsageError

MAX_CHARACTERS = 4_096
SHOWN_CHARACTERS = 80

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
# What some library or other would not take literally in the key of an object: versions, fragments, wildcards, escapes.
_NOT_LITERAL = re.compile(r"[?#*\[\]]|%[0-9A-Fa-f]{2}")
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # in names of some scripts, and in emoji
_USER = re.compile(r"(?<=://)(?:[^/@:]*:.*|[^/@]*)@|^([^/@:]+:)[^/@]+@", re.DOTALL)
_QUERY = re.compile(r"(?<=\?).*", re.DOTALL)


def canonical_uri(text: str, base: str) -> str:
    """The one spelling of a URI: `file:///absolute/path` or `s3://bucket/key`.

    `base` is the URI of the folder that relative paths are taken from. Local names are literal: nothing in them
    is a wildcard or an escape, and `..` in a path is taken away by its letters, before any link is followed.
    Raises PairError (input_forbidden) for whatever is neither a path nor an s3:// URI, and for a local path below
    a base that is not local; nothing is ever opened.
    """
    _check_characters(text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _path(text, base)
    name, rest = scheme[1], text[scheme.end() :]
    if name == "s3" and rest.startswith("//"):
        return _s3(text)
    if name == "file" and rest.startswith("//"):
        return _file(text, base)
    if name.lower() in ("s3", "s3a", "s3n"):
        _refuse(text, "is not spelled s3://bucket/key")
    if name.lower() in ("file", "local"):
        _refuse(text, "is not spelled file:///absolute/path")
    hint = "" if rest.startswith("//") else f"; for a file of this name write ./{name[:20]}:..."
    _refuse(text, f"begins with {name[:20]}:, which is not read; use a path or s3://bucket/key{hint}")


def shown(text: str) -> str:
    """A URI for a message: passwords and signatures taken out, escaped, at most 80 characters of its two ends."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in bare(text))
    return f"'{text if len(text) <= SHOWN_CHARACTERS else text[:26] + '...' + text[29 - SHOWN_CHARACTERS :]}'"


def bare(text: str) -> str:
    """A text without the passwords and signatures of URIs; of one too long for a URI its two ends.

    A URI in its one spelling stays as it is, and one that is refused is still refused.
    """
    if len(text) > MAX_CHARACTERS:
        text = text[: MAX_CHARACTERS // 2 + 1] + text[-MAX_CHARACTERS // 2 - 1 :]
    before, at, rest = text.rpartition("@")  # searched alone: there is no end to look for behind it, in vain each time
    text = _USER.sub(lambda found: f"{found[1] or ''}***@", before + at) + rest
    return text if "://" not in text or text.startswith("file:///") else _QUERY.sub("***", text)


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
        self.check_resolved(uri, _resolved(uri))

    def check_resolved(self, uri: str, real: str) -> None:
        """The same for a URI whose links were followed before, to `real`."""
        if any(_inside(real, root) for root in self.uris):
            return
        linked = f" (a link to {shown(real)})" if real != uri.rstrip("/") else ""
        places = ", ".join(self.uris) or "none"
        raise PairError(
            Reason.INPUT_FORBIDDEN,
            f"{shown(uri)}{linked} lies outside the places that inputs may come from: {places}; "
            "allow its place with `--allow URI`",
        )


def _check_characters(text: str) -> None:
    if not text.strip():
        _refuse(text, "is empty")
    if len(text) > MAX_CHARACTERS:
        _refuse(text, f"is longer than {MAX_CHARACTERS:,} characters")
    if any(unicodedata.category(c) in _INVISIBLE and c not in _JOINERS for c in text):
        _refuse(text, "holds characters that cannot be seen (control characters or marks of direction)")
    if "::" in text:
        _refuse(text, "chains file systems with '::'")
    if "***@" in text or "?***" in text:
        _refuse(text, "holds *** in place of a password or a signature")


def _path(text: str, base: str) -> str:
    """A path without a scheme, below `base` where it is relative."""
    if len(base) + 1 + len(text) > MAX_CHARACTERS:
        _refuse(text, f"is longer than {MAX_CHARACTERS:,} characters with the folder that it lies in")
    if base.startswith("s3://"):
        if text.startswith("/"):
            _refuse(text, "is a local path in a manifest that is not local")
        _check_key(text, text)
        return _s3(f"{base.rstrip('/')}/{text}")
    folder = local_path(base)
    if folder is None:
        raise ValueError(f"{base} is no base of paths")
    return _normal(str(folder / text))


def _file(text: str, base: str) -> str:
    path = text.removeprefix("file://")
    if not path.startswith("/"):
        _refuse(text, "names a host or a user; write file:///absolute/path")
    if base.startswith("s3://"):
        _refuse(text, "is a local path in a manifest that is not local")
    _check_parts(text, path[1:])
    return _normal(path)


def _normal(path: str) -> str:
    return f"file:///{os.path.normpath(path).lstrip('/')}"


def _s3(text: str) -> str:
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if "@" in bucket or ":" in bucket or _USER.search(text):
        _refuse(text, "holds a user, a password or a port; credentials come from the environment")
    if not _BUCKET.match(bucket):
        _refuse(text, f"names no bucket (s3://bucket/key; {shown(bucket)} cannot be one)")
    _check_key(text, key)
    return text.removesuffix("/")


def _check_key(text: str, key: str) -> None:
    odd = _NOT_LITERAL.search(key)
    if odd:
        _refuse(text, f"holds {odd[0]!r}, which is not read in the names of objects; rename the object")
    _check_parts(text, key)


def _check_parts(text: str, path: str) -> None:
    if path and any(part in ("", ".", "..") for part in path.removesuffix("/").split("/")):
        _refuse(text, "holds '//', '/./' or '..'; write the plain path")


def _refuse(text: str, why: str) -> NoReturn:
    raise PairError(Reason.INPUT_FORBIDDEN, f"{shown(text)} {why}")


def _resolved(uri: str) -> str:
    path = local_path(uri)
    return uri.rstrip("/") if path is None else _normal(os.path.realpath(path))


def _inside(uri: str, root: str) -> bool:
    scheme, _, rest = uri.partition("://")
    root_scheme, _, place = root.partition("://")
    return scheme == root_scheme and PurePosixPath(rest).is_relative_to(place)


def place(text: str) -> str:
    """What a person typed as a place, as a URI; relative paths are taken from the working directory.

    Raises UsageError.
    """
    try:
        return canonical_uri(text, f"file://{Path.cwd()}")
    except PairError as error:
        raise UsageError(error.message) from error
