"""What a network is trained for: the objective of the optimiser, of the sound that its spectrogram becomes.

A spectrogram that is made up is that of no signal, and a phase that is found for it brings back a part of the style's
distance. So the losses are not those of the network's output S but of the spectrum of the signal that S and the
content's phase give, log1p|STFT(iSTFT(S phase))|: the network learns to leave out what would cancel (consistency in
training: Wisdom et al. 2019, for speech).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tasks.transfer.features.kernel import Constants, KernelLosses, gram_totals
from tasks.transfer.features.reference import Part, Reference
from tasks.transfer.feedforward.network import Network
from tasks.transfer.item import Item, Style
from tasks.transfer.phase import with_magnitude
from tasks.transfer.references import reference_of
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import Inverse, log_magnitude, log_spectrogram, stft

MOST_LOG = 20.0
"""Of a log-magnitude, before it is taken back: what a network that goes astray says stays a number."""


@dataclass(frozen=True)
class Objective:
    """Losses against one style by infinitely many filters (features kernel), for contents of any number."""

    style: Part  # of one item
    settings: Settings

    @classmethod
    def of(cls, style: Tensor, settings: Settings, device: torch.device) -> "Objective":
        """Shape: style (samples,), mono at working level; a long one is represented as for an item of the same seed."""
        return cls(reference_of([Item(style, (Style(style),))], settings, device).styles[0], settings)

    @cached_property
    def _grams(self) -> dict[int, Tensor]:
        return gram_totals((self.style,), self.settings.widths)

    def against(self, content: Tensor) -> KernelLosses:
        """Losses beside contents, (batch, frames, bins), every frame of which is there."""
        batch, frames = content.shape[:2]
        style = Part(*(value.expand(batch, *value.shape[1:]) for value in vars(self.style).values()))
        reference = Reference(content, torch.full((batch,), frames, device=content.device), (style,))
        grams = {width: each.expand(batch) for width, each in self._grams.items()}
        widths = self.settings.widths
        return KernelLosses(content, style.rows, widths, Constants.of(reference, widths, grams))

    def losses(self, network: Network, contents: "Contents") -> tuple[Tensor, Tensor]:
        """(content, style) of what the network makes of some contents. Shape: (batch,) each."""
        made = network(contents.x, contents.mask)
        return self.against(contents.x)(contents.heard(made, self.settings))


@dataclass(frozen=True)
class Contents:
    """Sounds of one length: x (batch, frames, bins), log-magnitudes as the network sees them, and their spectra."""

    x: Tensor
    spectra: Tensor

    @classmethod
    def of(cls, signals: Tensor, settings: Settings) -> "Contents":
        """Shape: (batch, samples), a whole number of hops, which is the number of frames."""
        spectra = stft(signals, settings.n_fft, settings.hop_length, signals.shape[-1] // settings.hop_length)
        return cls(log_magnitude(spectra), spectra)

    @property
    def mask(self) -> Tensor:
        return self.x.new_ones(self.x.shape[:2])

    def heard(self, made: Tensor, settings: Settings) -> Tensor:
        """Log-magnitudes of the signals that have the phase of these. Shape: (batch, frames, bins)."""
        hop, frames = settings.hop_length, made.shape[1]
        unit = with_magnitude(torch.ones_like(self.x), self.spectra)
        inverse = Inverse(settings.n_fft, hop, self.mask[:1], self.x.new_ones(1, frames * hop))
        signal = inverse(torch.expm1(made.clamp_max(MOST_LOG)) * unit)
        return log_spectrogram(signal, settings.n_fft, hop, frames)
