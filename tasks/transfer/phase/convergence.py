"""How far a signal's spectrogram is from the wanted one."""

import torch
from torch import Tensor

from tasks.transfer.reduce import total
from tasks.transfer.spectrogram import stft


def spectral_convergence_db(magnitude: Tensor, signal: Tensor, n_fft: int, hop: int, frame_mask: Tensor) -> Tensor:
    """20 log10(|S - |STFT(y)|| / |S|) of each item, dB; lower is better. Shape: (batch,)."""
    found = stft(signal, n_fft, hop, magnitude.shape[-2]).abs() * frame_mask[..., None]
    error = total((magnitude - found) ** 2) / total(magnitude**2).clamp_min(1e-300)
    return 10 * torch.log10(error.clamp_min(1e-30))
