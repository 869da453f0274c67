"""One problem of a batch: a piece of content, the styles that it is to take on, and a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Style:
    """Mono signal at the sample rate, (samples,) float32, and its share among the item's styles (any positive unit)."""

    samples: Tensor
    weight: float = 1.0


@dataclass(frozen=True)
class Checkpoint:
    """Weights of a trained network by name. Equal digests are equal weights."""

    sha256: str
    weights: Mapping[str, Tensor] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Item:
    """content: mono signal at the sample rate, (samples,) float32. At least one style.

    `checkpoint` is for the features that are a trained network; None: its weights are drawn from the seed.
    """

    content: Tensor
    styles: tuple[Style, ...]
    seed: int = 0
    checkpoint: Checkpoint | None = None
