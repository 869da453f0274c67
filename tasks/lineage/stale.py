"""Outputs whose inputs have changed since they were made."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.layout import Layout
from tasks.look_up import etag_of
from tasks.records.reasons import PairError, Reason
from tasks.results import read_results, read_runs, rows_of
from tasks.roots import Roots
from tasks.store import Store
from tasks.withdrawn import read_withdrawn

CHANGED, GONE = "changed", "gone"


@dataclass(frozen=True)
class Stale:
    """An output that would come out otherwise today, with the inputs that are why: uri -> changed or gone."""

    row: Mapping[str, Any]
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Looked:
    """What a look at all inputs has found; `unseen`: those that may not be looked at, and why."""

    stale: list[Stale]
    unseen: Mapping[str, str]


def look(store: Store, layout: Layout) -> Looked:
    """Compare every output that stands with its inputs as they are now.

    What was asked for again since, and stands on inputs as they are now, is not stale. Raises PairError (storage).
    """
    rows = read_results(store, layout)
    rows = rows[(rows["status"] == "ok") & rows["inputs"].notna()]
    rows = rows.drop(index=list(read_withdrawn(store, layout).of(rows)))
    found = _etags(rows, {run.run_id: run.allowed for run in read_runs(store, layout)})
    newest: dict[Any, Stale] = {}
    for row in rows_of(rows):  # oldest commit first
        newest[_asked(row)] = _newer(newest.get(_asked(row)), Stale(row, _moved(row, found)))
    unseen = {uri: error.message for uri, error in found.items() if isinstance(error, PairError)}
    return Looked([one for one in newest.values() if one.inputs], unseen)


def _asked(row: Mapping[str, Any]) -> Any:
    """What was asked for, whatever lay under its URIs at the time."""
    inputs = tuple((i["role"], i["uri"], i["start"], i["seconds"], i["weight"]) for i in row["inputs"])
    return inputs, row["method"], row["params_sha256"]


def _newer(before: Stale | None, now: Stale) -> Stale:
    """Of two outputs of one question the one that stands: that of the inputs as they are, else the newer."""
    return before if before is not None and not before.inputs else now


def _moved(row: Mapping[str, Any], found: Mapping[str, str | PairError | None]) -> dict[str, str]:
    moved = {}
    for one in row["inputs"]:
        etag = found[one["uri"]]
        if etag is None:
            moved[one["uri"]] = GONE
        elif isinstance(etag, str) and etag != one["etag"]:
            moved[one["uri"]] = CHANGED
    return moved


def _etags(rows: pd.DataFrame, allowed: Mapping[str, tuple[str, ...]]) -> dict[str, str | PairError | None]:
    """What each input is now, looked at once, and only where a run that read it was allowed to."""
    places: dict[str, dict[str, None]] = {}
    for run_id, inputs in zip(rows["run_id"], rows["inputs"], strict=True):
        for one in inputs:
            places.setdefault(one["uri"], {}).update(dict.fromkeys(allowed.get(run_id, ())))
    with ThreadPoolExecutor(16) as pool:
        looked = list(pool.map(lambda uri: etag_of(uri, Roots(tuple(places[uri]))), places))
    for one in looked:
        if isinstance(one, PairError) and one.reason is not Reason.INPUT_FORBIDDEN:
            raise one
    return dict(zip(places, looked, strict=True))
