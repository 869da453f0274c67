"""The published layer: a finite bank of random filters over time that span all frequencies, explicit Gram matrices.

Ulyanov and Lebedev 2016: one convolution over time with frequencies as channels, N(0, var) filters with
var = 2 * 2 / ((bins + filters) * width), rectified.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.transfer.features.reference import Reference
from tasks.transfer.reduce import products, total
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import mask


def variance(filters: int, bins: int, width: int) -> float:
    """Of each weight of a bank of random filters, as published."""
    return 2 * 2 / ((bins + filters) * width)


def bank(filters: int, bins: int, width: int, seed: int) -> Tensor:
    """Random filters, (filters, bins, width) float32, the same for a seed on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(filters, bins, width, generator=generator).mul_(variance(filters, bins, width) ** 0.5)


def features(x: Tensor, weights: Tensor, frames: Tensor) -> Tensor:
    """Rectified responses, zero beyond each item's patches.

    Shape: x (batch, frames, bins), weights (filters, bins, width) -> (batch, frames - width + 1, filters).
    """
    width = weights.shape[-1]
    count = x.shape[-2] - width + 1
    # As a product of patches and not by conv1d, whose gradient depends on the size of the batch.
    patch = torch.cat([x[:, d : d + count] for d in range(width)], dim=-1)
    flat = weights.permute(2, 1, 0).flatten(0, 1)
    found = torch.relu(products(patch, flat.expand(len(x), -1, -1)))
    return found * mask(frames - width + 1, count, x.dtype)[..., None]


def gram_distance(f: Tensor, s: Tensor, f_count: Tensor, s_count: Tensor) -> tuple[Tensor, Tensor]:
    """|F'F / P - S'S / Q|^2 and |S'S / Q|^2 of each item, by whichever side of the Gram matrix is smaller.

    Shape: f (batch, P, filters), s (batch, Q, filters), counts (batch,) -> (batch,) twice, float64.
    """
    p, q = f_count.double(), s_count.double()
    if max(f.shape[-2], s.shape[-2]) < f.shape[-1]:
        ff, fs, ss = (total(products(a, b.mT) ** 2) for a, b in ((f, f), (f, s), (s, s)))
        return ff / p**2 - 2 * fs / (p * q) + ss / q**2, ss / q**2
    own, other = products(f.mT, f) / p.to(f.dtype)[:, None, None], products(s.mT, s) / q.to(s.dtype)[:, None, None]
    return total((own - other) ** 2), total(other**2)


@dataclass(frozen=True)
class ConvLosses:
    """Losses by a finite bank."""

    weights: Tensor
    content: Tensor  # features of the content
    style: Tensor  # features of the style
    content_frames: Tensor
    style_frames: Tensor

    @classmethod
    def of(cls, reference: Reference, settings: Settings, seed: int) -> "ConvLosses":
        x = reference.content
        weights = bank(settings.filters, x.shape[-1], settings.widths[0], seed).to(x)
        return cls(
            weights,
            features(x, weights, reference.content_frames),
            features(reference.style, weights, reference.style_frames),
            reference.content_frames,
            reference.style_frames,
        )

    def select(self, items: Tensor) -> "ConvLosses":
        kept = (t[items] for t in (self.content, self.style, self.content_frames, self.style_frames))
        return ConvLosses(self.weights, *kept)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = features(x, self.weights, self.content_frames)
        content = total((found - self.content) ** 2) / total(self.content**2)
        less = self.weights.shape[-1] - 1
        distance, size = gram_distance(found, self.style, self.content_frames - less, self.style_frames - less)
        return content.to(x.dtype), (distance / size).to(x.dtype)
