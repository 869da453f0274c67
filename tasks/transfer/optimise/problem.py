"""What an optimiser is given, tells while it works, and returns."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

STALL_STEPS = 6
STALL_SHARE = 2e-4
"""An item stops when its last STALL_STEPS steps together lowered its loss by less than this share."""


@dataclass(frozen=True)
class Evaluation:
    """Losses and gradient of some items. Shape: total, content, style (batch,), float64; gradient like x."""

    total: Tensor
    content: Tensor
    style: Tensor
    gradient: Tensor


class Problem(Protocol):
    """Independent problems, one for each item of a batch."""

    def evaluate(self, x: Tensor) -> Evaluation:
        """Losses and gradients at x, (batch, rows, columns)."""
        ...

    def select(self, items: Tensor) -> "Problem":
        """The same problems for some items, by index."""
        ...


@dataclass(frozen=True)
class Record:
    """One evaluation: which items were evaluated, and their losses there."""

    evaluation: int
    active: tuple[int, ...]
    total: tuple[float, ...]
    content: tuple[float, ...]
    style: tuple[float, ...]


@dataclass(frozen=True)
class Solution:
    """Where an item ended: `x` (rows, columns) with the lowest loss that was accepted."""

    x: Tensor
    content: float
    style: float
    evaluations: int
    stop_reason: str  # budget, converged, line_search, diverged

    @property
    def diverged(self) -> bool:
        return self.stop_reason == "diverged"


def record_of(number: int, active: Tensor, found: Evaluation) -> Record:
    return Record(
        number,
        tuple(active.tolist()),
        tuple(found.total.tolist()),
        tuple(found.content.tolist()),
        tuple(found.style.tolist()),
    )
