"""A term for rhythm beside any kind of features: how the loudness of bands comes again, at lags that beats have.

Of each of some mel bands, e[t] is the mean log-magnitude at frame t less its mean over time, and

    r[l] = mean over t of e[t] e[t + l] / mean over t of e[t]^2,

over the pairs of frames that lie in one unbroken run. The loss is the square of r minus that of the styles (the mean of
theirs by their weights), summed over bands and lags, relative to the styles' own.

Antognini, Hoffman and Weiss (2018) compare autocorrelations of the feature maps of their networks. Differs from them:
of bands, since the kernel has no feature map and all kinds are to share one term; of loudness less its mean, since a
constant comes again at every lag; and relative to lag 0, so that it says when something happens, and leaves to the Gram
matrices what and how loud.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.transfer.features.reference import Part, Reference
from tasks.transfer.reduce import per_item, products, total
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import mask

SHORTEST, LONGEST = 0.1, 3.0
"""Lags that are compared, seconds: below lies the sound of one beat, above a bar."""
BANDS = 12
STEADY = 1e-4
"""A band whose log-magnitude moves by less than the root of this has no rhythm."""
ARRHYTHMIC = 0.01
"""A style's r^2 is no unit below this: chance gives a few seconds of noise an r of 0.1."""
TINY = 1e-20


def bands(bins: int, sample_rate: int) -> Tensor:
    """Means over neighbouring bins, equally wide in mel; bands too narrow for a bin are left out. Shape: (B, bins)."""
    mel = torch.log1p(torch.linspace(0, sample_rate / 2, bins) / 700)
    number = (mel / mel[-1] * BANDS).long().clamp_max(BANDS - 1)
    member = torch.nn.functional.one_hot(number, BANDS).T.float()
    member = member[member.sum(-1) > 0]
    return member / member.sum(-1, keepdim=True)


@dataclass(frozen=True)
class Meter:
    """Measures how sounds repeat: `bands` as above, `lags` in frames."""

    bands: Tensor
    lags: Tensor

    @classmethod
    def of(cls, x: Tensor, settings: Settings) -> "Meter":
        rate = settings.sample_rate / settings.hop_length
        lags = torch.arange(math.ceil(SHORTEST * rate), math.floor(LONGEST * rate) + 1, device=x.device)
        return cls(bands(x.shape[-1], settings.sample_rate).to(x), lags)

    def __call__(self, x: Tensor, runs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """r, and the share of all frames that its pairs are, for each lag.

        Shape: x (batch, frames, bins), runs (batch, frames) each, 1 within -> (batch, bands, lags), (batch, lags).
        """
        inside = sum(runs[1:], start=runs[0])
        frames = inside.sum(-1).clamp_min(1)
        level = products(self.bands.expand(len(x), -1, -1), x.mT) * inside[:, None]
        level = level - per_item(1 / frames, level) * level.sum(-1, keepdim=True)
        size = x.shape[1] + int(self.lags[-1]) + 1  # no lag wraps around
        power = [_power(level * run[:, None], size) for run in runs]
        sums = torch.fft.irfft(sum(power[1:], start=power[0]), n=size)
        pairs = torch.stack([(run.sum(-1)[:, None] - self.lags).clamp_min(0) for run in runs]).sum(0)
        mean = sums[..., self.lags] / pairs.clamp_min(1)[:, None] * (pairs > 0)[:, None]
        return mean / (sums[..., :1] / per_item(frames, sums) + STEADY), pairs / frames[:, None]

    def of_parts(self, parts: tuple[Part, ...]) -> tuple[Tensor, Tensor]:
        """The mean of the parts' by their weights."""
        found = []
        for part in parts:
            runs = [(part.run == n).to(part.rows.dtype) for n in range(int(part.run.max()) + 1)]
            found.append([value * per_item(part.weight, value) for value in self(part.rows, runs)])
        repeats, shares = zip(*found, strict=True)
        return torch.stack(repeats).sum(0), torch.stack(shares).sum(0)


def _power(signal: Tensor, size: int) -> Tensor:
    spectrum = torch.fft.rfft(signal, n=size)
    power: Tensor = spectrum.real**2 + spectrum.imag**2
    return power


@dataclass(frozen=True)
class Rhythm:
    """The distance of one batch's rhythm from its target."""

    meter: Meter
    inside: Tensor  # (batch, frames): 1 for a frame of the content, else 0
    target: Tensor  # (batch, bands, lags)
    weights: Tensor  # (batch, lags): the more pairs both sides have, the better is a lag known
    unit: Tensor  # (batch,)

    @classmethod
    @torch.no_grad()
    def of(cls, reference: Reference, settings: Settings) -> "Rhythm":
        content, meter = reference.content, Meter.of(reference.content, settings)
        inside = mask(reference.content_frames, content.shape[1], content.dtype)
        _, shares = meter(content, [inside])
        target, target_shares = meter.of_parts(reference.target())
        pure = target if reference.strength == 1 else meter.of_parts(reference.styles)[0]
        weights = shares * target_shares
        unit = total(weights[:, None] * (pure**2).clamp_min(ARRHYTHMIC))
        return cls(meter, inside, target, weights, unit)

    def select(self, items: Tensor) -> "Rhythm":
        kept = {name: getattr(self, name)[items] for name in ("inside", "target", "weights", "unit")}
        return replace(self, **kept)

    def __call__(self, x: Tensor) -> Tensor:
        """Shape: x (batch, frames, bins) -> (batch,); differentiable. 0 where no lag has pairs on both sides."""
        repeats, _ = self.meter(x, [self.inside])
        distance = total(self.weights[:, None] * (repeats - self.target) ** 2)
        return (distance / self.unit.clamp_min(TINY)).to(x.dtype)
