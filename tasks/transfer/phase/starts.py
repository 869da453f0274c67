"""Phases that need no estimate: of other music, of nothing. (batch, frames, bins), complex."""

import torch
from torch import Tensor


def style(spectra: Tensor, frames_of_each: Tensor, frames: int) -> Tensor:
    """The phase of existing music: the style again and again, until it is as long as the content.

    Shape: spectra (batch, style frames, bins), complex, and how many of its frames each item has, (batch,) -> (batch,
    frames, bins).
    """
    rows = torch.arange(frames, device=spectra.device) % frames_of_each[:, None]
    return torch.gather(spectra, 1, rows[..., None].expand(-1, -1, spectra.shape[-1]))


def random_phase(seeds: list[int], frames: int, bins: int) -> Tensor:
    """Unit spectra of random phase, each item from its own seed. Shape: (batch, frames, bins), complex64."""
    angles = [torch.rand(frames, bins, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    turn = 2 * torch.pi * torch.stack(angles)
    return torch.complex(torch.cos(turn), torch.sin(turn))
