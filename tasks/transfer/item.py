"""One problem of a batch: a piece of content, the styles that it is to take on, and a seed."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from tasks.transfer.feedforward import Network


@dataclass(frozen=True)
class Style:
    """Mono signal at the sample rate, (samples,) float32, and its share among the item's styles (any positive unit).

    `kept` is what was computed of the samples and is the same for every item: it lives as long as they do.
    """

    samples: Tensor
    weight: float = 1.0
    kept: dict[Hashable, Tensor] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Checkpoint:
    """Weights of a trained network by name. Equal digests are equal weights."""

    sha256: str
    weights: Mapping[str, Tensor] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Trained:
    """A network for one style, on the CPU, and the spectrograms that it is for. Equal digests are equal networks."""

    sha256: str
    network: Network = field(compare=False, repr=False)
    sample_rate: int
    n_fft: int
    hop_length: int


@dataclass(frozen=True)
class Item:
    """content: mono signal at the sample rate, (samples,) float32. At least one style.

    `checkpoint` is for the features that are a trained network; None: its weights are drawn from the seed. `trained` is
    the network of the style, for the method that is one.
    """

    content: Tensor
    styles: tuple[Style, ...]
    seed: int = 0
    checkpoint: Checkpoint | None = None
    trained: Trained | None = None
