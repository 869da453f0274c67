"""Read a manifest: rows of exactly one schema, URIs made absolute, parameters resolved (manifests/README.md)."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from tasks.manifest.check import PAIR_ID, label, own_columns, row_faults
from tasks.manifest.pairs import Pairs
from tasks.manifest.parquet import Room, open_parquet, plain, tables
from tasks.manifest.uris import absolute
from tasks.records import schema
from tasks.records.pair import Fault
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason, UsageError
from tasks.records.run import Options
from tasks.roots import bare
from tasks.store import Blob, Store

NAMED = 5
"""So many columns that nobody knows are named."""
REQUIRED = ("pair_id", "content_uri")


class NoManifest(UsageError):
    """There is nothing at the manifest's URI: it may come yet."""


@dataclass
class Manifest:
    """Rows of exactly the manifest's schema (plus `x_` columns), URIs made absolute, and the faults of its rows."""

    uri: str
    folder: str  # what relative URIs are taken from: the manifest's folder, or the manifest where it is one
    sha256: str
    table: pa.Table
    faults: dict[int, list[Fault]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def all_faults(self) -> list[Fault]:
        return [fault for row in sorted(self.faults) for fault in self.faults[row]]

    def pairs(self, base: Parameters) -> Pairs:
        """One pair for each row: `base` overridden by the row's parameters. A faulty row gives a faulty pair."""
        return Pairs(self.table, base, self.faults)


def read_manifest(store: Store, uri: str, base: Parameters, options: Options | None = None) -> Manifest:
    """Read and check the manifest at `uri` (a parquet file, or a folder of them, in the order of their names).

    A row that is wrong is recorded among the faults. Raises UsageError where the manifest as a whole is wrong: not
    there, not parquet, larger than `options` allow, a required column missing, a column of a wrong type, a column that
    nobody knows.
    """
    options = options or Options()
    blobs = _blobs(store, uri, options.max_manifest_mb)
    digests = [blob.sha256 for blob in blobs]
    sha256 = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    room = Room(options)
    parts = [part for blob in blobs for part in _parts(blob, room)]
    try:
        table = pa.concat_tables(parts, promote_options="default")
    except pa.ArrowException as error:
        raise UsageError(f"{uri}: its files do not fit each other ({error}); give a column one type in all.") from error
    folder = uri.rsplit("/", 1)[0] if blobs[0].uri == uri else uri
    return manifest_of(uri, folder, sha256, table, base, options.max_cell_kb)


def manifest_of(uri: str, folder: str, sha256: str, table: pa.Table, base: Parameters, max_cell_kb: int) -> Manifest:
    """A table in the manifest's schema as a manifest that stood at `uri`: URIs absolute, rows checked."""
    # Of one piece: a few rows are taken out of many pieces a hundred times as slowly.
    manifest = Manifest(uri, folder, sha256, _absolute(table.combine_chunks(), folder).combine_chunks())
    for fault in row_faults(manifest.table, base, folder, max_cell_kb):
        manifest.faults.setdefault(fault.row, []).append(fault)
    manifest.table = _without_refused(manifest)
    return manifest


def _blobs(store: Store, uri: str, max_mb: int) -> list[Blob]:
    try:
        if store.stat(uri) is not None:
            return [store.read(uri, limit=max_mb * 1_000_000)]
        names = [name for name, _ in store.list(uri) if name.endswith(".parquet")]
        blobs: list[Blob] = []
        for name in names:
            blobs.append(store.read(name, limit=max_mb * 1_000_000 - sum(len(blob.data) for blob in blobs)))
        if blobs:
            return blobs
    except PairError as error:
        if error.reason is Reason.STORAGE:
            raise
        more = " (max_manifest_mb)" if error.reason is Reason.INPUT_TOO_LONG else ""
        raise UsageError(f"cannot read the manifest {uri}: {error.message}{more}") from error
    raise NoManifest(
        f"no manifest at {uri}: there is no such file and no folder with parquet files. "
        "Build one with `gramophone manifest build CONTENT_DIR STYLE_DIR -o manifest.parquet`."
    )


def _parts(blob: Blob, room: Room) -> Iterator[pa.Table]:
    file = open_parquet(blob.uri, blob.data, room)
    found = plain(file.schema_arrow)
    wanted = _columns(blob.uri, found)
    yield _normal(blob.uri, found.empty_table())
    for part in tables(blob.uri, file, wanted, room):
        yield _normal(blob.uri, part)


def _columns(uri: str, found: pa.Schema) -> list[str]:
    names = list(found.names)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{uri}: column {twice[0]!r} is there twice; drop one.")
    missing = [name for name in REQUIRED if name not in names]
    if "style_uri" not in names and "styles" not in names:
        missing.append("style_uri")
    unknown = [name for name in names if name not in schema.MANIFEST.names and not name.startswith("x_")]
    if missing or unknown:
        faults = [f"column {name!r} is missing" for name in missing]
        faults += [f"column {name!r} is not known{_nearest(name)}" for name in unknown[:NAMED]]
        faults += [f"{len(unknown) - NAMED} more are not known"] if len(unknown) > NAMED else []
        raise UsageError(
            f"{uri}: {'; '.join(faults)}. Columns of your own begin with x_; manifests/README.md lists the others."
        )
    return names


def _nearest(name: str) -> str:
    close = get_close_matches(name.lower(), schema.MANIFEST.names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _normal(uri: str, table: pa.Table) -> pa.Table:
    """The table in exactly the manifest's schema; absent optional columns are null, `x_` columns stay."""
    columns: dict[str, Any] = {}
    for name, kind in zip(schema.MANIFEST.names, schema.MANIFEST.types, strict=True):
        if name not in table.column_names:
            columns[name] = pa.nulls(table.num_rows, kind)
            continue
        columns[name] = _cast(uri, name, table.column(name), kind)
    for name in table.column_names:
        if name.startswith("x_"):
            columns[name] = table.column(name)
    return pa.table(columns)


def _cast(uri: str, name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    found = column.type
    text = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    number = pa.types.is_integer(found) or pa.types.is_floating(found)
    fits = (
        pa.types.is_null(found)
        or (pa.types.is_string(kind) and text)
        or (pa.types.is_floating(kind) and number)
        or (pa.types.is_integer(kind) and number)
        or (pa.types.is_nested(kind) and (pa.types.is_nested(found)))
    )
    try:
        if not fits:
            raise pa.ArrowTypeError("wrong type")
        return column.cast(kind)
    except pa.ArrowException as error:
        detail = "" if str(error) == "wrong type" else f" ({error})"
        raise UsageError(f"{uri}: column {name!r} is {found}, but must be {kind}{detail}.") from error


def _absolute(table: pa.Table, base: str) -> pa.Table:
    """Relative URIs resolved against the manifest's folder; one that cannot be stays as it is, for `row_faults`."""
    for name in ("content_uri", "style_uri"):
        table = table.set_column(table.column_names.index(name), name, absolute(table.column(name), base))
    styles = table.column("styles")
    if styles.null_count < len(styles):
        uris = sorted({one["uri"] for listed in styles.to_pylist() for one in listed or () if one and one["uri"]})
        spelled = dict(
            zip(uris, absolute(pa.chunked_array([pa.array(uris, pa.string())]), base).to_pylist(), strict=True)
        )
        listed = [
            s and [{**one, "uri": spelled.get(one["uri"], one["uri"])} for one in s if one] for s in styles.to_pylist()
        ]
        kind = schema.MANIFEST.field("styles").type
        table = table.set_column(table.column_names.index("styles"), "styles", pa.array(listed, kind))
    return table


def _without_refused(manifest: Manifest) -> pa.Table:
    """The rows without what was refused and would be copied into runs and rows: passwords, and what is too long.

    What is no name is none: it would be told as the pair's. Its row is, and its fault quotes it.
    """
    table, faults = manifest.table, manifest.all_faults()
    for name in ("pair_id", "method", "params", "tags", *own_columns(table)):
        if rows := {fault.row for fault in faults if fault.column == label(name)}:
            cells = table[name].to_pylist()
            kept = [_kept(name, cell) if cell is not None and row in rows else cell for row, cell in enumerate(cells)]
            column = pa.array(kept, table.schema.field(name).type)
            table = table.set_column(table.column_names.index(name), name, column)
    return table


def _kept(name: str, refused: Any) -> str | None:
    """What stays of a cell that was refused."""
    if name == "pair_id":
        return refused if re.fullmatch(PAIR_ID, refused) else None
    return bare(refused) if name in ("method", "params") else None
