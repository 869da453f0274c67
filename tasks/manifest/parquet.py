"""The parquet files of a manifest, decoded within limits: some kilobytes can stand for gigabytes.

The footer tells rows and values before any is decoded; text comes as dictionaries and is counted before it is spelled
out. Nothing is opened whose types would call code that other libraries have registered.
"""

import base64
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.audio.looks import looks_like
from tasks.manifest.footer import row_groups
from tasks.records.reasons import UsageError
from tasks.records.run import Options

MAX_COLUMNS = 1_000
MAX_FOOTER_MB = 16
BATCH_ROWS = 8_192
EXTENSION = b"ARROW:extension:name"
FAULTS = (pa.ArrowException, OSError, ValueError)


class Room:
    """What a manifest may still take, over all of its files: rows, and bytes once it is decoded."""

    def __init__(self, options: Options) -> None:
        self._rows, self._bytes, self._options = options.max_rows, options.max_manifest_mb * 1_000_000, options

    def check(self, uri: str, rows: int, size: int) -> None:
        """Raises UsageError where so many rows or bytes are too many."""
        if rows > self._rows:
            most = self._options.max_rows
            raise UsageError(f"{uri} has {rows:,} rows; a manifest has at most {most:,} (max_rows): split it.")
        if size > self._bytes:
            most = self._options.max_manifest_mb
            raise UsageError(
                f"{uri} takes more than {most:,} MB once it is decoded, the most for a manifest (max_manifest_mb): "
                "split it, or shorten its texts."
            )

    def take(self, uri: str, rows: int, size: int) -> None:
        """The same, and they are taken."""
        self.check(uri, rows, size)
        self._rows, self._bytes = self._rows - rows, self._bytes - size


def open_parquet(uri: str, data: bytes, room: Room) -> pq.ParquetFile:
    """A parquet file whose text comes as dictionaries. Raises UsageError: none, damaged, too large, of odd types."""
    _check_ends(uri, data)
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
    if len(footer) > MAX_FOOTER_MB * 1_000_000:
        raise UsageError(f"{uri} has a footer of more than {MAX_FOOTER_MB} MB; write it in fewer row groups.")
    if any(mark in footer for mark in (EXTENSION, *_in_base64(EXTENSION))):
        raise UsageError(
            f"{uri} has a column of an Arrow extension type, which is not read; store plain strings and numbers."
        )
    try:
        file = pq.ParquetFile(io.BytesIO(data), arrow_extensions_enabled=False)
        _check_claims(uri, file, footer, room)
        leaves = [file.schema.column(number) for number in range(len(file.schema))]
        return pq.ParquetFile(
            io.BytesIO(data),
            metadata=file.metadata,
            read_dictionary=[leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"],
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )
    except FAULTS as error:
        raise UsageError(
            f"{uri} cannot be read as parquet ({_why(error)}); the file is damaged: write it again."
        ) from error


def tables(uri: str, file: pq.ParquetFile, names: list[str], room: Room) -> Iterator[pa.Table]:
    """The rows of some columns, in their order, without dictionaries. Raises UsageError, which names a row's fault."""
    row = 0
    try:
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            room.take(uri, batch.num_rows, sum(_text_bytes(column) for column in batch.columns))
            table = pa.Table.from_batches([batch]).cast(plain(batch.schema))
            for name in names:
                _check_text(uri, name, table[name], row)
            yield table
            row += batch.num_rows
    except FAULTS as error:
        if "Not yet implemented" in str(error):  # of the encodings those whose texts cannot be counted first
            raise UsageError(
                f"{uri} is encoded in a way that is not read ({_why(error)}); pandas' to_parquet writes one that is."
            ) from error
        raise UsageError(
            f"{uri}: rows from {row} on cannot be read ({_why(error)}); the file is damaged: write it again."
        ) from error


def plain(schema: pa.Schema) -> pa.Schema:
    """The schema with what dictionaries stand for in their place."""
    return pa.schema([pa.field(field.name, _spelled(field.type)) for field in schema])


def _check_ends(uri: str, data: bytes) -> None:
    if data[:4] == data[-4:] == b"PAR1" and len(data) >= 12:
        return
    why = f"it {looks_like(data)}" if data else "it is empty, 0 bytes"
    if data[:4] == b"PAR1":
        why = "it begins as one and does not end as one, as if it were cut short"
    raise UsageError(f"{uri} is not a parquet file: {why}. A manifest is parquet; pandas' to_parquet writes one.")


def _in_base64(mark: bytes) -> Iterator[bytes]:
    """How a mark looks within base64, as which Arrow keeps its schema: it may begin at any of three places."""
    for shift, first in enumerate((0, 2, 3)):  # characters to which the bytes before it contribute
        yield base64.b64encode(bytes(shift) + mark)[first : (shift + len(mark)) * 8 // 6]


def _check_claims(uri: str, file: pq.ParquetFile, footer: bytes, room: Room) -> None:
    found = file.metadata
    if found.num_columns > MAX_COLUMNS:
        raise UsageError(
            f"{uri} has {found.num_columns:,} columns; a manifest has at most {MAX_COLUMNS:,}: leave some out."
        )
    widths = [max(8, file.schema.column(number).length or 0) for number in range(found.num_columns)]
    groups = row_groups(footer)
    size = 0
    for group in groups:
        for chunk, width in zip(group.chunks, widths, strict=True):
            size += max(chunk.size, chunk.values * width)
    room.check(uri, max(found.num_rows, sum(group.rows for group in groups)), size)


def _text_bytes(column: pa.Array) -> int:
    """What the texts of a column take once they are spelled out."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0
    if pa.types.is_map(kind):
        return _text_bytes(column.keys) + _text_bytes(column.items)
    if pa.types.is_struct(kind):
        return sum(_text_bytes(child) for child in column.flatten())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _text_bytes(column.flatten())
    return 0


def _spelled(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_map(kind):
        return pa.map_(_spelled(kind.key_type), _spelled(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_spelled(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_spelled(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_spelled(kind.value_type)))
    return kind


def _check_text(uri: str, name: str, column: pa.ChunkedArray, first: int) -> None:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise UsageError(
            f"{uri}: column {name!r}, row {first + _wrong(column)} is no UTF-8 text; write the table again in UTF-8."
        ) from error


def _wrong(column: pa.ChunkedArray) -> int:
    """The first cell that is no text."""
    for row, cell in enumerate(column):
        try:
            cell.as_py()
        except UnicodeDecodeError:
            return row
    return 0


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.isprintable() else text.encode("unicode_escape").decode()
