"""All that can be wrong with the rows of a manifest, found column by column."""

import typing
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.overrides import ParamsInvalid, resolve, shown
from tasks.records.pair import Fault
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.roots import canonical_uri
from tasks.roots import shown as shown_uri

PAIR_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
METHODS = typing.get_args(Parameters.model_fields["method"].annotation)
TEXTS = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
    pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view,
)  # fmt: skip


def row_faults(table: pa.Table, base: Parameters, folder: str, max_cell_kb: int) -> Iterator[Fault]:
    """The faults of every row of a manifest in its schema; `folder` is what relative URIs are taken from."""
    yield from _pair_ids(table)
    yield from _uris(table, folder)
    for name in ("method", "params", "tags", *own_columns(table)):
        why = f"is longer than {max_cell_kb:,} kB (max_cell_kb)"
        yield from _where(table, name, _longer(table[name], max_cell_kb * 1_000), Reason.ROW_INVALID, why, "shorten it")
    for name in ("content_start", "style_start"):
        yield from _numbers(
            table, name, pc.less(table[name], 0.0), "is before the beginning", "use 0 or more, in seconds"
        )
    for name in ("content_seconds", "style_seconds"):
        wrong = pc.less_equal(table[name], 0.0)
        yield from _numbers(table, name, wrong, "is no length", "use more than 0, in seconds")
    yield from _where(table, "seed", pc.less(table["seed"], 0), Reason.ROW_INVALID, "is negative", "use 0 or more")
    unknown = pc.invert(pc.is_in(table["method"], value_set=pa.array(METHODS)))
    yield from _where(
        table,
        "method",
        pc.and_(unknown, pc.is_valid(table["method"])),
        Reason.ROW_INVALID,
        "is not a method",
        f"use {' or '.join(METHODS)}, or leave it out",
    )
    yield from _tags(table)
    yield from _params(table, base, max_cell_kb)


def own_columns(table: pa.Table) -> list[str]:
    """The columns that are the user's own."""
    return [name for name in table.column_names if name.startswith("x_")]


def label(column: str) -> str:
    """How a column is named in a fault: as it is, unless it is odd."""
    return column if column.isprintable() and len(column) <= 80 else shown(column)


def _longer(column: pa.ChunkedArray, most: int) -> Any:
    """Where a cell holds more bytes of text than that, a list, a map or a struct all in all."""
    if pa.types.is_nested(column.type):
        return pa.array([_text_bytes(cell) > most for cell in column.to_pylist()], pa.bool_())
    if not any(is_text(column.type) for is_text in TEXTS):
        return pa.nulls(len(column), pa.bool_())
    return pc.greater(pc.binary_length(column.cast(pa.large_binary())), most)


def _text_bytes(cell: Any) -> int:
    if isinstance(cell, str):
        return len(cell.encode())
    if isinstance(cell, bytes):
        return len(cell)
    if isinstance(cell, dict):
        return sum(map(_text_bytes, cell.values()))
    return sum(map(_text_bytes, cell)) if isinstance(cell, list | tuple) else 0


def _where(table: pa.Table, column: str, mask: Any, reason: Reason, why: str, remedy: str) -> Iterator[Fault]:
    """A fault for every row in which `mask` is true."""
    for row in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
        yield Fault(row, label(column), shown(table[column][row].as_py()), reason, why, remedy)


def _numbers(table: pa.Table, name: str, mask: Any, why: str, remedy: str) -> Iterator[Fault]:
    yield from _where(table, name, mask, Reason.ROW_INVALID, why, remedy)
    infinite = pc.invert(pc.is_finite(table[name]))
    yield from _where(table, name, infinite, Reason.ROW_INVALID, "is not a number", "use a finite number, in seconds")


def _pair_ids(table: pa.Table) -> Iterator[Fault]:
    ids = table["pair_id"]
    invalid = Reason.ROW_INVALID
    yield from _where(table, "pair_id", pc.is_null(ids), invalid, "is missing", "give each row a name of its own")
    wrong = pc.invert(pc.match_substring_regex(ids, PAIR_ID))
    yield from _where(
        table,
        "pair_id",
        wrong,
        invalid,
        "is not a name",
        "use 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    )
    counts = pc.value_counts(pc.drop_null(ids))
    twice = pc.filter(pc.struct_field(counts, 0), pc.greater(pc.struct_field(counts, 1), 1))
    if len(twice):
        mask = pc.is_in(ids, value_set=twice)
        first: dict[str, list[int]] = {}
        for row in pc.indices_nonzero(mask).to_pylist():
            first.setdefault(ids[row].as_py(), []).append(row)
        for name, rows in first.items():
            for row in rows:
                others = ", ".join(str(r) for r in rows[:5] if r != row)
                yield Fault(
                    row, "pair_id", shown(name), invalid, f"is also in row {others}", "give each row a name of its own"
                )


def _uris(table: pa.Table, folder: str) -> Iterator[Fault]:
    @lru_cache(maxsize=65_536)
    def wrong(text: str) -> tuple[str, str] | None:
        try:
            canonical_uri(text, folder)
        except PairError as error:
            return shown_uri(text), error.message
        return None

    def faults(row: int, column: str, text: str | None) -> Iterator[Fault]:
        if not text:
            yield Fault(row, column, shown(text), Reason.ROW_INVALID, "is missing", "name the audio file")
        elif found := wrong(text):
            yield Fault(row, column, found[0], Reason.INPUT_FORBIDDEN, found[1], "use a path or an s3:// URI")

    listed = table["styles"].to_pylist()
    for row, (content, style, styles) in enumerate(
        zip(table["content_uri"].to_pylist(), table["style_uri"].to_pylist(), listed, strict=True)
    ):
        yield from faults(row, "content_uri", content)
        if not styles:
            yield from faults(row, "style_uri", style)
            continue
        if style:
            yield Fault(row, "styles", "...", Reason.ROW_INVALID, "is given beside style_uri", "use one of the two")
        for one in styles:
            yield from faults(row, "styles", one["uri"])
            yield from _style_numbers(row, one)


def _style_numbers(row: int, style: dict[str, Any]) -> Iterator[Fault]:
    for name, lowest in (("start", 0.0), ("seconds", 1e-9), ("weight", 1e-9)):
        value = style[name]
        if value is not None and not lowest <= value < float("inf"):
            yield Fault(
                row, "styles", f"{name} {value}", Reason.ROW_INVALID, "is out of range", "use a positive number"
            )


def _tags(table: pa.Table) -> Iterator[Fault]:
    if table["tags"].null_count == len(table):
        return
    for row, tags in enumerate(table["tags"].to_pylist()):
        for name, times in Counter(name for name, _ in tags or ()).items():
            if times > 1:
                yield Fault(row, "tags", shown(name), Reason.ROW_INVALID, "is there twice", "give each tag one value")


def _params(table: pa.Table, base: Parameters, max_cell_kb: int) -> Iterator[Fault]:
    @lru_cache(maxsize=65_536)
    def problems(text: str | None, seed: int | None) -> tuple[tuple[str, str, str], ...]:
        try:
            resolve(base, text, seed)
        except ParamsInvalid as error:
            return tuple(error.problems)
        return ()

    rows = zip(table["params"].to_pylist(), table["seed"].to_pylist(), strict=True)
    for row, (text, seed) in enumerate(rows):
        if text is None or len(text) > max_cell_kb * 1_000:  # said before
            continue
        for value, why, remedy in problems(text, None if seed is None or seed < 0 else seed):
            yield Fault(row, "params", value, Reason.PARAMS_INVALID, why, remedy)
