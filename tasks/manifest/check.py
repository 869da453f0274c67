"""All that can be wrong with the rows of a manifest, found column by column."""

import typing
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.manifest.uris import is_plain
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
LISTS = (
    pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list,
    pa.types.is_list_view, pa.types.is_large_list_view,
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
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.bool_())
    return pa.array(_text_bytes(column.combine_chunks()) > most)


def _text_bytes(column: pa.Array) -> np.ndarray[Any, Any]:
    """How many bytes of text each cell holds."""
    kind = column.type
    if any(is_text(kind) for is_text in TEXTS):
        return np.asarray(pc.fill_null(pc.binary_length(column.cast(pa.large_binary())), 0))
    if pa.types.is_struct(kind):
        return sum((_text_bytes(child) for child in column.flatten()), np.zeros(len(column), np.int64))
    if any(is_list(kind) for is_list in LISTS):
        below = _text_bytes(column.flatten())
        ends = np.cumsum([0, *np.asarray(pc.fill_null(pc.list_value_length(column), 0))])
    elif pa.types.is_map(kind):
        below, ends = _text_bytes(column.keys) + _text_bytes(column.items), np.asarray(column.offsets)
    else:
        return np.zeros(len(column), np.int64)
    return np.diff(np.concatenate([[0], np.cumsum(below)])[ends])


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

    def odd(column: str) -> Iterator[tuple[int, str | None]]:
        plain = pc.fill_null(is_plain(table[column], folder), False)
        rows = pc.indices_nonzero(pc.invert(plain))
        yield from zip(rows.to_pylist(), table[column].take(rows).to_pylist(), strict=True)

    lists = pc.fill_null(pc.greater(pc.list_value_length(table["styles"]), 0), False)
    for row, text in odd("content_uri"):
        yield from faults(row, "content_uri", text)
    for row, text in odd("style_uri"):
        if not lists[row].as_py():
            yield from faults(row, "style_uri", text)
    for row in pc.indices_nonzero(lists).to_pylist():
        if table["style_uri"][row].as_py():
            yield Fault(row, "styles", "...", Reason.ROW_INVALID, "is given beside style_uri", "use one of the two")
        for one in table["styles"][row].as_py():
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
    """A million rows have few texts; only one that names a seed must be looked at beside each row's own."""
    texts = table["params"]
    short = pc.less_equal(pc.utf8_length(texts), max_cell_kb * 1_000)  # of the others it is said before
    each = pc.unique(pc.filter(texts, pc.fill_null(short, False))).to_pylist()
    odd = pa.array(
        [text for text in each if "seed" in text or "\\" in text or _problems(base, text, None)], pa.string()
    )
    rows = pc.indices_nonzero(pc.is_in(texts, value_set=odd))
    found = table.select(["params", "seed"]).take(rows).to_pylist()
    for row, cells in zip(rows.to_pylist(), found, strict=True):
        seed = cells["seed"]
        for value, why, remedy in _problems(base, cells["params"], None if seed is None or seed < 0 else seed):
            yield Fault(row, "params", value, Reason.PARAMS_INVALID, why, remedy)


@lru_cache(maxsize=65_536)
def _problems(base: Parameters, text: str, seed: int | None) -> tuple[tuple[str, str, str], ...]:
    try:
        resolve(base, text, seed)
    except ParamsInvalid as error:
        return tuple(error.problems)
    return ()
