"""One pair as a batch of one, for whatever is measured of a pair by itself."""

import torch
from torch import Tensor

from tasks.transfer.buckets import bucket_of
from tasks.transfer.features.reference import Reference
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import frames_of, log_spectrogram, mask


def reference_of(content: Tensor, style: Tensor, settings: Settings) -> Reference:
    """What a pair is compared with, padded as in a transfer. Shape: content (samples,), style (samples,)."""
    return Reference(
        spectrogram_of(content, settings, bucket_of(len(content), settings)),
        spectrogram_of(style, settings, bucket_of(len(style), settings)),
        _frames(content, settings),
        _frames(style, settings),
    )


def spectrogram_of(signal: Tensor, settings: Settings, frames: int) -> Tensor:
    """Log-magnitudes, zero beyond the signal's own frames. Shape: (samples,) -> (1, frames, bins)."""
    found = log_spectrogram(signal[None], settings.n_fft, settings.hop_length, frames)
    return found * mask(_frames(signal, settings), frames)[..., None]


def _frames(signal: Tensor, settings: Settings) -> Tensor:
    return torch.tensor([frames_of(len(signal), settings.hop_length)], device=signal.device)
