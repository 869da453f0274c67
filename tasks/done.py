"""What earlier runs have done under a root, to be asked what serves a pair."""

from collections.abc import Callable, Sequence
from functools import lru_cache
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
from tasks.store import Store, open_store
from tasks.stored import read_table
from tasks.withdrawn import Withdrawn

Served = dict[str, Any]
"""The results row of an earlier `ok` attempt that serves a pair, as far as it is copied."""
IDENTITY = ("inputs", "method", "params", "seed", "model_sha256", "algorithm_version")
READ = ("status", "pair_key", "content_uri", "served_by", "audio_uri", *ORDER, *IDENTITY)
WANTED = schema.some(schema.RESULTS, *READ)
COPIES = schema.some(schema.RESULTS, "run_id", "manifest_row", "served_by", "pair_key", *COPIED)
REPEATED = ("method", "params", "model_sha256")
FILE = "file"
"""Column of the results file that holds a row: what is seldom asked for is read from there."""
KEYED = ("pair_key", FILE, *ORDER)
AT_ONCE = 4_096
FILES_AT_HAND = 2


class Done:
    """The `ok` attempts of a root that may serve a pair, those that were committed first before others.

    `alike` has those of contents that are asked for, with what planning compares; `every` the pair_key of each.
    """

    def __init__(self, alike: pa.Table, every: pa.Table) -> None:
        by = [(name, "ascending") for name in ORDER]
        self._alike = alike.take(pc.sort_indices(alike.select(ORDER), sort_keys=by))
        every = every.take(pc.sort_indices(every, sort_keys=[("pair_key", "ascending"), *by]))
        self._keys, self._every = np.array(every["pair_key"].to_pylist(), "S64"), every

    def serving(self, pairs: Pairs, audio_exists: Callable[[str], bool]) -> pa.Table:
        """What serves pairs with the same inputs and parameters, as far as planning knows them (schema.SKIPPED)."""
        wanted = pc.is_in(pairs.table["content_uri"], value_set=pc.unique(self._alike["content_uri"]))
        candidates = pairs.only(np.flatnonzero(np.asarray(wanted)))
        known = self._by_plan_key() if len(candidates) else {}
        asked: dict[int, list[int]] = {}
        for pair in candidates:
            key = pair.plan_key() if known and not pair.faults else None
            if key in known:
                asked[pair.manifest_row] = known[key]
        return self._skipped(pairs, self._there(asked, audio_exists))

    def by_key(self, keys: Sequence[str], audio_exists: Callable[[str], bool]) -> dict[str, Served]:
        """What has one of these pair_keys."""
        return {key: row for key in keys if (row := self._served(key, audio_exists))}

    def _served(self, key: str, audio_exists: Callable[[str], bool]) -> Served | None:
        first, end = (int(np.searchsorted(self._keys, key.encode(), side)) for side in ("left", "right"))
        for named in self._every.slice(first, end - first).to_pylist():
            row = self._whole(named)
            if row is not None and audio_exists(row["audio_uri"]):
                return row
        return None

    def _whole(self, named: dict[str, Any]) -> Served | None:
        try:
            table = _copies(named[FILE])
        except OutOfReach:  # compacted since, and removed: its pair is computed
            return None
        itself = (pc.field("run_id") == named["run_id"]) & (pc.field("manifest_row") == named["manifest_row"])
        [row] = table.filter(itself).to_pylist()
        return dict(row)

    def _by_plan_key(self) -> dict[bytes | None, list[int]]:
        found: dict[bytes | None, list[int]] = {}
        for start in range(0, len(self._alike), AT_ONCE):
            rows = self._alike.select(IDENTITY).slice(start, AT_ONCE).to_pylist()
            for number, row in enumerate(rows, start):
                if (key := plan_key_of_row(row)) is not None:
                    found.setdefault(key, []).append(number)
        return found

    def _there(self, asked: dict[int, list[int]], audio_exists: Callable[[str], bool]) -> dict[int, int]:
        """Of what may serve each pair the first whose audio is still there."""
        there: dict[int, int] = {}
        turn = 0
        while asked:
            uris = self._alike["audio_uri"].take(pa.array([numbers[turn] for numbers in asked.values()], pa.int64()))
            each = pc.unique(uris).to_pylist()
            held = {uri for uri, found in zip(each, in_threads(audio_exists, each), strict=True) if found}
            for row, uri in zip(list(asked), uris.to_pylist(), strict=True):
                if uri in held:
                    there[row] = asked[row][turn]
            turn += 1
            asked = {row: numbers for row, numbers in asked.items() if row not in there and turn < len(numbers)}
        return there

    def _skipped(self, pairs: Pairs, served: dict[int, int]) -> pa.Table:
        numbers = pa.array(sorted(served), pa.int64())
        by = pa.array([served[row] for row in sorted(served)], pa.int64())
        rows = self._alike.select(["run_id", "manifest_row", "served_by", "pair_key", "audio_uri"]).take(by)
        itself = pc.binary_join_element_wise(rows["run_id"], rows["manifest_row"].cast(pa.string()), "/")
        columns = {
            "manifest_row": numbers,
            "pair_id": pairs.table["pair_id"].take(numbers),
            "served_by": pc.coalesce(rows["served_by"], itself),
            "pair_key": rows["pair_key"],
            "audio_uri": rows["audio_uri"],
        }
        return pa.table(columns, schema.SKIPPED)


def read_done(store: Store, layout: Layout, withdrawn: Withdrawn, contents: pa.ChunkedArray) -> Done:
    """All of a root, as far as pairs with these contents ask for it, but for what was made from something withdrawn."""
    asked = pc.unique(contents)

    def read(uri: str) -> tuple[pa.Table, pa.Table]:
        table = _ok(read_table(store, uri, WANTED), withdrawn)
        table = table.append_column(FILE, pa.repeat(uri, len(table)).dictionary_encode())
        return table.filter(pc.is_in(table["content_uri"], value_set=asked)), table.select(KEYED)

    nothing = _ok(WANTED.empty_table(), withdrawn).append_column(FILE, pa.array([], pa.string()).dictionary_encode())
    alike, every = zip((nothing, nothing.select(KEYED)), *read_files(store, layout, read), strict=True)
    return Done(pa.concat_tables(alike), pa.concat_tables(every))


@lru_cache(FILES_AT_HAND)
def _copies(uri: str) -> pa.Table:
    """Of a results file what is copied: whoever asks for one of its rows soon asks for others."""
    return read_table(open_store(uri), uri, COPIES)


def _ok(table: pa.Table, withdrawn: Withdrawn) -> pa.Table:
    """The `ok` rows; what repeats itself, as parameters do but for their seed, is held once."""
    table = table.filter(pc.field("status") == "ok").drop_columns("status")
    if withdrawn.any and (gone := withdrawn.of(table.select(["inputs", "committed_at"]).to_pandas())):
        kept = np.ones(table.num_rows, bool)
        kept[list(gone)] = False
        table = table.filter(pa.array(kept))
    for name in REPEATED:
        column = table[name]
        if name == "params":
            column = pc.replace_substring_regex(column, SEED.pattern, '"seed":0')
        table = table.set_column(table.column_names.index(name), name, column.combine_chunks().dictionary_encode())
    return table
