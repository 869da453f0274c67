"""Tracks of any length as overlapping segments, and one track of them again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from tasks.transfer.reduce import total

WHOLE = 1.5
"""A track of up to so many times the longest segment stays whole: it has no seam at all."""
ROW = 1024  # samples that are summed at once, so that a sum is the same for any number of threads


@dataclass(frozen=True)
class Segment:
    """The samples from `start` to before `stop`."""

    start: int
    stop: int

    @property
    def samples(self) -> int:
        return self.stop - self.start

    def of(self, signal: Tensor) -> Tensor:
        """Shape: (..., samples of the track) -> (..., samples)."""
        return signal[..., self.start : self.stop]


def excerpt(signal: Tensor, start: int, stop: int) -> Tensor:
    """The samples from `start` to before `stop`, zeros beyond both ends. Shape: (..., samples) -> (..., stop - start).

    `stop` lies behind the first sample of the signal.
    """
    inside = signal[..., max(0, start) : stop]
    left = max(0, -start)
    return torch.nn.functional.pad(inside, (left, stop - start - left - inside.shape[-1]))


def cut(samples: int, longest: int, overlap: int, hop: int) -> tuple[Segment, ...]:
    """Segments that cover a track of `samples` samples, each start on a multiple of `hop`.

    As few as can be of at most `longest` samples, and all of one length, so that they share a bucket; what that length
    leaves over goes into the overlaps, which are at least `overlap` samples and less than two hops more. A track of up
    to WHOLE times the longest is one segment. Raises ValueError where segments would overlap their neighbours but one.
    """
    if 1 <= samples <= WHOLE * longest:
        return (Segment(0, samples),)
    if samples < 1 or hop < 1 or overlap < 0 or longest < 4 * (overlap + 2 * hop):
        raise ValueError(
            f"no segments of at most {longest} samples with overlaps of {overlap} and hops of {hop} in {samples} "
            "samples; the longest segment must be four times an overlap and two hops"
        )
    # In hops from here on: a segment is `length` hops and the track's own rest, so that the last one ends with it.
    hops, rest = divmod(samples, hop)
    most, shared = (longest - rest) // hop, -((rest - overlap) // hop)
    gaps = -(-(hops - most) // (most - shared))
    length = -(-(hops + gaps * shared) // (gaps + 1))
    starts = (n * (hops - length) // gaps for n in range(gaps + 1))
    return tuple(Segment(start * hop, (start + length) * hop + rest) for start in starts)


def join(waveforms: Sequence[Tensor], segments: Sequence[Segment]) -> Tensor:
    """One waveform of those of the segments, neighbours cross-faded over all that they share.

    Shape: each (..., samples of its segment) -> (..., samples of the track). The fades w and 1 - w, w a raised cosine,
    are divided by sqrt(w^2 + (1 - w)^2 + 2 rho w (1 - w)), rho the correlation of both over the overlap, within 0 and
    1 (Fink, Holters and Zoelzer 2016, Signal-matched power-complementary cross-fading): equal signals are only passed
    on, independent ones keep their power, and neither dips or bumps. Same bits for any number of threads.
    """
    out = waveforms[0].new_zeros(*waveforms[0].shape[:-1], segments[-1].stop)
    end = 0
    for waveform, segment in zip(waveforms, segments, strict=True):
        shared = end - segment.start
        if shared > 0:
            old, new = out[..., segment.start : end], waveform[..., :shared]
            out[..., segment.start : end] = _faded(old, new)
        out[..., max(end, segment.start) : segment.stop] = waveform[..., max(shared, 0) :]
        end = segment.stop
    return out


def weights(segments: Sequence[Segment]) -> tuple[float, ...]:
    """Each segment's share of the track, which sum to 1: of an overlap each neighbour owns half."""
    inner = [(before.stop + after.start) / 2 for before, after in pairwise(segments)]
    bounds = [segments[0].start, *inner, segments[-1].stop]
    return tuple((b - a) / (bounds[-1] - bounds[0]) for a, b in pairwise(bounds))


def correlation(a: Tensor, b: Tensor) -> float:
    """Normalised correlation of two signals, -1 to 1; 0 where one is silent. Shape: (..., samples) twice."""
    size = math.sqrt(_inner(a, a) * _inner(b, b))
    return _inner(a, b) / size if size > 0 else 0.0


def _faded(old: Tensor, new: Tensor) -> Tensor:
    turn = torch.pi * (torch.arange(old.shape[-1], dtype=torch.float64) + 0.5) / old.shape[-1]
    w = 0.5 - 0.5 * torch.cos(turn)
    rho = min(1.0, max(0.0, correlation(old, new)))
    norm = (w**2 + (1 - w) ** 2 + 2 * rho * w * (1 - w)).sqrt()
    return (w / norm).to(new) * new + ((1 - w) / norm).to(old) * old


def _inner(a: Tensor, b: Tensor) -> float:
    product = (a * b).flatten()
    padded = torch.nn.functional.pad(product, (0, -len(product) % ROW))
    return float(total(padded.reshape(1, -1, ROW)))
