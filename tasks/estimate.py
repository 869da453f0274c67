"""What a run would take: audio, device hours and storage, by what earlier pairs took on the same device."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.audio import AudioInfo
from tasks.layout import Layout
from tasks.records import schema
from tasks.records.pair import SEED, Pair
from tasks.records.reasons import PairError
from tasks.results import ORDER, read_results
from tasks.store import Store

LOW, HIGH = 0.1, 0.9
"""The range: this share of the earlier pairs took less, or no more, for a second of audio."""
FREE = ("seed", "content_weight", "strength")
"""Parameters whose value costs nothing."""
PAST = schema.some(
    schema.RESULTS, *ORDER, "status", "served_by", "params", "method", "device", "threads", "seconds_total",
    "audio_uri", "audio_bytes", "audio_frames", "audio_rate",
)  # fmt: skip


@dataclass(frozen=True)
class Range:
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """Totals of the pairs that a run would compute; None where no earlier pair tells.

    `past`: how many earlier pairs tell of the device. `alike`: how many of the pairs have the parameters of earlier
    ones, but for those that cost nothing; for the rest all of the same method tell.
    """

    pairs: int
    audio_seconds: float
    past: int
    alike: int
    device_seconds: Range | None
    audio_bytes: Range | None
    curves_bytes: float | None


def estimate(
    pairs: Sequence[Pair],
    seconds_of: Callable[[Pair], float],
    past: pd.DataFrame,
    device: Mapping[str, Any],
    curves_bytes: int,
) -> Estimate:
    """`seconds_of`: the length of a pair's content; `past`: as `read_past` gives it; `device`: the columns of this one;
    `curves_bytes`: of all curves that the past has."""
    wanted = pd.DataFrame(
        {
            "audio": [seconds_of(pair) for pair in pairs],
            "method": [pair.method for pair in pairs],
            "cost": [cost_of(pair.params.canonical_json()) if pair.params else 0 for pair in pairs],
            "format": [pair.params.audio_format if pair.params else "" for pair in pairs],
        }
    )
    audio = past["audio_frames"] / past["audio_rate"]
    past = past.assign(audio=audio, speed=past["seconds_total"] / audio, size=past["audio_bytes"] / audio)
    here = past[past["device"].eq(device["device"]) & past["threads"].fillna(0).eq(device["threads"] or 0)]
    return Estimate(
        pairs=len(wanted),
        audio_seconds=float(wanted["audio"].sum()),
        past=len(here),
        alike=int(wanted["cost"].isin(here["cost"]).sum()),
        device_seconds=_total(wanted, [_ratios(here, "cost", "speed"), _ratios(here, "method", "speed")]),
        audio_bytes=_total(wanted, [_ratios(past, "format", "size")]),
        curves_bytes=curves_bytes / len(past) * len(wanted) if len(past) else None,
    )


def read_past(store: Store, layout: Layout) -> pd.DataFrame:
    """What earlier pairs took that were computed, without their long texts: there may be a million of each night."""
    return read_results(store, layout, wanted=PAST, less=priced)


def priced(rows: pa.Table) -> pa.Table:
    """Of attempts (columns of PAST) those that were computed, with `cost` and `format` in place of long texts."""
    rows = rows.filter(pc.and_(pc.equal(rows["status"], "ok"), pc.is_null(rows["served_by"])))
    cost = pa.array([cost_of(text) for text in rows["params"].to_pylist()], pa.int64())
    ending = pa.array([uri.rsplit(".", 1)[-1] for uri in rows["audio_uri"].to_pylist()], pa.string())
    rows = rows.drop_columns(["status", "served_by", "params", "audio_uri"])
    return rows.append_column("cost", cost).append_column("format", ending)


def cost_of(params: str) -> int:
    """A number, in this process, that stands for the parameters that cost something."""
    return _cost(SEED.sub('"seed":0', params))


@lru_cache(4_096)
def _cost(params: str) -> int:
    kept = {name: value for name, value in json.loads(params).items() if name not in FREE}
    return hash(json.dumps(kept, sort_keys=True))


def _ratios(past: pd.DataFrame, by: str, what: str) -> pd.DataFrame:
    """For a second of audio, by group; the mean is over seconds and not over pairs, of which long ones have more."""
    found = past.assign(all=past[what] * past["audio"]).groupby(by)
    mean = found["all"].sum() / found["audio"].sum()
    return pd.DataFrame({"low": found[what].quantile(LOW), "mean": mean, "high": found[what].quantile(HIGH)})


def _total(wanted: pd.DataFrame, told: Sequence[pd.DataFrame]) -> Range | None:
    """Over all pairs, each by the first table that knows its group; None where one is known to none."""
    each: pd.DataFrame | None = None
    for ratios in told:
        found = ratios.reindex(wanted[ratios.index.name])
        found.index = wanted.index
        each = found if each is None else each.fillna(found)
    if each is None or each.isna().to_numpy().any() or wanted.empty:
        return None
    low, mean, high = each.mul(wanted["audio"], axis=0).sum()
    return Range(float(low), float(mean), float(high))


@dataclass(frozen=True)
class Lengths:
    """Seconds of contents: slices say theirs, of the others some are opened and the rest taken to be as long as they.

    `opened`: by URI its seconds; `assumed`: how many were not opened; `unusable`: what cannot be used, and why.
    """

    opened: Mapping[str, float]
    assumed: int
    unusable: Mapping[str, str]

    def of(self, pair: Pair) -> float:
        content = pair.content
        if content is None:
            return 0.0
        if content.seconds is not None:
            return content.seconds
        mean = sum(self.opened.values()) / len(self.opened) if self.opened else 0.0
        return max(0.0, self.opened.get(content.uri, mean) - (content.start or 0.0))


def lengths(
    pairs: Sequence[Pair], opened: Callable[[Sequence[str]], Mapping[str, AudioInfo | PairError]], most: int
) -> Lengths:
    """Open at most so many of the contents whose length no slice says, evenly among them."""
    uris = sorted({pair.content.uri for pair in pairs if pair.content and pair.content.seconds is None})
    chosen = uris if len(uris) <= most else [uris[n * len(uris) // most] for n in range(most)]
    found = opened(chosen)
    return Lengths(
        {uri: info.seconds for uri, info in found.items() if not isinstance(info, PairError)},
        len(uris) - len(chosen),
        {uri: info.message for uri, info in found.items() if isinstance(info, PairError)},
    )
