"""What the transfer is told. Ranges, defaults and descriptions are those of the parameter model."""

from dataclasses import dataclass
from typing import Literal

MAX_BANK_MB = 2_000
"""Of drawn filters: 4096 of width 11 take 370 at 44.1 kHz and 1,480 at 192 kHz, with the windows of these rates."""


class SettingsError(ValueError):
    """Settings that cannot be; the message says what to change."""


def check_bank(filters: int, width: int, n_fft: int) -> None:
    """Raises SettingsError where a bank of so many filters, `width` frames wide, is larger than MAX_BANK_MB."""
    size = 4e-6 * filters * width * (n_fft // 2 + 1)
    if size > MAX_BANK_MB:
        raise SettingsError(
            f"{filters:,} filters, {width} frames wide, take {size:,.0f} MB with an n_fft of {n_fft:,}; "
            f"at most {MAX_BANK_MB:,} MB: lower filters, widths or n_fft"
        )


@dataclass(frozen=True)
class Settings:
    """Parameters that the numerics read, resolved for one sample rate (field names as in the parameter model).

    Raises SettingsError for those that only this rate makes too large.
    """

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
    method: Literal["optimise", "feedforward"] = "optimise"

    def __post_init__(self) -> None:
        if self.features == "conv":
            check_bank(self.filters, max(self.widths), self.n_fft)
