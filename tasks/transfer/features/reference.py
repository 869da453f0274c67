"""What a batch is compared with: the content, frame by frame, and the frames whose Gram matrices make up the target."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer.spectrogram import mask


@dataclass(frozen=True)
class Part:
    """Frames of one sound that the target's Gram matrix is taken from.

    rows (batch, frames, bins), log-magnitudes; run (batch, frames), the number of the unbroken run of frames that each
    belongs to, -1 beyond an item's frames; weight (batch,), its share of the target.
    """

    rows: Tensor
    run: Tensor
    weight: Tensor

    @classmethod
    def unbroken(cls, rows: Tensor, frames: Tensor, weight: Tensor | float = 1.0) -> "Part":
        """A sound in one piece. Shape: rows (batch, frames, bins), frames (batch,) integers."""
        inside = mask(frames, rows.shape[1], torch.int64)
        weights = torch.as_tensor(weight, dtype=rows.dtype, device=rows.device).expand(len(rows))
        return cls(rows, inside - 1, weights)

    def patches(self, width: int) -> Tensor:
        """1 for every patch of `width` frames within one run, else 0. Shape: (batch, frames - width + 1)."""
        first, last = self.run[:, : self.run.shape[1] - width + 1], self.run[:, width - 1 :]
        return ((first == last) & (first >= 0)).to(self.rows.dtype)

    def patch_weights(self, width: int) -> Tensor:
        """Each patch's share of the target: the part's weight, divided equally. Shape: (batch, frames - width + 1)."""
        inside = self.patches(width)
        return inside * (self.weight / inside.sum(-1).clamp_min(1))[:, None]

    def scaled(self, by: float) -> "Part":
        return replace(self, weight=self.weight * by)

    def select(self, items: Tensor) -> "Part":
        return Part(self.rows[items], self.run[items], self.weight[items])


@dataclass(frozen=True)
class Reference:
    """content (batch, frames, bins), log-magnitudes, zero beyond content_frames (batch,), integers.

    The target's Gram matrix is the mean of those of the `styles`, whose weights sum to 1, blended with the content's
    own: at strength s it lies s of the way from the content to the styles. So equal strengths move all pairs equally
    far, whatever lies between content and style; a weight of the losses would not.

    `weights` are those of a trained network by name, for the kinds that are one; None: drawn from the seed.
    """

    content: Tensor
    content_frames: Tensor
    styles: tuple[Part, ...]
    strength: float = 1.0
    weights: Mapping[str, Tensor] | None = None

    def target(self) -> tuple[Part, ...]:
        """The parts of the blend, whose weights sum to 1."""
        if self.strength == 1:
            return self.styles
        own = Part.unbroken(self.content, self.content_frames, 1 - self.strength)
        return (*(style.scaled(self.strength) for style in self.styles), own)

    def select(self, items: Tensor) -> "Reference":
        styles = tuple(style.select(items) for style in self.styles)
        return replace(self, content=self.content[items], content_frames=self.content_frames[items], styles=styles)


def end_to_end(parts: tuple[Part, ...]) -> Tensor:
    """The rows of all parts, one part after the other. Shape: (batch, sum of frames, bins)."""
    return torch.cat([part.rows for part in parts], dim=1)


def weights_end_to_end(parts: tuple[Part, ...], width: int) -> Tensor:
    """The weights of the patches of `end_to_end` rows, 0 where a patch lies across two parts.

    Shape: (batch, sum of frames - width + 1).
    """
    each = torch.cat([pad(part.patch_weights(width), (0, width - 1)) for part in parts], dim=1)
    return each[:, : each.shape[1] - width + 1]
