"""Records and tables as we store them: JSON and parquet, written whole, and read back as nobody else writes them."""

import io
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from tasks.layout import run_id_of
from tasks.records.reasons import OutOfReach, PairError
from tasks.store import Store

R = TypeVar("R", bound=BaseModel)
LARGE = 1 << 20
"""Bytes of a parquet file from which on threads are worth their while."""
GATHERED_ROWS, GATHERED_TABLES = 4_096, 256


def parquet_bytes(table: pa.Table, group_rows: int | None = None) -> bytes:
    """The table as one parquet file with page checksums, in row groups of so many rows. Curves are split by byte, which
    packs floats better."""
    floats = [f"{f.name}.list.element" for f in table.schema if f.type == pa.list_(pa.float32())]
    encoding: dict[str, Any] = {}
    if floats:
        others = [f.name for f in table.schema if pa.types.is_string(f.type)]
        encoding = {"use_byte_stream_split": floats, "use_dictionary": others}
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, row_group_size=group_rows, **encoding)
    return sink.getvalue()


def read_record(store: Store, uri: str, model: type[R]) -> R | None:
    """A record that we wrote as JSON, or None where there is none."""
    try:
        found = store.stat(uri)
    except PairError as error:
        raise OutOfReach(error.message) from error
    return None if found is None else _parsed(uri, _own(store, uri), model)


def read_records(store: Store, prefix: str, model: type[R], ending: str = ".json") -> list[R]:
    """All records below a prefix whose names end so."""
    uris = [uri for uri, _ in store.list(prefix) if uri.endswith(ending)]
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda uri: _parsed(uri, _own(store, uri), model), uris))


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


def parquet_files(store: Store, prefix: str, runs: Collection[str] | None = None) -> list[str]:
    """The parquet files below a prefix (or those of `runs`), in the order of their names."""
    uris = [uri for uri, _ in store.list(prefix) if uri.endswith(".parquet")]
    return uris if runs is None else [uri for uri in uris if run_id_of(uri) in runs]


def read_tables(store: Store, uris: Iterable[str], wanted: pa.Schema) -> list[pa.Table]:
    """Parquet files of ours, each as `read_table` does."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda uri: read_table(store, uri, wanted), uris))


def frame_of(tables: Iterable[pa.Table], wanted: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables([wanted.empty_table(), *tables]).to_pandas(maps_as_pydicts="strict")
    return frame


def read_table(store: Store, uri: str, wanted: pa.Schema) -> pa.Table:
    """One parquet file of ours in exactly `wanted`: columns that came later are null in older files."""
    try:
        data = _own(store, uri)
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, pre_buffer=False)
        known = set(file.schema_arrow.names)
        table = file.read(columns=[name for name in wanted.names if name in known], use_threads=len(data) > LARGE)
    except (pa.ArrowException, OSError) as error:
        raise OutOfReach(
            f"{uri} cannot be read as parquet ({error}); move it away: files here are written whole."
        ) from error
    for column in wanted:
        if column.name not in known:
            table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    return table if table.schema.equals(wanted) else table.select(wanted.names).cast(wanted)


def gathered(
    tables: Iterable[pa.Table], less: Callable[[pa.Table], pa.Table] = lambda table: table
) -> Iterator[pa.Table]:
    """The rows of many small tables in few: each table takes some kilobytes, however few its rows.

    `less` takes from their rows what would be in the way.
    """
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += table.num_rows
        if rows >= GATHERED_ROWS or len(held) >= GATHERED_TABLES:
            yield less(pa.concat_tables(held)).combine_chunks()
            held, rows = [], 0
    if held:
        yield less(pa.concat_tables(held)).combine_chunks()


def _own(store: Store, uri: str) -> bytes:
    """A file that we wrote: not being able to read it is no input's fault."""
    try:
        return store.read(uri).data
    except PairError as error:
        raise OutOfReach(error.message) from error
