"""Commit a shard's attempts, and read results back (blueprint, section 3)."""

import hashlib
import io
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from tasks.layout import Layout, run_id_of
from tasks.records import schema
from tasks.records.pair import Attempt
from tasks.records.reasons import OutOfReach, PairError
from tasks.records.run import EndRecord, RunRecord
from tasks.store import Store

R = TypeVar("R", bound=BaseModel)


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as one parquet file with page checksums. Curves are split by byte, which packs floats better."""
    floats = [f"{f.name}.list.element" for f in table.schema if f.type == pa.list_(pa.float32())]
    encoding: dict[str, Any] = {}
    if floats:
        others = [f.name for f in table.schema if pa.types.is_string(f.type)]
        encoding = {"use_byte_stream_split": floats, "use_dictionary": others}
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, **encoding)
    return sink.getvalue()


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


# --- reading --------------------------------------------------------------------------------------


def read_results(store: Store, layout: Layout, runs: Collection[str] | None = None) -> pd.DataFrame:
    """All attempts (or those of `runs`) as a DataFrame with the columns of the schema, oldest commit first."""
    frame = read_tables(store, layout.results(), schema.RESULTS, runs)
    return frame.sort_values(["committed_at", "run_id", "manifest_row"], ignore_index=True)


def read_tables(store: Store, prefix: str, wanted: pa.Schema, runs: Collection[str] | None = None) -> pd.DataFrame:
    """All parquet files below a prefix (or those of `runs`), as one table of exactly `wanted`."""
    uris = [uri for uri, _ in store.list(prefix) if uri.endswith(".parquet")]
    if runs is not None:
        uris = [uri for uri in uris if run_id_of(uri) in runs]
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(lambda uri: read_table(store, uri, wanted), uris))
    frame: pd.DataFrame = pa.concat_tables([wanted.empty_table(), *tables]).to_pandas(maps_as_pydicts="strict")
    return frame


def _own(store: Store, uri: str) -> bytes:
    """A file that we wrote: not being able to read it is no input's fault."""
    try:
        return store.read(uri).data
    except PairError as error:
        raise OutOfReach(error.message) from error


def read_record(store: Store, uri: str, model: type[R]) -> R | None:
    """A record that we wrote as JSON, or None where there is none."""
    try:
        found = store.stat(uri)
    except PairError as error:
        raise OutOfReach(error.message) from error
    return None if found is None else _parsed(uri, _own(store, uri), model)


def _parsed(uri: str, data: bytes, model: type[R]) -> R:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise OutOfReach(
            f"{uri} is not as a run writes it ({where}: {first['msg']}): it is damaged, or a later version wrote it; "
            "move the folder of that run away to go on without it."
        ) from error


def read_table(store: Store, uri: str, wanted: pa.Schema) -> pa.Table:
    """One parquet file of ours in exactly `wanted`: columns that came later are null in older files."""
    try:
        table = pq.ParquetFile(io.BytesIO(_own(store, uri)), page_checksum_verification=True).read()
    except (pa.ArrowException, OSError) as error:
        raise OutOfReach(
            f"{uri} cannot be read as parquet ({error}); move it away: files here are written whole."
        ) from error
    missing = [f for f in wanted if f.name not in table.column_names]
    for column in missing:
        table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    return table.select(wanted.names).cast(wanted)


def read_run(store: Store, layout: Layout, run_id: str) -> RunRecord | None:
    """run.json, or None where there is no such run."""
    return read_record(store, layout.run(run_id, "run.json"), RunRecord)


def read_end(store: Store, layout: Layout, run_id: str) -> EndRecord | None:
    """end.json, or None while the run goes on or when it was killed."""
    return read_record(store, layout.run(run_id, "end.json"), EndRecord)


def read_runs(store: Store, layout: Layout) -> list[RunRecord]:
    """Every run, oldest first."""
    return sorted(read_records(store, layout.runs(), RunRecord, "/run.json"), key=lambda run: run.run_id)


def read_records(store: Store, prefix: str, model: type[R], ending: str = ".json") -> list[R]:
    """All records below a prefix whose names end so."""
    uris = [uri for uri, _ in store.list(prefix) if uri.endswith(ending)]
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda uri: _parsed(uri, _own(store, uri), model), uris))


def rows_of(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as plain dicts with None for what is missing."""
    for row in frame.to_dict("records"):
        yield {str(k): None if _missing(v) else v for k, v in row.items()}


def _missing(value: Any) -> bool:
    return value is None or (not isinstance(value, Iterable) and bool(pd.isna(value)))
