"""Every pair that a run and its reruns were asked for, as numbers: a million names of pairs are a hundred megabytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks.layout import Layout
from tasks.records import schema
from tasks.records.run import RunRecord
from tasks.store import Store
from tasks.stored import read_table

Numbers = npt.NDArray[np.int64]
PAIR_IDS = schema.some(schema.MANIFEST, "pair_id")
NAMED = schema.some(schema.MANIFEST, "pair_id", "content_uri", "style_uri")


@dataclass(frozen=True)
class Asked:
    """The pairs have the numbers from 0, in the order in which they were first asked for.

    The rows of all manifests lie one after the other: `begins` says where each run's do, `pair` which pair each row
    asks for, `newest` of each pair its row in the newest run that holds it.
    """

    runs: tuple[str, ...]
    begins: Numbers
    pair: Numbers
    newest: Numbers

    def __len__(self) -> int:
        return len(self.newest)

    def pair_of(self, rows: pd.DataFrame) -> Numbers:
        """The pair of each row (columns run_id, manifest_row); -1 where these runs hold no such row."""
        found = np.full(len(rows), -1)
        numbers = rows["manifest_row"].to_numpy("int64")
        for run_id, begin, end in zip(self.runs, self.begins, [*self.begins[1:], len(self.pair)], strict=True):
            held = (rows["run_id"] == run_id).to_numpy(bool) & (numbers < end - begin)
            found[held] = self.pair[begin + numbers[held]]
        return found

    def rows(self, store: Store, layout: Layout, pairs: Numbers) -> pd.DataFrame:
        """Of some pairs the columns of NAMED, run_id and manifest_row, as the newest run that holds them has them."""
        lines = self.newest[pairs]
        run = np.searchsorted(self.begins, lines, side="right") - 1
        parts = []
        for number, run_id in enumerate(self.runs):
            held = lines[run == number] - self.begins[number]
            if len(held):
                table = read_table(store, layout.run(run_id, "manifest.parquet"), NAMED).take(held)
                parts.append(table.to_pandas().assign(run_id=run_id, manifest_row=held))
        found: pd.DataFrame = pd.concat(parts).iloc[np.argsort(np.argsort(run, kind="stable"), kind="stable")]
        return found.reset_index(drop=True)


def read_asked(store: Store, layout: Layout, runs: Sequence[RunRecord]) -> Asked:
    """What `runs`, oldest first, were asked for. A pair without a pair_id is one of its own, known by run and row."""
    tables = [read_table(store, layout.run(run.run_id, "manifest.parquet"), PAIR_IDS) for run in runs]
    begins = np.cumsum([0, *(len(table) for table in tables[:-1])])
    names = pa.concat_tables(tables)["pair_id"].combine_chunks()
    pair = _numbers(names)
    newest = np.empty(pair.max(initial=-1) + 1, "int64")
    for begin, table in zip(begins, tables, strict=True):
        lines = np.arange(begin, begin + len(table))[::-1]
        newest[pair[lines]] = lines  # of several for one place the last stays: a run's first row, of the newest run
    return Asked(tuple(run.run_id for run in runs), begins, pair, newest)


def _numbers(names: pa.StringArray) -> Numbers:
    """A number for each name, by first appearance; each null has its own."""
    codes: Numbers = names.dictionary_encode().indices.fill_null(-1).to_numpy().astype("int64")
    unnamed = codes < 0
    if unnamed.any():
        codes[unnamed] = -np.arange(1, unnamed.sum() + 1)
        codes = pd.factorize(codes)[0]
    return codes
