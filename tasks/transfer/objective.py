"""The two problems: over a log-magnitude spectrogram, and over the waveform behind it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer.features import Losses
from tasks.transfer.optimise.problem import Evaluation
from tasks.transfer.spectrogram import log_spectrogram


def _evaluation(x: Tensor, content: Tensor, style: Tensor, weight: float) -> Evaluation:
    both = style.double() + weight * content.double()
    # The sum keeps items apart: each item's gradient comes from its own term.
    (gradient,) = torch.autograd.grad(both.sum(), x)
    return Evaluation(both.detach(), content.detach().double(), style.detach().double(), gradient)


@dataclass(frozen=True)
class SpectrogramProblem:
    """Style loss plus weighted content loss of x, (batch, frames, bins)."""

    losses: Losses
    content_weight: float

    def evaluate(self, x: Tensor) -> Evaluation:
        x = x.detach().requires_grad_()
        return _evaluation(x, *self.losses(x), self.content_weight)

    def select(self, items: Tensor) -> "SpectrogramProblem":
        return SpectrogramProblem(self.losses.select(items), self.content_weight)


@dataclass(frozen=True)
class WaveformProblem:
    """The same of the spectrogram of x, waveforms as (batch, frames, hop): rows of one hop, end to end.

    Its frames begin `offset` samples late, as those of the content in `losses` should: `later`.
    """

    losses: Losses
    content_weight: float
    n_fft: int
    hop: int
    frame_mask: Tensor  # (batch, frames)
    sample_mask: Tensor  # (batch, samples)
    offset: int = 0

    def evaluate(self, x: Tensor) -> Evaluation:
        x = x.detach().requires_grad_()
        return _evaluation(x, *self.losses(self._spectrogram(x)), self.content_weight)

    def select(self, items: Tensor) -> "WaveformProblem":
        return WaveformProblem(
            self.losses.select(items), self.content_weight, self.n_fft, self.hop, self.frame_mask[items],
            self.sample_mask[items], self.offset,
        )  # fmt: skip

    def _spectrogram(self, x: Tensor) -> Tensor:
        signal = later(x.flatten(1) * self.sample_mask, self.offset)
        return log_spectrogram(signal, self.n_fft, self.hop, self.frame_mask.shape[-1]) * self.frame_mask[..., None]


def later(signal: Tensor, offset: int) -> Tensor:
    """What a grid of frames sees that begins `offset` samples late. Shape: (batch, samples)."""
    return pad(signal[:, offset:], (0, offset)) if offset else signal
