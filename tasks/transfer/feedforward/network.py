"""The network for one style: a log-magnitude spectrogram in, a restyled one out, in one pass.

Johnson et al. (2016) and Ulyanov et al. (2016, 2017) carried to sound: convolutions over time alone, with frequencies
as channels, since pitch is not translation-invariant as a place in a picture is. A bottleneck over frequency, residual
blocks with dilation, instance normalisation over time, and the result as a residual on the input. Differs from them:
the mean spectrum of the item is an input of its own, and each bin has a direct path of three numbers, so that what a
style does to the long-term spectrum is learned within a few steps and needs no channel of the bottleneck.

All that adds to the input starts at zero: an untrained network gives the content back.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

DILATIONS = (1, 2, 4, 8)
EPS = 1e-3


@dataclass(frozen=True)
class Architecture:
    """bins: n_fft // 2 + 1 of the spectrograms; width: channels of the bottleneck."""

    bins: int
    width: int = 256
    blocks: int = 4

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Network(nn.Module):
    """Made with weights that are drawn from `seed`. The global generator is neither read nor moved."""

    def __init__(self, architecture: Architecture, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        bins, width = architecture.bins, architecture.width
        with torch.random.fork_rng(devices=[]):  # torch draws on making a layer
            self.encoder = nn.Linear(bins, width)
            self.of_mean = nn.Linear(bins, width, bias=False)
            self.blocks = nn.ModuleList(Block(width, DILATIONS[n % len(DILATIONS)]) for n in range(architecture.blocks))
            self.decoder = nn.Linear(width, bins)
        self.direct = nn.Parameter(torch.zeros(3, bins))  # times the deviation from the mean, the mean, 1
        self._draw(torch.Generator().manual_seed(seed))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Shape: x (batch, frames, bins), zero where mask (batch, frames) is -> the same, not negative."""
        mask = mask[..., None]
        mean = x.sum(1, keepdim=True) / mask.sum(1, keepdim=True)
        deviation = (x - mean) * mask
        h = self.encoder(deviation) * mask
        for block in self.blocks:
            h = block(h, mask)
        by_deviation, by_mean, constant = self.direct
        change = self.decoder(torch.relu(normalised(h, mask) + self.of_mean(mean)))
        change = change + by_deviation * deviation + by_mean * mean + constant
        # Also where x is 0 there is a gradient: clamp_min passes it on at its bound, relu would not.
        found: Tensor = (x + change).clamp_min(0) * mask
        return found

    def _draw(self, generator: torch.Generator) -> None:
        """Variance-preserving where something follows (He et al. 2015), zero where it is added to what was there."""
        for layer, starts_at_zero in self._layers():
            nn.init.zeros_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if not starts_at_zero:
                nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5, generator=generator)

    def _layers(self) -> Iterator[tuple[nn.Linear, bool]]:
        yield self.encoder, False
        yield self.of_mean, True
        for block in self.blocks:
            assert isinstance(block, Block)
            yield block.inner, False
            yield block.outer, True
        yield self.decoder, True


class Block(nn.Module):
    """h + outer(relu(inner(three frames of relu(normalised h), `dilation` apart)))."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.inner, self.outer = nn.Linear(3 * width, width), nn.Linear(width, width)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """Shape: (batch, frames, width), and mask (batch, frames, 1)."""
        y, by = torch.relu(normalised(h, mask)) * mask, self.dilation
        around = [pad(y, (0, 0, by, 0))[:, : h.shape[1]], y, pad(y, (0, 0, 0, by))[:, by:]]
        found: Tensor = (h + self.outer(torch.relu(self.inner(torch.cat(around, -1))))) * mask
        return found


def normalised(h: Tensor, mask: Tensor) -> Tensor:
    """Each channel of each item at mean 0 and variance 1 over time. Shape: (batch, frames, width), mask likewise."""
    frames = mask.sum(1, keepdim=True)
    centred = (h - h.sum(1, keepdim=True) / frames) * mask
    return centred / (centred.square().sum(1, keepdim=True) / frames + EPS).sqrt()
