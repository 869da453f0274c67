"""Feature kinds behind one interface: what a batch of log-magnitude spectrograms loses in content and in style."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from tasks.transfer.features.conv import ConvLosses
from tasks.transfer.features.kernel import KernelLosses
from tasks.transfer.features.reference import Part, Reference
from tasks.transfer.settings import Settings


class Losses(Protocol):
    """Relative losses against one reference batch; made once, evaluated often."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: x (batch, frames, bins) -> content (batch,), style (batch,); differentiable."""
        ...

    def select(self, items: Tensor) -> "Losses":
        """The same for some items of the batch, by index."""
        ...


KINDS: dict[str, Callable[[Reference, Settings, int], Losses]] = {"kernel": KernelLosses.of, "conv": ConvLosses.of}


def losses_of(reference: Reference, settings: Settings, seed: int) -> Losses:
    """The losses of the kind that the settings name; `seed` draws the filters of a kind that has some."""
    return KINDS[settings.features](reference, settings, seed)


__all__ = ["KINDS", "Losses", "Part", "Reference", "losses_of"]
