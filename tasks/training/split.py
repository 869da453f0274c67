"""Which sources are trained on and which are only validated with: decided first, by the digest of a source's file.

A copy under another name has the same digest, hence falls on the same side and counts once. The order of the corpus
does not matter, nor does what is added to it change the side that most of the others are on.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.records.words import amount

HANDFUL = 5
"""Fewer validation sources than these say little: a single odd one among them would steer the early stop."""
SHARE = 0.15
MOST_SHARE = 1 / 3


@dataclass(frozen=True)
class Split:
    """Digests of sources, each on one side. `refusal`: why there is no validation; empty where there is."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    refusal: str = ""


def split(digests: Iterable[str], seed: int) -> Split:
    """Sources by a draw of their digests: a share of SHARE, and at least HANDFUL, are kept for validation.

    Where that would take more than MOST_SHARE of them, all are trained on and nothing is validated.
    """
    drawn = sorted(set(digests), key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
    kept = max(HANDFUL, round(SHARE * len(drawn)))
    if kept > MOST_SHARE * len(drawn):
        return Split(
            tuple(drawn),
            (),
            f"no validation loss: of {amount(len(drawn), 'source')}, {HANDFUL} cannot be set aside (copies of a file "
            f"count once), and what fewer say is chance; it takes {round(HANDFUL / MOST_SHARE)}. Without it nothing "
            "tells over-fitting: training ends by its budget",
        )
    return Split(tuple(drawn[kept:]), tuple(drawn[:kept]))


def share_of(training: tuple[str, ...], share: float) -> tuple[str, ...]:
    """The first `share` of the training sources, at least one: shares of one split are nested."""
    return training[: max(1, round(share * len(training)))]
