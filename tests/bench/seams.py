"""Can the seams of a track be heard? Its level and its spectral flux in the overlaps, against everywhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
import torchaudio
from torch import Tensor

from tasks.transfer.segments import Segment
from tasks.transfer.spectrogram import frames_of, stft

WINDOW_SECONDS = 0.05
FLOOR = 1e-5  # of full scale, -100 dB
BANDS = 24
SHARE = 1e-3  # of a band's mean power: what is 30 dB below does not count


@dataclass(frozen=True)
class Figure:
    """Median and 95th percentile over windows, in the overlaps and everywhere else."""

    seams: tuple[float, float]
    elsewhere: tuple[float, float]

    @property
    def more(self) -> tuple[float, float]:
        """By how much the seams are above everywhere else."""
        return self.seams[0] - self.elsewhere[0], self.seams[1] - self.elsewhere[1]


@dataclass(frozen=True)
class Seams:
    """`level` in dB; `flux`, what changes from one window to the next, in dB, the mean over BANDS mel bands.

    By bands and not by bins: a bin of anything like noise changes by 6 dB from window to window, which hides the rest.
    """

    level: Figure
    flux: Figure


def seams(signal: Tensor, segments: Sequence[Segment], rate: int, reference: Tensor | None = None) -> Seams:
    """Figures of a joined track, (samples,). Levels are relative to `reference`, the content, where there is one.

    Music is no louder at a seam than elsewhere by anything but chance: where overlaps are few, compare with the same
    figures of the content, or with those of the same track cut elsewhere.
    """
    level, flux = level_and_flux(signal, rate)
    if reference is not None:
        level = level - level_and_flux(reference, rate)[0]
    here, inner = at_seams(segments, rate)
    return Seams(*(Figure(_spread(f[here & inner]), _spread(f[~here & inner])) for f in (level, flux)))


def level_and_flux(signal: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """Of every window, dB. Shape: (samples,) -> (windows,) each."""
    hop = _hop(rate)
    frames = frames_of(len(signal), hop)
    power = stft(signal[None], 4 * hop, hop, frames)[0].abs().pow(2) @ _bank(rate, 2 * hop + 1)
    bands = 10 * torch.log10(power + SHARE * power.mean())
    return _level(signal, hop, frames), bands.diff(dim=0, prepend=bands[:1]).abs().mean(-1)


def at_seams(segments: Sequence[Segment], rate: int) -> tuple[Tensor, Tensor]:
    """Which windows lie in the overlaps, and which are no ends of the track: those are no seams either."""
    hop, samples = _hop(rate), segments[-1].stop
    centres = torch.arange(frames_of(samples, hop)) * hop
    here = torch.zeros(len(centres), dtype=torch.bool)
    for before, after in pairwise(segments):
        here |= (centres >= after.start) & (centres <= before.stop)
    return here, (centres >= 4 * hop) & (centres < samples - 4 * hop)


def _hop(rate: int) -> int:
    return 1 << round(WINDOW_SECONDS * rate / 4).bit_length()


@lru_cache(maxsize=4)
def _bank(rate: int, bins: int) -> Tensor:
    bank: Tensor = torchaudio.functional.melscale_fbanks(bins, 60.0, 0.45 * rate, BANDS, rate)
    return bank


def _level(signal: Tensor, hop: int, frames: int) -> Tensor:
    """dB of the samples around each frame."""
    padded = torch.nn.functional.pad(signal, (2 * hop, 4 * hop))
    return 10 * torch.log10(padded.unfold(0, 4 * hop, hop)[:frames].pow(2).mean(-1) + FLOOR**2)


def _spread(values: Tensor) -> tuple[float, float]:
    found = values.quantile(torch.tensor([0.5, 0.95]))
    return float(found[0]), float(found[1])
