"""Find what nothing names: audio and curves of runs that were killed before they committed, and forgotten probes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from tasks.at_work import is_working
from tasks.generations import newest_generations
from tasks.layout import Layout, run_id_of
from tasks.records.reasons import PairError
from tasks.store import Stat, Store
from tasks.stored import read_table

_NAMING = pa.schema([("audio_uri", pa.string()), ("curves_uri", pa.string())])


@dataclass(frozen=True)
class Orphan:
    """An object that no result names: its size in bytes, its last change in seconds since the epoch."""

    uri: str
    size: int
    modified: float


def orphans(store: Store, layout: Layout, before: float) -> list[Orphan]:
    """Objects under audio/ and curves/ that no results row names, probes, and parts of compacted results that a newer
    generation has replaced or that never became one; none changed since `before` (seconds since the epoch, by the
    store's clock).

    Raises OutOfReach where a results file cannot be read: it might name any of them. PairError: storage.
    """
    written = [found for prefix in (layout.all_audio(), layout.all_curves()) for found in store.list(prefix)]
    # Listed before the results are read: what is committed meanwhile is named by them.
    results = list(store.list(layout.results()))
    busy = going_on(layout, [*written, *results, *store.list(layout.runs())], before)
    heard = named(store, layout, [uri for uri, _ in results if uri.endswith(".parquet")])
    left = [(uri, found) for uri, found in written if uri not in heard and _run_of(layout, uri) not in busy]
    left += store.list(layout.probes())
    left += _superseded(store, layout)
    return [Orphan(uri, found.size, found.modified) for uri, found in left if found.modified < before]


def removed(store: Store, found: Iterable[Orphan]) -> Iterator[tuple[Orphan, str | None]]:
    """Delete the objects; each comes back with what refused that, or None."""
    found = list(found)
    with ThreadPoolExecutor(8) as pool:
        yield from zip(found, pool.map(lambda orphan: _refusal(store, orphan.uri), found), strict=True)


def _superseded(store: Store, layout: Layout) -> list[tuple[str, Stat]]:
    """Parts of no newest generation: of an older one a reader may be in the midst, hence they too have to be old."""
    parts = list(store.list(layout.compacted()))  # listed before the markers: what is finished meanwhile is in neither
    current = {path for one in newest_generations(store, layout).values() for path in one.parts}
    return [(uri, found) for uri, found in parts if layout.below(uri) not in current]


def going_on(layout: Layout, written: Iterable[tuple[str, Stat]], before: float) -> set[str]:
    """The runs that may still name what they have written."""
    last: dict[str, float] = {}
    for uri, found in written:
        if run := _run_of(layout, uri):
            last[run] = max(found.modified, last.get(run, 0.0))
    # A shard's audio is there hours before the one file that names it, but a run at work writes something all the
    # time: what is young protects all of its run. A run that slept, as a closed laptop does, still holds its lock.
    return {run for run, modified in last.items() if modified >= before or is_working(run)}


def named(store: Store, layout: Layout, uris: Iterable[str]) -> set[str]:
    """What these results name."""
    found: set[str] = set()
    with ThreadPoolExecutor(8) as pool:
        for table in pool.map(lambda uri: read_table(store, uri, _NAMING), uris):
            for column in table.columns:
                found.update(map(layout.here, column.drop_null().to_pylist()))
    return found


def _run_of(layout: Layout, uri: str) -> str | None:
    if uri.startswith(layout.runs() + "/"):
        return uri.removeprefix(layout.runs() + "/").split("/")[0]
    return run_id_of(layout.below(uri))


def _refusal(store: Store, uri: str) -> str | None:
    try:
        store.delete(uri)
    except PairError as error:
        return error.message
    return None
