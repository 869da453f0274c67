"""What the transfer is told. Ranges, defaults and descriptions are those of the parameter model."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """Parameters that the numerics read, resolved for one sample rate (field names as in the parameter model)."""

    sample_rate: int
    n_fft: int
    hop_length: int
    features: Literal["kernel", "conv", "vgg"]
    widths: tuple[int, ...]
    filters: int
    rhythm_weight: float
    strength: float
    content_weight: float
    start: Literal["content", "noise", "style"]
    style_seconds_max: float
    optimiser: Literal["lbfgs", "adam"]
    spectrogram_evaluations: int
    phase_method: Literal["raar", "fast_griffinlim", "griffinlim"]
    phase_start: Literal["content", "style", "random", "estimated", "tree"]
    phase_iterations: int
    refine_evaluations: int
    refine_seconds: float
    tolerance: float
