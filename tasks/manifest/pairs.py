"""The pairs that the rows of a manifest stand for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
import pyarrow as pa

from tasks.overrides import ParamsInvalid, resolve
from tasks.records import schema
from tasks.records.pair import Fault, Input, Pair
from tasks.records.parameters import Parameters

AT_ONCE = 4_096
ETAGS = ("content_etag", "style_etag")


@dataclass(frozen=True)
class Pairs(Sequence[Pair]):
    """One pair for each row, made when it is asked for: a million at a time would take gigabytes.

    `base` is overridden by a row's parameters; a faulty row gives a faulty pair. `etags` has the columns ETAGS, once
    the inputs were looked up, and `etags_of_styles` those of the column `styles`, by URI. `rows`: which of the table's
    rows these are; None: all.
    """

    table: pa.Table
    base: Parameters
    faults: Mapping[int, Sequence[Fault]] = field(default_factory=dict)
    etags: pa.Table | None = None
    etags_of_styles: Mapping[str, str | None] = field(default_factory=dict)
    rows: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, at: int) -> Pair: ...
    @overload
    def __getitem__(self, at: slice) -> "Pairs": ...
    def __getitem__(self, at: int | slice) -> "Pair | Pairs":
        if isinstance(at, slice):
            return self.only(self.numbers[at])
        return self._made(self.numbers[at : at + 1 or None])[0]

    def __iter__(self) -> Iterator[Pair]:
        numbers = self.numbers
        for start in range(0, len(numbers), AT_ONCE):
            yield from self._made(numbers[start : start + AT_ONCE])

    @property
    def numbers(self) -> np.ndarray[Any, Any]:
        """The manifest rows of these pairs."""
        return np.arange(self.table.num_rows) if self.rows is None else self.rows

    def only(self, numbers: np.ndarray[Any, Any]) -> "Pairs":
        """The pairs of some manifest rows, in that order, under the numbers that they have."""
        return replace(self, rows=numbers)

    def renumbered(self, numbers: Sequence[int]) -> "Pairs":
        """The pairs of some manifest rows as the whole of another manifest."""
        faults = {
            new: [replace(fault, row=new) for fault in self.faults[old]]
            for new, old in enumerate(numbers)
            if old in self.faults
        }
        etags = None if self.etags is None else self.etags.take(numbers)
        return replace(self, table=self.table.take(numbers), faults=faults, etags=etags, rows=None)

    def each_parameters(self) -> Iterator[Parameters]:
        """Every different parameters of these pairs, but for their seeds; those that are wrong left out."""
        for row in (
            self.table.select(["params", "method"])
            .take(self.numbers)
            .group_by(["params", "method"])
            .aggregate([])
            .to_pylist()
        ):
            with suppress(ParamsInvalid):
                yield resolve(self.base, row["params"], None, row["method"])

    def _made(self, numbers: np.ndarray[Any, Any]) -> list[Pair]:
        rows = self.table.select(schema.MANIFEST.names).take(numbers).to_pylist()
        etags = [{}] * len(rows) if self.etags is None else self.etags.take(numbers).to_pylist()
        return [self._pair(int(number), row, found) for number, row, found in zip(numbers, rows, etags, strict=True)]

    def _pair(self, number: int, row: dict[str, Any], etags: Mapping[str, str | None]) -> Pair:
        try:
            params = resolve(self.base, row["params"], row["seed"], row["method"])
        except ParamsInvalid:
            params = None
        content = Input(
            "content", row["content_uri"] or "", row["content_start"], row["content_seconds"],
            etag=etags.get("content_etag"),
        )  # fmt: skip
        return Pair(
            manifest_row=number,
            pair_id=row["pair_id"],
            inputs=(content, *self._styles(row, etags)),
            method=params.method if params else row["method"] or self.base.method,
            params=params,
            tags=tuple(sorted(dict(row["tags"] or ()).items())),
            faults=tuple(self.faults.get(number, ())),
        )

    def _styles(self, row: dict[str, Any], etags: Mapping[str, str | None]) -> Iterator[Input]:
        if not row["styles"]:
            yield Input(
                "style", row["style_uri"] or "", row["style_start"], row["style_seconds"], etag=etags.get("style_etag")
            )
        for one in row["styles"] or ():
            weight = 1.0 if one["weight"] is None else one["weight"]
            uri = one["uri"] or ""
            yield Input("style", uri, one["start"], one["seconds"], weight, etag=self.etags_of_styles.get(uri))
