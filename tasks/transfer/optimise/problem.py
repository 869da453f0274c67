"""What an optimiser is given, tells while it works, and returns."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tasks.transfer.reduce import per_item

STALL_STEPS = 6
"""An item stops when so many steps together lowered its loss by no more than a share of it, the tolerance."""


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
    stop_reason: str  # budget, time, converged, line_search, diverged

    @property
    def diverged(self) -> bool:
        return self.stop_reason == "diverged"


def records_of(seen: list[tuple[int, Tensor, Evaluation]]) -> Generator[Record, bool | None, bool | None]:
    """A record for each evaluation: its number, the items in it (-1: not one) and what was found.

    One wait for the device for all. Returns whether the caller has sent True.
    """
    columns = [torch.stack([item.double(), e.total, e.content, e.style]) for _, item, e in seen]
    found, sizes = torch.cat(columns, 1).cpu(), [len(item) for _, item, _ in seen]
    ended = None
    for (number, *_), each in zip(seen, torch.split(found, sizes, 1), strict=True):
        items, total, content, style = each[:, each[0] >= 0].tolist()
        ended = (yield Record(number, tuple(map(int, items)), tuple(total), tuple(content), tuple(style))) or ended
    return ended


def pick(ok: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` for the items that are ok, else `old`; without a copy where that is known without a wait for a device."""
    if ok.device.type == "cpu" and len(ok) == 1:
        return new if bool(ok) else old
    return torch.where(per_item(ok, new).bool(), new, old)
