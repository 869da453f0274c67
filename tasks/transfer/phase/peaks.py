"""A phase from the magnitude alone, frame by frame: the gradient of gradient.py integrated along peaks.

Differs from Prusa, Balazs and Sondergaard (2017), who integrate bin by bin along a heap, loudest first, because a heap
has no place on a GPU: here frames follow each other, and all clips and bins are in parallel.
"""

import torch
from torch import Tensor

from tasks.transfer.phase.gradient import steps, unit


def estimated(magnitude: Tensor, n_fft: int, hop: int) -> Tensor:
    """Unit spectra for a magnitude. Shape: (batch, frames, bins), twice; complex64.

    In each frame every bin belongs to the peak that one reaches by climbing. A peak goes on from the phase that its bin
    had in the frame before; the bins of its lobe take its phase and what the gradient adds up to on the way from it.
    """
    along_time, along_frequency = steps(magnitude, n_fft, hop)
    peak = _peaks(magnitude)
    # Sums of 400 frames of thousands of turns: float64.
    across = torch.nn.functional.pad(along_frequency.cumsum(-1), (1, 0))
    change = across - across.gather(-1, peak)
    change[:, 1:] += along_time.gather(-1, peak[:, 1:])
    phase = torch.empty_like(change)
    before = torch.zeros_like(change[:, 0])
    for frame in range(magnitude.shape[1]):
        before = torch.add(before.gather(-1, peak[:, frame]), change[:, frame], out=phase[:, frame])
    return unit(phase)


def _peaks(magnitude: Tensor) -> Tensor:
    """The peak of each bin: the next one on the louder neighbour's side. Shape: (batch, frames, bins), integers."""
    padded = torch.nn.functional.pad(magnitude, (1, 1), value=-1.0)
    below, above = padded[..., :-2], padded[..., 2:]
    up = (above > magnitude) & (above >= below)
    down = (below > magnitude) & ~up
    here = torch.arange(magnitude.shape[-1], device=magnitude.device).expand_as(magnitude)
    top = ~(up | down)
    above_it = torch.where(top, here, here.shape[-1]).flip(-1).cummin(-1).values.flip(-1)
    below_it = torch.where(top, here, -1).cummax(-1).values
    return torch.where(up, above_it, torch.where(down, below_it, here))
