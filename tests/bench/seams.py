"""Can the seams of a track be heard? Its level and its spectral flux in the overlaps, against everywhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from tasks.transfer.segments import Segment
from tasks.transfer.spectrogram import frames_of, stft

WINDOW_SECONDS = 0.05
FLOOR = 1e-5  # of full scale, -100 dB


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
    """`level` in dB; `flux`, what changes from one window to the next, in nepers, root mean square over the bins."""

    level: Figure
    flux: Figure


def seams(signal: Tensor, segments: Sequence[Segment], rate: int, reference: Tensor | None = None) -> Seams:
    """Figures of a joined track, (samples,). Levels are relative to `reference`, the content, where there is one.

    Music is no louder at a seam than elsewhere by anything but chance: where overlaps are few, compare with the same
    figures of the content.
    """
    hop = 1 << round(WINDOW_SECONDS * rate / 4).bit_length()
    frames = frames_of(len(signal), hop)
    spectra = stft(signal[None], 4 * hop, hop, frames)[0].abs() + FLOOR * 4 * hop
    level = _level(signal, hop, frames)
    if reference is not None:
        level = level - _level(reference, hop, frames)
    flux = spectra.log().diff(dim=0, prepend=spectra.log()[:1]).pow(2).mean(-1).sqrt()
    centres = torch.arange(frames) * hop
    here = torch.zeros(frames, dtype=torch.bool)
    for before, after in pairwise(segments):
        here |= (centres >= after.start) & (centres <= before.stop)
    inner = (centres >= 4 * hop) & (centres < len(signal) - 4 * hop)  # the ends of a track are no seams
    return Seams(*(Figure(_spread(f[here & inner]), _spread(f[~here & inner])) for f in (level, flux)))


def _level(signal: Tensor, hop: int, frames: int) -> Tensor:
    """dB of the samples around each frame."""
    padded = torch.nn.functional.pad(signal, (2 * hop, 4 * hop))
    return 10 * torch.log10(padded.unfold(0, 4 * hop, hop)[:frames].pow(2).mean(-1) + FLOOR**2)


def _spread(values: Tensor) -> tuple[float, float]:
    found = values.quantile(torch.tensor([0.5, 0.95]))
    return float(found[0]), float(found[1])
