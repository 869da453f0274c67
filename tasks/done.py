"""What earlier runs have done under a root, to be asked what serves a pair."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.attempts import COPIED
from tasks.in_threads import in_threads
from tasks.layout import Layout
from tasks.manifest.pairs import Pairs
from tasks.records import schema
from tasks.records.pair import plan_key_of_row
from tasks.results import read_rows
from tasks.store import Store
from tasks.withdrawn import Withdrawn

Served = dict[str, Any]
"""The results row of an earlier `ok` attempt that serves a pair, as far as COLUMNS go."""
IDENTITY = ("content_uri", "inputs", "method", "params", "seed", "model_sha256", "algorithm_version")
COLUMNS = ("status", "run_id", "manifest_row", "pair_key", "served_by", "committed_at", *IDENTITY, *COPIED)
WANTED = pa.schema([schema.RESULTS.field(name) for name in COLUMNS])


class Done:
    """The `ok` attempts of a root that may serve a pair, the first that was committed first."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def nothing(cls) -> "Done":
        return cls(WANTED.empty_table())

    def serving(self, pairs: Pairs, audio_exists: Callable[[str], bool]) -> pa.Table:
        """What serves pairs with the same inputs and parameters, as far as planning knows them (schema.SKIPPED)."""
        wanted = pc.is_in(pairs.table["content_uri"], value_set=pc.unique(self.table["content_uri"]))
        candidates = pairs.only(np.flatnonzero(np.asarray(wanted)))
        known = self._by_plan_key(pairs.table["content_uri"]) if len(candidates) else {}
        served: list[int] = []
        by: list[int] = []
        for pair in candidates:
            if known and not pair.faults and (number := known.get(pair.plan_key())) is not None:
                served.append(pair.manifest_row)
                by.append(number)
        at = pa.array(by, pa.int64())
        rows = self.table.select(["run_id", "manifest_row", "served_by", "pair_key", "audio_uri"]).take(at)
        itself = pc.binary_join_element_wise(rows["run_id"], rows["manifest_row"].cast(pa.string()), "/")
        columns = {
            "manifest_row": (numbers := pa.array(served, pa.int64())),
            "pair_id": pairs.table["pair_id"].take(numbers),
            "served_by": pc.coalesce(rows["served_by"], itself),
            "pair_key": rows["pair_key"],
            "audio_uri": rows["audio_uri"],
        }
        return _there(pa.table(columns, schema.SKIPPED), audio_exists)

    def by_key(self, keys: Sequence[str], audio_exists: Callable[[str], bool]) -> dict[str, Served]:
        """What has one of these pair_keys."""
        ordered, first = self._keys
        found = {}
        for key in keys:
            at = int(np.searchsorted(ordered, key.encode()))
            if at < len(ordered) and ordered[at] == key.encode():
                [row] = self.table.slice(int(first[at]), 1).to_pylist()
                if audio_exists(row["audio_uri"]):
                    found[key] = row
        return found

    @cached_property
    def _keys(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """All pair_keys in order, and the row of each: the first of those that share one."""
        keys = np.array(self.table["pair_key"].to_pylist(), "S64")
        return np.unique(keys, return_index=True)

    def _by_plan_key(self, contents: pa.ChunkedArray) -> dict[Any, int]:
        numbers = np.flatnonzero(np.asarray(pc.is_in(self.table["content_uri"], value_set=pc.unique(contents))))
        found: dict[Any, int] = {}
        identities = self.table.select(list(IDENTITY)).take(numbers)
        at = iter(numbers)
        for batch in identities.to_batches(max_chunksize=4_096):
            for row, number in zip(batch.to_pylist(), at, strict=False):
                if (key := plan_key_of_row(row)) is not None:
                    found.setdefault(key, int(number))
        return found


def _there(rows: pa.Table, audio_exists: Callable[[str], bool]) -> pa.Table:
    """Those whose audio is still there."""
    uris = pc.unique(rows["audio_uri"]).to_pylist()
    gone = [uri for uri, there in zip(uris, in_threads(audio_exists, uris), strict=True) if not there]
    return rows.filter(pc.invert(pc.is_in(rows["audio_uri"], value_set=pa.array(gone, pa.string()))))


def read_done(store: Store, layout: Layout, withdrawn: Withdrawn) -> Done:
    """All of a root, but for what was made from something that is withdrawn."""
    table = read_rows(store, layout, wanted=WANTED, where=pc.field("status") == "ok")
    gone = withdrawn.of(table.select(["inputs", "committed_at"]).to_pandas()) if withdrawn.any else ()
    if gone:
        kept = np.ones(table.num_rows, bool)
        kept[list(gone)] = False
        table = table.filter(pa.array(kept))
    return Done(table)
