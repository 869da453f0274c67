"""Some pairs of a brief standing with all columns of their attempts, from the few files that hold them."""

from functools import partial

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.in_threads import in_threads
from tasks.layout import Layout, night_of, run_id_of
from tasks.records import schema
from tasks.results import FILES_AHEAD
from tasks.standing import OPEN, URIS, Family
from tasks.store import Store
from tasks.stored import frame_of, gathered, parquet_files, read_table

ATTEMPT = ["run_id", "manifest_row"]


def in_full(
    store: Store, layout: Layout, family: Family, pairs: pd.DataFrame, wanted: pa.Schema = schema.RESULTS
) -> pd.DataFrame:
    """Rows of a family's brief standing (tasks.standing.of_family) with all `wanted` columns of their attempts.

    Read from results files, also where they are compacted: a part holds the rows of a whole night.
    """
    tried = pairs["status"] != OPEN
    attempts = pairs.loc[tried, [*ATTEMPT, "shard"]].astype({"shard": "int64"})
    held = attempts.groupby(["run_id", "shard"])["manifest_row"].agg(list)
    uris = _files(store, layout, family, [(str(run_id), int(shard)) for run_id, shard in held.index])
    read = partial(_rows, store, wanted)
    found = in_threads(read, list(zip(uris, held, strict=True)), each=1, ahead=FILES_AHEAD)
    rows = frame_of(gathered(found), wanted).set_index(ATTEMPT, drop=False)
    frame = rows.reindex(pd.MultiIndex.from_frame(pairs[ATTEMPT])).set_index(pairs.index)
    for name in pairs.columns.drop("inputs", errors="ignore"):  # how a pair stands is more than its attempt
        frame[name] = pairs[name].where(~tried, frame[name]) if name in URIS else pairs[name]
    return frame


def _rows(store: Store, wanted: pa.Schema, held: tuple[str, list[int]]) -> pa.Table:
    uri, rows = held
    return read_table(store, uri, wanted).filter(pc.field("manifest_row").isin(rows))


def _files(store: Store, layout: Layout, family: Family, shards: list[tuple[str, int]]) -> list[str]:
    """Where each shard's results lie. Runs of other families, which serve what was skipped, are looked for."""
    nights = {run.run_id: run.night for run in family.runs}
    others = {run_id for run_id, _ in shards if run_id not in nights}
    if others:
        listed = parquet_files(store, layout.results(), others)
        nights |= {run: night for uri in listed if (run := run_id_of(uri)) and (night := night_of(uri))}
    return [layout.shard_results(nights[run_id], run_id, shard) for run_id, shard in shards]
