"""Phase reconstruction: a signal whose spectrogram is close to a wanted magnitude, for a batch.

P1(c) = STFT(inverse(c)) makes spectra consistent, P2(c) = S c / |c| gives them the wanted magnitude S.
"""

from collections.abc import Generator

import torch
from torch import Tensor

from tasks.transfer.reduce import total
from tasks.transfer.spectrogram import Inverse, stft

ALPHA = 0.99  # momentum of the fast method, as in its paper


def with_magnitude(magnitude: Tensor, spectra: Tensor) -> Tensor:
    """P2: the phase of `spectra`, the wanted magnitude; phase 0 where there is none."""
    size = spectra.abs()
    return torch.where(size > 0, spectra * (magnitude / torch.where(size > 0, size, 1)), magnitude.to(spectra.dtype))


def griffinlim(
    magnitude: Tensor, spectra: Tensor, inverse: Inverse, n_fft: int, hop: int, iterations: int, alpha: float
) -> Generator[int, None, Tensor]:
    """Griffin and Lim (1984) with alpha = 0, else the fast method of Perraudin, Balazs and Sondergaard (2013).

    Shape: magnitude (batch, frames, bins), zero beyond an item's frames; spectra the same, complex: their phase is
    the start. Yields the number of each iteration and returns the signals, (batch, samples). P1 is linear, so the
    momentum is kept on the signal, a quarter of the spectra's size.
    """
    frames = magnitude.shape[-2]
    signal = inverse(with_magnitude(magnitude, spectra))
    before = torch.zeros_like(signal)
    for iteration in range(1, iterations + 1):
        # The first step has no momentum, as torchaudio's.
        ahead = signal + alpha * (signal - before) if iteration > 1 else signal
        before = signal
        signal = inverse(with_magnitude(magnitude, stft(ahead, n_fft, hop, frames)))
        yield iteration
    return signal


def spectral_convergence_db(magnitude: Tensor, signal: Tensor, n_fft: int, hop: int, frame_mask: Tensor) -> Tensor:
    """20 log10(|S - |STFT(y)|| / |S|) of each item, dB; lower is better. Shape: (batch,)."""
    found = stft(signal, n_fft, hop, magnitude.shape[-2]).abs() * frame_mask[..., None]
    error = total((magnitude - found) ** 2) / total(magnitude**2).clamp_min(1e-300)
    return 10 * torch.log10(error.clamp_min(1e-30))


def random_phase(seeds: list[int], frames: int, bins: int) -> Tensor:
    """Unit spectra of random phase, each item from its own seed. Shape: (batch, frames, bins), complex64."""
    angles = [torch.rand(frames, bins, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    turn = 2 * torch.pi * torch.stack(angles)
    return torch.complex(torch.cos(turn), torch.sin(turn))
