"""Decide what a run computes: skip what is done, cut the rest into shards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.done import Done
from tasks.manifest.pairs import Pairs
from tasks.records import schema
from tasks.records.pair import Pair

Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shard:
    """The pairs that one task holds on one device."""

    number: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Shards(Sequence[Shard]):
    """Each is made when it is asked for."""

    pairs: Pairs
    shard_pairs: int

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.shard_pairs)

    @overload
    def __getitem__(self, at: int) -> Shard: ...
    @overload
    def __getitem__(self, at: slice) -> list[Shard]: ...
    def __getitem__(self, at: int | slice) -> Shard | list[Shard]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        start = number * self.shard_pairs
        return Shard(number, tuple(self.pairs[start : start + self.shard_pairs]))


@dataclass(frozen=True)
class Plan:
    """`pairs`: those to compute, shard after shard. `skipped`: what serves the others (schema.SKIPPED)."""

    pairs: Pairs
    shards: Shards
    skipped: pa.Table


def make_plan(pairs: Pairs, done: Done | None, shard_pairs: int, audio_exists: Callable[[str], bool]) -> Plan:
    """Skip the pairs that are `done` (None: none is), and cut the rest into shards in which what is alike meets.

    The same pairs, results and `shard_pairs` give the same plan.
    """
    skipped = schema.SKIPPED.empty_table() if done is None else done.serving(pairs, audio_exists)
    left = np.ones(len(pairs), bool)
    left[skipped["manifest_row"].to_numpy()] = False
    rest = pairs.only(_alike_together(pairs.table, np.flatnonzero(left)))
    return Plan(rest, Shards(rest, shard_pairs), skipped)


def _alike_together(table: pa.Table, rows: Numbers) -> Numbers:
    """Rows in the manifest's order, but those with the same parameters, styles and length behind the first of them.

    What has other parameters shares no batch, and a style that is at hand need not be read again.
    """
    table = table.take(rows)
    group = np.zeros(len(rows), np.int64)
    for codes in (
        *(_codes(table[name]) for name in ALIKE),
        _styles(table["styles"]),
        _octave(table["content_seconds"]),
    ):
        group = np.unique(group * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    _, first = np.unique(group, return_index=True)
    ordered: Numbers = rows[np.argsort(first[group], kind="stable")]
    return ordered


ALIKE = ("params", "method", "style_uri", "style_start", "style_seconds")


def _codes(column: pa.ChunkedArray) -> Numbers:
    """A number for each value of a column; 0 where there is none."""
    return np.asarray(pc.fill_null(pc.index_in(column, value_set=pc.unique(pc.drop_null(column))), -1)) + 1


def _styles(column: pa.ChunkedArray) -> Numbers:
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64)
    return _codes(pa.chunked_array([pa.array([None if cell is None else repr(cell) for cell in column.to_pylist()])]))


def _octave(seconds: pa.ChunkedArray) -> Numbers:
    """The power of two that a length, where the manifest says one, is below."""
    return np.asarray(pc.fill_null(pc.ceil(pc.log2(pc.max_element_wise(seconds, 1.0))), 0.0), np.int64)
