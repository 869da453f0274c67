"""Feature kinds behind one interface: what a batch of log-magnitude spectrograms loses in content and in style.

A kind is an entry of KINDS. It is made of a reference batch, which brings the weights of a trained network where items
have a checkpoint (`Item.checkpoint`, which the caller has read: nothing in here opens a file), of the settings, and of
a seed for what is drawn. Only the estimates of memory and of the shortest input (buckets.py) tell kinds apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tasks.transfer.features.conv import ConvLosses
from tasks.transfer.features.kernel import KernelLosses
from tasks.transfer.features.reference import Part, Reference
from tasks.transfer.features.rhythm import Rhythm
from tasks.transfer.features.vgg import VggLosses
from tasks.transfer.settings import Settings


class Losses(Protocol):
    """Relative losses against one reference batch; made once, evaluated often."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: x (batch, frames, bins) -> content (batch,), style (batch,); differentiable."""
        ...

    def select(self, items: Tensor) -> "Losses":
        """The same for some items of the batch, by index."""
        ...


KINDS: dict[str, Callable[[Reference, Settings, int], Losses]] = {
    "kernel": KernelLosses.of,
    "conv": ConvLosses.of,
    "vgg": VggLosses.of,
}


@dataclass(frozen=True)
class WithRhythm:
    """Losses of any kind whose style counts the rhythm too, times `weight`."""

    losses: Losses
    rhythm: Rhythm
    weight: float

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        content, style = self.losses(x)
        return content, style + self.weight * self.rhythm(x)

    def select(self, items: Tensor) -> "WithRhythm":
        return WithRhythm(self.losses.select(items), self.rhythm.select(items), self.weight)


def losses_of(reference: Reference, settings: Settings, seed: int) -> Losses:
    """The losses of the kind that the settings name; `seed` draws the filters of a kind that has some.

    With a `rhythm_weight` the style loss is that of an objective: whoever reports a style loss leaves the weight out,
    so that pairs with and without it compare.
    """
    losses = KINDS[settings.features](reference, settings, seed)
    if not settings.rhythm_weight:
        return losses
    return WithRhythm(losses, Rhythm.of(reference, settings), settings.rhythm_weight)


__all__ = ["KINDS", "Losses", "Part", "Reference", "losses_of"]
