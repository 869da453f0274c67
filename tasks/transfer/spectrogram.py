"""Short-time spectra of a batch, frames as rows, and back.

A signal of n samples has n // hop + 1 frames, centred on multiples of the hop, with zeros beyond both ends; so zeros
appended to a signal change none of its frames, and clips of different lengths share a batch.

Differs from librosa and torchaudio, which reflect a signal at its ends: a reflection depends on where the end is.
"""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

REFERENCE_RATE = 22_050
"""Hz. A spectrum grows with the sample rate: a signal times REFERENCE_RATE / rate has that of this rate."""


def frames_of(samples: int, hop: int) -> int:
    """Frames of a signal of `samples` samples."""
    return samples // hop + 1


def window_of(sample_rate: int) -> int:
    """Samples of a window of about 93 ms: the power of two that is nearest, 2048 at 22 050 Hz."""
    return 1 << round(math.log2(2_048 * sample_rate / REFERENCE_RATE))


@lru_cache(maxsize=16)
def hann(n_fft: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The periodic Hann window, (n_fft,)."""
    return torch.hann_window(n_fft, dtype=dtype, device=device)


def stft(signal: Tensor, n_fft: int, hop: int, frames: int) -> Tensor:
    """Spectra of a batch.

    Shape: signal (batch, samples) -> (batch, frames, n_fft // 2 + 1), complex. `hop` divides `n_fft`.
    """
    spectra: Tensor = torch.fft.rfft(_windowed(signal, n_fft, hop, frames))
    return spectra


def _windowed(signal: Tensor, n_fft: int, hop: int, frames: int) -> Tensor:
    """Shape: signal (batch, samples) -> (batch, frames, n_fft)."""
    length = (frames - 1) * hop + n_fft
    left = n_fft // 2
    padded = torch.nn.functional.pad(signal, (left, length - left - signal.shape[-1]))
    # A frame is a few neighbouring hops: slices and not an index, so that the way back is slices too.
    hops = padded.reshape(*padded.shape[:-1], -1, hop)
    frame = torch.cat([hops[..., k : k + frames, :] for k in range(n_fft // hop)], dim=-1)
    return frame * hann(n_fft, signal.dtype, signal.device)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a * b; torch's own product of complex numbers rounds otherwise for another number of threads."""
    return torch.complex(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


def overlap_add(frame: Tensor, hop: int) -> Tensor:
    """Sum of frames, each `hop` samples after the one before. Shape: (batch, frames, n_fft) -> (batch, samples)."""
    frames, n_fft = frame.shape[-2:]
    parts = frame.reshape(*frame.shape[:-1], n_fft // hop, hop)
    out = frame.new_zeros(*frame.shape[:-2], frames + n_fft // hop - 1, hop)
    for k in range(n_fft // hop):
        out[..., k : k + frames, :] += parts[..., k, :]
    return out.flatten(-2)


class Inverse:
    """The way back from spectra to signals: least squares over the frames that are there (Griffin and Lim 1984).

    Holds what it needs of the lengths of a batch; free of waits for the device.
    """

    def __init__(self, n_fft: int, hop: int, frame_mask: Tensor, sample_mask: Tensor) -> None:
        """frame_mask (batch, frames), sample_mask (batch, samples): 1 where an item has a frame or sample, else 0."""
        self._n_fft, self._hop, self._sample_mask = n_fft, hop, sample_mask
        window = hann(n_fft, sample_mask.dtype, sample_mask.device)
        self._window = frame_mask[..., None] * window
        norm = self._crop(overlap_add(self._window * window, hop))
        self._norm = sample_mask / norm.clamp_min(1e-6)  # a sample at the centre of no frame is left silent

    def __call__(self, spectra: Tensor) -> Tensor:
        """Shape: (batch, frames, bins), complex -> (batch, samples)."""
        frame = torch.fft.irfft(spectra, n=self._n_fft) * self._window
        return self._crop(overlap_add(frame, self._hop)) * self._norm

    def _crop(self, signal: Tensor) -> Tensor:
        left, samples = self._n_fft // 2, self._sample_mask.shape[-1]
        missing = max(0, left + samples - signal.shape[-1])
        return torch.nn.functional.pad(signal, (0, missing))[..., left : left + samples]


def log_magnitude(spectra: Tensor) -> Tensor:
    """log(1 + |spectra|): silence is exactly 0."""
    return torch.log1p(spectra.abs())


def log_spectrogram(signal: Tensor, n_fft: int, hop: int, frames: int) -> Tensor:
    """log_magnitude(stft(signal)), made to be differentiated. Shape: (batch, samples) -> (batch, frames, bins)."""
    found: Tensor = _LogMagnitude.apply(_windowed(signal, n_fft, hop, frames))  # type: ignore[no-untyped-call]
    return found


class _LogMagnitude(torch.autograd.Function):
    """log(1 + |rfft(frame)|). Its own way back, by a real transform: half the work of torch's, and torch's complex
    one gives other bits for another size of the batch."""

    @staticmethod
    def forward(ctx: Any, frame: Tensor) -> Tensor:
        spectra = torch.fft.rfft(frame)
        size = spectra.abs()
        ctx.save_for_backward(spectra, size)
        ctx.n_fft = frame.shape[-1]
        return torch.log1p(size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        spectra, size = ctx.saved_tensors
        slope = torch.where(size > 0, gradient / ((1 + size) * torch.where(size > 0, size, 1)), 0)
        # The transpose of rfft is irfft with the bins that stand for two halved, times the length.
        slope = slope * (0.5 * ctx.n_fft)
        slope[..., 0] *= 2
        slope[..., -1] *= 2
        back: Tensor = torch.fft.irfft(spectra * slope, n=ctx.n_fft)
        return back


def mask(lengths: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """1 before each length, 0 from there on. Shape: lengths (batch,) -> (batch, size)."""
    return (torch.arange(size, device=lengths.device) < lengths[:, None]).to(dtype)
