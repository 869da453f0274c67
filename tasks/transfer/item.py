"""One problem of a batch: a piece of content, the styles that it is to take on, and a seed."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Style:
    """Mono signal at the sample rate, (samples,) float32, and its share among the item's styles (any positive unit)."""

    samples: Tensor
    weight: float = 1.0


@dataclass(frozen=True)
class Item:
    """content: mono signal at the sample rate, (samples,) float32. At least one style."""

    content: Tensor
    styles: tuple[Style, ...]
    seed: int = 0
