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
from tasks.records.pair import SEED, plan_key_of_row
from tasks.records.reasons import OutOfReach
from tasks.results import ORDER, read_files
from tasks.store import Store
from tasks.stored import read_table
from tasks.withdrawn import Withdrawn

Served = dict[str, Any]
"""The results row of an earlier `ok` attempt that serves a pair, as far as it is copied."""
IDENTITY = ("inputs", "method", "params", "seed", "model_sha256", "algorithm_version")
NAMED = ("run_id", "manifest_row", "pair_key", "served_by", "audio_uri", "committed_at", "content_uri")
READ = pa.schema([schema.RESULTS.field(name) for name in ("status", *NAMED, *IDENTITY)])
COPIES = pa.schema(
    [schema.RESULTS.field(name) for name in ("run_id", "manifest_row", "pair_key", "served_by", *COPIED)]
)
REPEATED = ("method", "params", "model_sha256")
AT_ONCE = 4_096
FILE = "file"
"""Column of the results file that holds a row: what is seldom asked for is read from there."""


class Done:
    """The `ok` attempts of a root that may serve a pair, the first that was committed first."""

    def __init__(self, table: pa.Table, store: Store) -> None:
        self.table, self._store = table, store
        by = [(name, "ascending") for name in ORDER]
        self._order = np.asarray(pc.sort_indices(table.select(ORDER), sort_keys=by))

    def serving(self, pairs: Pairs, audio_exists: Callable[[str], bool]) -> pa.Table:
        """What serves pairs with the same inputs and parameters, as far as planning knows them (schema.SKIPPED)."""
        wanted = pc.is_in(pairs.table["content_uri"], value_set=pc.unique(self.table["content_uri"]))
        candidates = pairs.only(np.flatnonzero(np.asarray(wanted)))
        known = self._by_plan_key(pairs.table["content_uri"]) if len(candidates) else {}
        served: list[int] = []
        by: list[int] = []
        for pair in candidates:
            key = pair.plan_key() if known and not pair.faults else None
            if key in known:
                served.append(pair.manifest_row)
                by.append(known[key])
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
                if audio_exists(row["audio_uri"]) and (whole := self._whole(row)):
                    found[key] = whole
        return found

    def _whole(self, row: dict[str, Any]) -> Served | None:
        try:
            table = read_table(self._store, row[FILE], COPIES)
        except OutOfReach:  # compacted since, and removed: its pair is computed
            return None
        itself = (pc.field("run_id") == row["run_id"]) & (pc.field("manifest_row") == row["manifest_row"])
        [whole] = table.filter(itself).to_pylist()
        return dict(whole)

    @cached_property
    def _keys(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """All pair_keys in order, and the row of each: the first of those that share one."""
        keys = np.array(self.table["pair_key"].to_pylist(), "S64")[self._order]
        ordered, first = np.unique(keys, return_index=True)
        return ordered, self._order[first]

    def _by_plan_key(self, contents: pa.ChunkedArray) -> dict[bytes | None, int]:
        asked = np.asarray(pc.is_in(self.table["content_uri"], value_set=pc.unique(contents)))
        numbers = self._order[asked[self._order]]
        found: dict[bytes | None, int] = {}
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            for number, row in zip(some, self.table.select(IDENTITY).take(some).to_pylist(), strict=True):
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

    def read(uri: str) -> pa.Table:
        table = _ok(read_table(store, uri, READ))
        return table.append_column(FILE, pa.repeat(uri, len(table)).dictionary_encode())

    nothing = _ok(READ.empty_table()).append_column(FILE, pa.array([], pa.string()).dictionary_encode())
    table = pa.concat_tables([nothing, *read_files(store, layout, read)])
    if withdrawn.any and (gone := withdrawn.of(table.select(["inputs", "committed_at"]).to_pandas())):
        kept = np.ones(table.num_rows, bool)
        kept[list(gone)] = False
        table = table.filter(pa.array(kept))
    return Done(table, store)


def _ok(table: pa.Table) -> pa.Table:
    """The `ok` rows; what repeats itself, as parameters do but for their seed, is held once."""
    table = table.filter(pc.field("status") == "ok").drop_columns("status")
    for name in REPEATED:
        column = table[name]
        if name == "params":
            column = pc.replace_substring_regex(column, SEED.pattern, '"seed":0')
        table = table.set_column(table.column_names.index(name), name, column.combine_chunks().dictionary_encode())
    return table
