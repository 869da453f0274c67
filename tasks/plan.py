"""Decide what a run computes: skip what is done, cut the rest into shards."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tasks.overrides import shown
from tasks.records.pair import Fault, Pair, plan_key_of_row
from tasks.records.reasons import PairError, Reason
from tasks.results import rows_of
from tasks.roots import Roots
from tasks.store import open_store
from tasks.withdrawn import NOTHING, Withdrawn

Served = dict[str, Any]
"""The results row of an earlier `ok` attempt that serves a pair."""


@dataclass(frozen=True)
class Shard:
    """The pairs that one task holds on one device."""

    number: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Plan:
    shards: tuple[Shard, ...]
    skipped: tuple[tuple[Pair, Served], ...]

    @property
    def pairs(self) -> list[Pair]:
        return [pair for shard in self.shards for pair in shard.pairs]


def look_up(pairs: Iterable[Pair], roots: Roots, withdrawn: Withdrawn = NOTHING) -> list[Pair]:
    """Give every input its ETag, where it has one, and every pair that may not be read its fault.

    A missing input keeps no ETag: the worker that reads it says so in its attempt.
    """
    pairs = list(pairs)
    uris = sorted({i.uri for pair in pairs if not pair.faults for i in pair.inputs})
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(uris, pool.map(lambda uri: etag_of(uri, roots), uris), strict=True))
    return [pair if pair.faults else _looked_up(pair, found, withdrawn) for pair in pairs]


def etag_of(uri: str, roots: Roots) -> str | PairError | None:
    """The ETag of an input, None where there is none, or what keeps it from being looked at."""
    try:
        roots.check(uri)
        stat = open_store(uri).stat(uri)
        return stat.etag if stat else None
    except PairError as error:
        return error


def _looked_up(pair: Pair, found: Mapping[str, str | PairError | None], withdrawn: Withdrawn) -> Pair:
    faults = tuple(
        Fault(pair.manifest_row, f"{i.role}_uri", shown(i.uri), error.reason, error.message, remedy)
        for i in pair.inputs
        for error, remedy in ((withdrawn.refusal(i), "choose another"), (found[i.uri], "or mend the row"))
        if isinstance(error, PairError) and error.reason is Reason.INPUT_FORBIDDEN
    )
    etags = {uri: etag for uri, etag in found.items() if isinstance(etag, str)}
    return replace(pair.with_etags(etags), faults=faults)


def make_plan(pairs: Sequence[Pair], done: pd.DataFrame, shard_pairs: int, audio_exists: Callable[[str], bool]) -> Plan:
    """Skip the pairs that an `ok` row among `done` serves, and cut the rest into shards in manifest order.

    The same pairs, results and `shard_pairs` give the same plan.
    """
    served = _served(pairs, done, audio_exists)
    skipped = tuple((pair, served[pair.manifest_row]) for pair in pairs if pair.manifest_row in served)
    rest = [pair for pair in pairs if pair.manifest_row not in served]
    shards = tuple(
        Shard(number, tuple(rest[start : start + shard_pairs]))
        for number, start in enumerate(range(0, len(rest), shard_pairs))
    )
    return Plan(shards, skipped)


def _served(pairs: Sequence[Pair], done: pd.DataFrame, audio_exists: Callable[[str], bool]) -> dict[int, Served]:
    rows: dict[str, Served] = {}
    for row in rows_of(done[done["status"] == "ok"]):
        key = plan_key_of_row(row)
        if key is not None:
            rows.setdefault(key, row)  # the first that was committed
    known = {row["content_uri"] for row in rows.values()}
    candidates = {}
    for pair in pairs:
        may_be = pair.content is not None and pair.content.uri in known  # a key costs more than a look
        key = pair.plan_key() if may_be and not pair.faults else None
        if key is not None and key in rows:
            candidates[pair.manifest_row] = rows[key]
    uris = sorted({row["audio_uri"] for row in candidates.values()})
    with ThreadPoolExecutor(16) as pool:
        there = dict(zip(uris, pool.map(audio_exists, uris), strict=True))
    return {number: row for number, row in candidates.items() if there[row["audio_uri"]]}
