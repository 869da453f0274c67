"""What a batch is compared with: content and style spectrograms, padded to common lengths."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Reference:
    """content (batch, frames, bins) and style (batch, style frames, bins), log-magnitudes, zero beyond their lengths.

    content_frames (batch,) and style_frames (batch,), integers: how many rows of each item count.
    """

    content: Tensor
    style: Tensor
    content_frames: Tensor
    style_frames: Tensor

    def select(self, items: Tensor) -> "Reference":
        return Reference(self.content[items], self.style[items], self.content_frames[items], self.style_frames[items])
