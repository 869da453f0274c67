"""The three sounds of a pair as data URIs, read from where they may be read, or why they are not there."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tasks.layout import Layout
from tasks.plots.names import inputs_of
from tasks.records.pair import Input
from tasks.records.reasons import OutOfReach, PairError, Reason
from tasks.report.serve import kind_of
from tasks.results import read_run
from tasks.roots import Roots
from tasks.store import open_store
from tasks.withdrawn import Withdrawn, read_withdrawn


@dataclass(frozen=True)
class Sound:
    """One of the three: `source` is its bytes, or `why_not` says why they are not here."""

    of: str
    uri: str
    part: str = ""  # of the file, where a slice was chosen
    source: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Reader:
    """What may be read for a row of a run: outputs below the root, inputs where that run might read them."""

    root: str
    allowed: Roots
    withdrawn: Withdrawn
    limit: int

    @classmethod
    def of(cls, root: str, run_id: str, limit: int) -> "Reader":
        """`limit`: bytes of a sound. Raises OutOfReach, PairError (storage) where the root cannot be read."""
        store, layout = open_store(root), Layout(root)
        run = read_run(store, layout, run_id)
        return cls(root, Roots(run.allowed if run else ()), read_withdrawn(store, layout), limit)

    def input(self, one: Input) -> str:
        """Raises PairError: withdrawn, changed since, gone, too large."""
        if refusal := self.withdrawn.refusal(one):
            raise refusal
        return self._read(one.uri, one.etag, self.allowed)

    def result(self, uri: str) -> str:
        """Raises PairError."""
        return self._read(uri, None, Roots.resolve((self.root,)))

    def _read(self, uri: str, etag: str | None, allowed: Roots) -> str:
        return data_uri(open_store(uri).read(uri, etag=etag, allowed=allowed, limit=self.limit).data, kind_of(uri))


def sounds(row: Mapping[str, Any], reader: Reader | None, deleted: bool) -> list[Sound]:
    """Content, first style and, where it was not `deleted`, result of a row."""
    found = []
    for given in (one for of in ("content", "style") for one in inputs_of(row, of)[:1]):
        one = Input(**given)
        source, why_not = _tried(partial(reader.input, one) if reader else None)
        found.append(Sound(one.role, one.uri, _part(one), source and source + _fragment(one), why_not))
    if row["audio_uri"] and not deleted:
        source, why_not = _tried(partial(reader.result, row["audio_uri"]) if reader else None)
        found.append(Sound("result", row["audio_uri"], source=source, why_not=why_not))
    return found


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _tried(read: Callable[[], str] | None) -> tuple[str, str]:
    """What was read, or why not: one sound that is gone does not hide the others."""
    if read is None:
        return "", "say where the row comes from: show(row, root)"
    try:
        return read(), ""
    except PairError as error:
        is_large = error.reason == Reason.INPUT_TOO_LONG
        return "", error.message + ("; show(row, most_mb=...) or `gramophone listen` plays it" if is_large else "")
    except OutOfReach as error:
        return "", str(error)


def _part(one: Input) -> str:
    if one.start is None and one.seconds is None:
        return ""
    start = one.start or 0.0
    return f"from {start:g} s" if one.seconds is None else f"{start:g} to {start + one.seconds:g} s"


def _fragment(one: Input) -> str:
    """By which a player plays no more than a slice (Media Fragments URI 1.0)."""
    if not _part(one):
        return ""
    start = one.start or 0.0
    return f"#t={start:g}" + (f",{start + one.seconds:g}" if one.seconds is not None else "")
