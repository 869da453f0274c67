"""Commit a shard's attempts, and read results back (blueprint, section 3)."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.generations import files_of
from tasks.in_threads import in_threads
from tasks.layout import Layout, run_id_of
from tasks.records import schema
from tasks.records.pair import Attempt
from tasks.records.reasons import OutOfReach
from tasks.records.run import EndRecord, RunRecord
from tasks.store import Store
from tasks.stored import frame_of, gathered, parquet_bytes, read_record, read_records, read_table


def commit_shard(
    store: Store,
    layout: Layout,
    run: RunRecord,
    shard: int,
    attempts: Collection[Attempt],
    context: dict[str, Any],
) -> bool:
    """Make a shard's attempts true: first their curves under a name with their digest, last the one results file.

    Their audio must be stored already; `context` holds the columns that all of them share. True: the results
    are ours. False: another executor committed this shard first, and ours are dropped.
    """
    attempts = sorted(attempts, key=lambda a: a.manifest_row)
    curves_uri = _write_curves(store, layout, run, shard, attempts)
    now = datetime.now(UTC)
    rows = []
    for attempt in attempts:
        row = {
            "schema_version": schema.SCHEMA_VERSION,
            "run_id": run.run_id,
            "parent_run_id": run.parent_run_id,
            "manifest_row": attempt.manifest_row,
            "shard": shard,
            "manifest_uri": run.manifest_uri,
            "manifest_sha256": run.manifest_sha256,
            "committed_at": now,
            **context,
            **attempt.values,
        }
        if attempt.curves is not None:
            row["curves_uri"] = curves_uri
        rows.append(row)
    data = parquet_bytes(schema.table_of(rows, schema.RESULTS))
    return store.commit(layout.shard_results(run.night, run.run_id, shard), data)


def _write_curves(
    store: Store, layout: Layout, run: RunRecord, shard: int, attempts: Collection[Attempt]
) -> str | None:
    rows = [
        {
            "schema_version": schema.SCHEMA_VERSION,
            "run_id": run.run_id,
            "manifest_row": attempt.manifest_row,
            "pair_id": attempt.values["pair_id"],
            **attempt.curves,
        }
        for attempt in attempts
        if attempt.curves is not None
    ]
    if not rows:
        return None
    data = parquet_bytes(schema.table_of(rows, schema.CURVES))
    uri = layout.shard_curves(run.night, run.run_id, shard, hashlib.sha256(data).hexdigest())
    store.keep(uri, data)
    return uri


T = TypeVar("T")
ORDER = ("committed_at", "run_id", "manifest_row")
FILES_AHEAD = 64
ROWS_IN_HAND = 1_024


# --- reading --------------------------------------------------------------------------------------


def read_results(
    store: Store,
    layout: Layout,
    runs: Collection[str] | None = None,
    wanted: pa.Schema = schema.RESULTS,
    less: Callable[[pa.Table], pa.Table] = lambda table: table,
    nights: Collection[str] | None = None,
) -> pd.DataFrame:
    """All attempts (or those of `runs`) as a DataFrame with the columns of `wanted`, oldest commit first.

    `nights` of these runs, where they are known, spare a look at all others. `less` takes from some files' rows at a
    time what would be in the way.
    """

    def read(uri: str) -> pa.Table:
        table = read_table(store, uri, wanted)
        whole = runs is None or run_id_of(uri) is not None
        return table if whole else table.filter(pc.field("run_id").isin(list(runs or ())))

    found = gathered(read_files(store, layout, read, runs, nights), less)
    frame = frame_of(found, less(wanted.empty_table()).schema)
    order = pc.sort_indices(pa.table({n: frame[n] for n in ORDER}), [(n, "ascending") for n in ORDER]).to_numpy()
    oldest_first: pd.DataFrame = frame.iloc[order]
    return oldest_first.reset_index(drop=True)


def read_files(
    store: Store,
    layout: Layout,
    read: Callable[[str], T],
    runs: Collection[str] | None = None,
    nights: Collection[str] | None = None,
) -> Iterator[T]:
    """What `read` gives for the files in which all attempts lie, each once; those of `runs` with others among them."""
    if runs is not None and not runs:
        return
    found = files_of(store, layout, runs, nights)
    try:
        parts = list(in_threads(read, found.parts, each=1))
    except OutOfReach:  # they are derived: what they stand for is still there, and `verify` tells of them
        found, parts = files_of(store, layout, runs, nights, compacted=False), []
    yield from parts
    yield from in_threads(read, found.others, each=1, ahead=FILES_AHEAD)


def read_run(store: Store, layout: Layout, run_id: str) -> RunRecord | None:
    """run.json, or None where there is no such run."""
    return read_record(store, layout.run(run_id, "run.json"), RunRecord)


def read_end(store: Store, layout: Layout, run_id: str) -> EndRecord | None:
    """end.json, or None while the run goes on or when it was killed."""
    return read_record(store, layout.run(run_id, "end.json"), EndRecord)


def read_runs(store: Store, layout: Layout) -> list[RunRecord]:
    """Every run, oldest first."""
    return sorted(read_records(store, layout.runs(), RunRecord, "/run.json"), key=lambda run: run.run_id)


def rows_of(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as plain dicts with None for what is missing, a thousand in hand: as such they take ten times the memory."""
    for start in range(0, len(frame), ROWS_IN_HAND):
        for row in frame.iloc[start : start + ROWS_IN_HAND].to_dict("records"):
            yield {str(k): None if _missing(v) else v for k, v in row.items()}


def _missing(value: Any) -> bool:
    return value is None or (not isinstance(value, Iterable) and bool(pd.isna(value)))
