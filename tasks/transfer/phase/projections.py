"""The two sets that a spectrogram with the wanted magnitude and of a signal lies in, and the ways onto them.

P1(c) = STFT(inverse(c)) makes spectra consistent, P2(c) = S c / |c| gives them the wanted magnitude S.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.transfer.spectrogram import Inverse, stft


@dataclass(frozen=True)
class Projections:
    """P2 and the halves of P1, which is linear: what a method adds up it may add up on signals, a quarter of the size.

    Shape: magnitude (batch, frames, bins), zero beyond an item's frames.
    """

    magnitude: Tensor
    inverse: Inverse
    n_fft: int
    hop: int

    def wanted(self, spectra: Tensor) -> Tensor:
        """P2."""
        return with_magnitude(self.magnitude, spectra)

    def signal(self, spectra: Tensor) -> Tensor:
        """Shape: (batch, frames, bins), complex -> (batch, samples)."""
        return self.inverse(spectra)

    def spectra(self, signal: Tensor) -> Tensor:
        """Shape: (batch, samples) -> (batch, frames, bins), complex."""
        return stft(signal, self.n_fft, self.hop, self.magnitude.shape[-2])


def with_magnitude(magnitude: Tensor, spectra: Tensor) -> Tensor:
    """P2: the phase of `spectra`, the wanted magnitude; phase 0 where there is none."""
    real, imaginary = spectra.real, spectra.imag
    power = real * real + imaginary * imaginary
    scale, there = magnitude * torch.rsqrt(power), power > torch.finfo(power.dtype).tiny
    # Two real products: a complex one with a real factor converts it first, which costs more than all of this.
    return torch.complex(torch.where(there, real * scale, magnitude), torch.where(there, imaginary * scale, 0))
