"""The three sounds of a pair as data URIs, read from where they may be read, or why they are not there."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tasks.heard import Heard, Sound
from tasks.plots.names import inputs_of
from tasks.records.pair import Input
from tasks.records.reasons import OutOfReach, PairError, Reason


@dataclass(frozen=True)
class Playable:
    """One of the three: `source` is its bytes, or `why_not` says why they are not here."""

    of: str
    uri: str
    part: str = ""  # of the file, where a slice was chosen
    source: str = ""
    why_not: str = ""


def sounds(row: Mapping[str, Any], heard: Heard | None, limit: int, deleted: bool) -> list[Playable]:
    """Content, first style and, where it was not `deleted`, result of a row; of each at most `limit` bytes."""
    found = []
    for given in (one for of in ("content", "style") for one in inputs_of(row, of)[:1]):
        one = Input(**given)
        source, why_not = _tried(partial(heard.input, row["run_id"], one) if heard else None, limit)
        found.append(Playable(one.role, one.uri, _part(one), source and source + _fragment(one), why_not))
    if row["audio_uri"] and not deleted:
        source, why_not = _tried(partial(heard.output, row["audio_uri"]) if heard else None, limit)
        found.append(Playable("result", row["audio_uri"], source=source, why_not=why_not))
    return found


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _tried(find: Callable[[], Sound] | None, limit: int) -> tuple[str, str]:
    """What was read, or why not: one sound that is gone does not hide the others."""
    if find is None:
        return "", "say where the row comes from: show(row, root)"
    try:
        sound = find()
        return data_uri(sound.read(limit), sound.kind), ""
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
