"""The published layer: a finite bank of random filters over time that span all frequencies, explicit Gram matrices.

Ulyanov and Lebedev 2016: one convolution over time with frequencies as channels, N(0, var) filters with
var = 2 * 2 / ((bins + filters) * width), rectified.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from tasks.transfer.features.reference import Part, Reference
from tasks.transfer.reduce import per_item, products, total
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import mask


def variance(filters: int, bins: int, width: int) -> float:
    """Of each weight of a bank of random filters, as published."""
    return 2 * 2 / ((bins + filters) * width)


@lru_cache(maxsize=2)  # pairs with one seed, as they have by default, share it: a tenth of a second to draw
def rows_of_bank(filters: int, bins: int, width: int, seed: int) -> Tensor:
    """The filters as `features` reads them, (width * bins, filters). Not to be written to."""
    return bank(filters, bins, width, seed).permute(2, 1, 0).flatten(0, 1)


def bank(filters: int, bins: int, width: int, seed: int) -> Tensor:
    """Random filters, (filters, bins, width) float32, the same for a seed on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(filters, bins, width, generator=generator).mul_(variance(filters, bins, width) ** 0.5)


def features(x: Tensor, weights: Tensor) -> Tensor:
    """Rectified responses. Shape: x (batch, frames, bins), weights (width * bins, filters) -> (batch, P, filters)."""
    width = _width(x, weights)
    count = x.shape[-2] - width + 1
    # As a product of patches and not by conv1d, whose gradient depends on the size of the batch.
    patch = torch.cat([x[:, d : d + count] for d in range(width)], dim=-1)
    return torch.relu(products(patch, weights.expand(len(x), -1, -1)))


def _width(x: Tensor, weights: Tensor) -> int:
    return len(weights) // x.shape[-1]


def gram_distance(f: Tensor, s: Tensor) -> Tensor:
    """|F'F - S'S|^2 of each item, by whichever side of the Gram matrix is smaller.

    Shape: f (batch, P, filters), s (batch, Q, filters) -> (batch,), float64.
    """
    if max(f.shape[-2], s.shape[-2]) < f.shape[-1]:
        ff, fs, ss = (total(products(a, b.mT) ** 2) for a, b in ((f, f), (f, s), (s, s)))
        return ff - 2 * fs + ss
    return total((products(f.mT, f) - products(s.mT, s)) ** 2)


def gram_square(f: Tensor) -> Tensor:
    """|F'F|^2 of each item. Shape: (batch, P, filters) -> (batch,), float64."""
    return total(products(f, f.mT) ** 2) if f.shape[-2] < f.shape[-1] else total(products(f.mT, f) ** 2)


@dataclass(frozen=True)
class ConvLosses:
    """Losses by a finite bank."""

    weights: Tensor  # (width * bins, filters)
    content: Tensor  # features of the content
    inside: Tensor  # (batch, P): 1 for a patch of the content, else 0
    target: Tensor  # features of the target, each times the square root of its share
    style_total: Tensor  # (batch,) |Gram matrix of the styles|^2: the unit of the relative loss

    @classmethod
    def of(cls, reference: Reference, settings: Settings, seed: int) -> "ConvLosses":
        x, width = reference.content, settings.widths[0]
        weights = rows_of_bank(settings.filters, x.shape[-1], width, seed).to(x)
        inside = mask(reference.content_frames - width + 1, x.shape[1] - width + 1, x.dtype)
        target = _weighted(reference.target(), weights)
        pure = target if reference.strength == 1 else _weighted(reference.styles, weights)
        return cls(weights, features(x, weights) * inside[..., None], inside, target, gram_square(pure))

    def select(self, items: Tensor) -> "ConvLosses":
        kept = (t[items] for t in (self.content, self.inside, self.target, self.style_total))
        return ConvLosses(self.weights, *kept)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = features(x, self.weights) * self.inside[..., None]
        content = total((found - self.content) ** 2) / total(self.content**2)
        share = per_item(self.inside.sum(-1).rsqrt(), found)
        distance = gram_distance(found * share, self.target)
        return content.to(x.dtype), (distance / self.style_total).to(x.dtype)


def _weighted(parts: tuple[Part, ...], weights: Tensor) -> Tensor:
    """Features of all parts whose plain Gram matrix is the blend. Shape: (batch, sum of patches, filters)."""
    width = _width(parts[0].rows, weights)
    each = [features(part.rows, weights) * part.patch_weights(width).sqrt()[..., None] for part in parts]
    return torch.cat(each, dim=1)
