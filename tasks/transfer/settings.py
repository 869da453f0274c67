"""What the transfer is told. Ranges, defaults and descriptions are those of the parameter model."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """Parameters that the numerics read (field names as in the parameter model)."""

    sample_rate: int
    n_fft: int
    hop_length: int
    features: Literal["kernel", "conv"]
    widths: tuple[int, ...]
    filters: int
    content_weight: float
    start: Literal["content", "noise", "style"]
    optimiser: Literal["lbfgs", "adam"]
    spectrogram_evaluations: int
    phase_method: Literal["fast_griffinlim", "griffinlim"]
    phase_start: Literal["content", "random"]
    phase_iterations: int
    refine_evaluations: int
