"""Check the promises that storage can show: one row for each attempt, its audio and curves there, whole."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pyarrow as pa

from tasks.generations import newest_generations
from tasks.layout import Layout
from tasks.records import schema
from tasks.records.reasons import OutOfReach, PairError
from tasks.records.tombstone import Tombstone
from tasks.results import read_run, rows_of
from tasks.store import Store, join
from tasks.stored import frame_of, parquet_files, read_table, read_tables
from tasks.withdrawn import read_withdrawn


def verify(store: Store, layout: Layout, runs: Collection[str] | None = None) -> Iterator[str]:
    """What is wrong, a sentence each; nothing where all is right. Every object is read."""
    rows, read, faults = _rows(store, layout, runs)
    yield from faults
    yield from _runs(store, layout, rows)
    yield from _identities(rows)
    if runs is None:
        yield from _compacted(store, layout, rows, read)
    withdrawn = read_withdrawn(store, layout).of(rows)
    yield from _left_of_withdrawn(store, rows, withdrawn)
    rows = rows.drop(index=list(withdrawn))
    ok = rows_of(rows[rows["status"] == "ok"])
    curves = sorted(set(rows["curves_uri"].dropna()))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda row: _audio(store, row), ok):
            yield from found
        for found in pool.map(lambda uri: _curves(store, uri), curves):
            yield from found


def _compacted(store: Store, layout: Layout, rows: pd.DataFrame, read: Collection[str]) -> Iterator[str]:
    """What stands for results files holds exactly their rows. `read`: the results files that could be."""
    files = rows[["run_id", "shard"]].drop_duplicates()
    damaged: list[str] = []
    for one in newest_generations(store, layout, damaged.append).values():
        marker, covers = layout.generation(one.night, one.number), set(one.covers)
        if not covers <= {layout.below(uri) for uri in read}:
            yield f"{marker} stands for results files that are gone or damaged: keep it until they are back"
            continue
        try:
            parts = read_tables(store, [join(layout.root, path) for path in one.parts], schema.RESULTS)
        except OutOfReach as error:
            yield f"{error} What it stands for is still there; `gramophone compact` makes another once there is news."
            continue
        covered = [
            layout.below(layout.shard_results(one.night, run, shard)) in covers
            for run, shard in files.itertuples(index=False)
        ]
        wanted = _attempts(rows.merge(files[pd.Series(covered, files.index, dtype=bool)], on=["run_id", "shard"]))
        found = _attempts(frame_of(parts, schema.RESULTS))
        if found != wanted:
            run, row = next(iter((found - wanted) | (wanted - found)))
            yield f"{marker} does not hold what it covers: attempt {run}/{row}; delete it"
    yield from (f"{uri} is damaged and is not read: delete it, `gramophone compact` makes another" for uri in damaged)


def _attempts(rows: pd.DataFrame) -> Counter[tuple[str, int]]:
    return Counter(zip(rows["run_id"], rows["manifest_row"], strict=True))


def _rows(store: Store, layout: Layout, runs: Collection[str] | None) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The attempts in all results files that can be read, these files, and what is wrong with the others."""
    tables: dict[str, pa.Table] = {}
    faults = []
    for uri in parquet_files(store, layout.results(), runs):
        try:
            tables[uri] = read_table(store, uri, schema.RESULTS)
        except OutOfReach as error:
            faults.append(str(error))
    return frame_of(tables.values(), schema.RESULTS), list(tables), faults


def _runs(store: Store, layout: Layout, rows: pd.DataFrame) -> Iterator[str]:
    """Each attempt belongs to a row of a run's manifest."""
    for run_id, last in rows.groupby("run_id")["manifest_row"].max().items():
        try:
            run = read_run(store, layout, str(run_id))
        except OutOfReach as error:
            yield str(error)
            continue
        if run is None:
            yield f"run {run_id} has results but no run.json"
        elif last >= run.pairs:
            yield f"run {run_id} has an attempt for manifest row {last}, but only {run.pairs} rows"


def _identities(rows: pd.DataFrame) -> Iterator[str]:
    """A run and a manifest row have one attempt at most."""
    twice = rows[rows.duplicated(["run_id", "manifest_row"])]
    for row in twice[["run_id", "manifest_row"]].itertuples(index=False):
        yield f"run {row.run_id} has more than one attempt for manifest row {row.manifest_row}"


def _left_of_withdrawn(store: Store, rows: pd.DataFrame, withdrawn: Mapping[Any, Tombstone]) -> Iterator[str]:
    """What was withdrawn has no audio any more, and no curves of its own."""
    again: dict[str, str] = {}
    shared = set(rows.drop(index=list(withdrawn))["curves_uri"])
    for key, stone in withdrawn.items():
        for uri in rows.loc[key, ["audio_uri", "curves_uri"]].dropna():
            if uri not in shared:
                again[uri] = stone.command
    with ThreadPoolExecutor(8) as pool:
        there = pool.map(lambda uri: store.stat(uri) is not None, again)
        for (uri, command), left in zip(again.items(), there, strict=True):
            if left:
                yield f"{uri} was made from what is withdrawn, and is still there: `{command}` deletes it"


def _audio(store: Store, row: Mapping[str, Any]) -> Iterator[str]:
    name = f"pair {row['pair_id']} of run {row['run_id']}"
    if row["audio_uri"] is None:
        yield f"{name}: is ok, and names no audio"
        return
    try:
        blob = store.read(row["audio_uri"])
    except PairError as error:
        yield f"{name}: {error.message}"
        return
    if len(blob.data) != row["audio_bytes"] or blob.sha256 != row["audio_sha256"]:
        yield f"{name}: {row['audio_uri']} is not what was written"


def _curves(store: Store, uri: str) -> Iterator[str]:
    try:
        blob = store.read(uri)
    except PairError as error:
        yield f"curves: {error.message}"
        return
    if f".{blob.sha256[:12]}." not in uri:
        yield f"curves: {uri} is not what was written"
