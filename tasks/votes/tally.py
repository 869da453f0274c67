"""What the votes say: who is preferred to whom, and how near each condition comes."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.layout import Layout
from tasks.records import schema
from tasks.store import Store
from tasks.stored import frame_of, parquet_files, read_tables

HEARD_AS_SUCH = 90.0
"""A hidden reference that is rated lower was not recognised ..."""
MISSED_SHARE = 0.15
"""... and who misses it in more of the trials than this is left out (ITU-R BS.1534-3, post-screening)."""
DRAW = 0.5


@dataclass(frozen=True)
class Tally:
    """`preferences`: each two conditions, how often each was preferred, and `p` of a sign test without the draws.

    The test takes votes as independent, which those of one listener are not quite. `ratings`: of each condition by
    aspect, from 0 to 100. `left_out`: sessions that missed the hidden reference.
    """

    preferences: pd.DataFrame
    ratings: pd.DataFrame
    left_out: list[str]


def read_votes(store: Store, layout: Layout, runs: Collection[str] | None = None) -> pd.DataFrame:
    """All votes (or those that were given on `runs`), oldest first."""
    uris = parquet_files(store, layout.votes(), runs)
    frame = frame_of(read_tables(store, uris, schema.VOTES), schema.VOTES)
    return frame.sort_values(["voted_at", "session", "trial", "letter"], ignore_index=True)


def tally(votes: pd.DataFrame) -> Tally:
    rated = votes[votes["kind"] == "mushra"]
    left_out = _missed(rated)
    return Tally(
        pd.DataFrame(_preferences(votes[votes["kind"] == "ab"])),
        pd.DataFrame(_ratings(rated[~rated["session"].isin(left_out)])),
        left_out,
    )


def _preferences(votes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One row for each two conditions, by name."""
    ordered = votes.sort_values("condition", kind="stable")
    trials = ordered.groupby(["session", "trial"]).agg(
        run=("asked_run_id", "first"), one=("condition", "first"), other=("condition", "last"), score=("score", "first")
    )
    for (run, one, other), found in trials.groupby(["run", "one", "other"]):
        wins, losses = int((found["score"] > DRAW).sum()), int((found["score"] < DRAW).sum())
        yield {
            "run": run,
            "one": one,
            "other": other,
            "votes": len(found),
            "sessions": found.index.get_level_values("session").nunique(),
            "prefer_one": wins,
            "no_difference": len(found) - wins - losses,
            "prefer_other": losses,
            "p": sign_test(wins, losses),
        }


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p of so uneven an outcome, or a more uneven one, if both were equally good (exact binomial)."""
    n = wins + losses
    tail: int = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    p: float = tail / 2 ** max(n - 1, 0)
    return min(1.0, p)


def _ratings(votes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One row for each run, aspect and condition, the best first."""
    grouped = list(votes.groupby(["asked_run_id", "aspect", "role", "condition"]))
    for (run, aspect, role, condition), found in sorted(
        grouped, key=lambda one: (*one[0][:2], -one[1]["score"].median())
    ):
        low, middle, high = found["score"].quantile([0.25, 0.5, 0.75])
        yield {
            "run": run,
            "aspect": aspect,
            "condition": condition,
            "role": role,
            "votes": len(found),
            "sessions": found["session"].nunique(),
            "median": middle,
            "quartile_low": low,
            "quartile_high": high,
            "mean": found["score"].mean(),
        }


def _missed(rated: pd.DataFrame) -> list[str]:
    """The sessions that did not know the hidden reference when they heard it."""
    references = rated[rated["role"] == "reference"]
    shares = (references["score"] < HEARD_AS_SUCH).groupby(references["session"]).mean()
    return sorted(shares.index[shares > MISSED_SHARE])
