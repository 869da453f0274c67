"""A track of any length as segments that are restyled each by itself, and one track of the results again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from tasks.audio.types import SILENT_LEVEL
from tasks.stylise.inputs import Loaded
from tasks.transfer import quality
from tasks.transfer.item import Item
from tasks.transfer.pipeline import CURVES, STAGES, Outcome
from tasks.transfer.segments import Segment, cut, join, weights

MOST_GAIN = 12.0
"""dB between a segment's own working level and the track's: a quiet passage is restyled as well, and stays quiet."""


@dataclass(frozen=True)
class Piece:
    """One segment of a pair's content, at working level by itself."""

    loaded: Loaded
    segment: Segment
    gain: float  # factor between the track's working level and the segment's own
    share: float  # of the track, 0 to 1

    @property
    def content(self) -> torch.Tensor:
        return self.of(self.loaded.content.samples)

    def of(self, samples: torch.Tensor) -> torch.Tensor:
        """The segment of a track at the content's working level, at its own. Shape: (samples of the track,)."""
        return self.segment.of(samples) * self.gain

    @property
    def item(self) -> Item:
        loaded = self.loaded
        return Item(self.content, loaded.styles, loaded.params.seed, loaded.checkpoint, loaded.trained)

    @property
    def silent(self) -> bool:
        """There is nothing to restyle: it comes out as it went in."""
        return float(self.segment.of(self.loaded.content.channels).abs().max()) < SILENT_LEVEL


def pieces_of(loaded: Loaded) -> tuple[Piece, ...]:
    """The segments of a pair, in order.

    The ends of a segment lie in fewer patches than its middle, and half a second of each comes out unlike the rest: its
    spectrum changes faster, by a fifth in the median, and its level strays by some 2 dB. Where neighbours share more
    than the widest patch lasts, the fade of `join` leaves little of that (tests/bench/bench_tracks.py).
    """
    settings, samples = loaded.settings, loaded.content.samples
    seconds = loaded.params.segment_seconds, loaded.params.overlap_seconds
    longest, overlap = (round(s * settings.sample_rate) for s in seconds)
    segments = cut(len(samples), longest, overlap, settings.hop_length)
    if len(segments) == 1:
        return (Piece(loaded, segments[0], 1.0, 1.0),)
    whole = quality.loudness_lufs(samples, settings.sample_rate)
    levels = [quality.loudness_lufs(segment.of(samples), settings.sample_rate) for segment in segments]
    gains = [quality.ratio(min(MOST_GAIN, max(-MOST_GAIN, whole - level))) for level in levels]
    shares = weights(segments)
    return tuple(Piece(loaded, *each) for each in zip(segments, gains, shares, strict=True))


@dataclass
class Track:
    """A pair's pieces, and what became of them as they come out of their batches."""

    loaded: Loaded

    def __post_init__(self) -> None:
        self.outcomes: dict[int, Outcome | Exception] = {
            n: untouched(piece) for n, piece in enumerate(self.pieces) if piece.silent and len(self.pieces) > 1
        }

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        return pieces_of(self.loaded)

    @property
    def open(self) -> list[int]:
        """The pieces that wait for a batch; none once one has failed."""
        if any(isinstance(outcome, Exception) for outcome in self.outcomes.values()):
            return []
        return [n for n in range(len(self.pieces)) if n not in self.outcomes]

    def outcome(self) -> Outcome:
        """What became of the whole. Raises what its first failed piece raised."""
        outcomes = []
        for n in sorted(self.outcomes):
            found = self.outcomes[n]
            if isinstance(found, Exception):
                raise found
            outcomes.append(found)
        return outcomes[0] if len(outcomes) == 1 else joined(self.pieces, outcomes)


def untouched(piece: Piece) -> Outcome:
    return Outcome(waveform=piece.content)


def joined(pieces: Sequence[Piece], outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of those of all segments: figures are means by each one's share of what was restyled.

    Their waveforms are taken from them: a long track need not be held twice.
    """
    waveforms = []
    for piece, outcome in zip(pieces, outcomes, strict=True):
        assert outcome.waveform is not None
        waveforms.append(outcome.waveform.div_(piece.gain))
        outcome.waveform = None
    restyled = [n for n, piece in enumerate(pieces) if not piece.silent] or list(range(len(pieces)))
    kept, shares = [outcomes[n] for n in restyled], [pieces[n].share for n in restyled]

    def mean(values: Sequence[float]) -> float:
        return sum(value * share for value, share in zip(values, shares, strict=True)) / sum(shares)

    def both(name: str) -> tuple[float, float]:
        content, style = zip(*(getattr(outcome, name) for outcome in kept), strict=True)
        return mean(content), mean(style)

    peaks = [outcome.peak_device_mb for outcome in kept if outcome.peak_device_mb is not None]
    return Outcome(
        waveform=join(waveforms, [piece.segment for piece in pieces]),
        stop_reason=Counter(outcome.stop_reason for outcome in kept).most_common(1)[0][0],
        evaluations=round(mean([outcome.evaluations for outcome in kept])),
        losses_start=both("losses_start"),
        losses_spectrogram=both("losses_spectrogram"),
        phase_convergence_db=mean([outcome.phase_convergence_db for outcome in kept]),
        seconds={stage: sum(outcome.seconds.get(stage, 0.0) for outcome in kept) for stage in STAGES},
        peak_device_mb=max(peaks, default=None),
        curves=_mean_curves([outcome.curves for outcome in kept], mean),
    )


def _mean_curves(
    curves: Sequence[dict[str, list[Any]]], mean: Callable[[Sequence[float]], float]
) -> dict[str, list[Any]]:
    """The mean curve of each loss, stage by stage; a segment that stopped early keeps its last value."""
    out: dict[str, list[Any]] = {name: [] for name in curves[0]}
    for stage in CURVES:
        found = [[n for n, name in enumerate(curve["stage"]) if name == stage] for curve in curves]
        length = max(len(rows) for rows in found)
        if not all(found):
            continue
        out["stage"] += [stage] * length
        for name in ("total", "content", "style"):
            values = [[curve[name][n] for n in rows] for curve, rows in zip(curves, found, strict=True)]
            out[name] += [mean([value[min(i, len(value) - 1)] for value in values]) for i in range(length)]
    return out
