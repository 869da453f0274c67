"""What becomes of decoded frames, block by block: a mono mix, another rate, and how loud they were.

Blocks are (channels, frames), contiguous: numpy is twenty times slower across interleaved samples.
"""

import math

import numpy as np
import soxr

from tasks.audio.types import CANCELLED_SHARE, SILENT_LEVEL, Samples

CLIPPED_LEVEL, CLIPPED_RUN = 0.9999, 3


class Level:
    """Mixes blocks to mono and remembers how loud they were."""

    def __init__(self) -> None:
        self.frames = 0
        self.peak = 0.0
        self._mix = _Range()
        self._channels = _Range()
        self._clipped = False

    def add(self, channels: Samples) -> Samples:
        """Counts (channels, frames) and returns their mean (frames,)."""
        mono = np.asarray(channels.mean(axis=0), dtype=np.float32)
        self.frames += len(mono)
        self.peak = max(self.peak, float(np.abs(channels).max(initial=0.0)))
        self._mix.add(mono[None])
        self._channels.add(channels)
        self._clipped = self._clipped or _is_clipped(channels)
        return mono

    @property
    def silent(self) -> bool:
        """Whether nothing is left of the mono mix without its constant part."""
        return self._mix.level < SILENT_LEVEL or self._cancels

    @property
    def cause(self) -> str:
        """Why something that is silent may not look so to the person who chose it."""
        if self._cancels and self._channels.level >= SILENT_LEVEL:
            return ": its channels cancel each other out in mono; turn the phase of one of them"
        if self.peak >= SILENT_LEVEL:
            return f": all samples lie at about {self._mix.middle:.3g}, a constant (DC) without sound"
        return f" (no sample is above {20 * math.log10(self.peak):.0f} dB)" if self.peak else ""

    @property
    def notes(self) -> tuple[str, ...]:
        return ("clipped",) if self._clipped else ()

    @property
    def _cancels(self) -> bool:
        return self._mix.level < CANCELLED_SHARE * self._channels.level


class _Range:
    """The lowest and highest sample of each channel, over blocks (channels, frames)."""

    def __init__(self) -> None:
        self._low: Samples | float = math.inf
        self._high: Samples | float = -math.inf

    def add(self, channels: Samples) -> None:
        self._low = np.minimum(self._low, channels.min(axis=1))
        self._high = np.maximum(self._high, channels.max(axis=1))

    @property
    def level(self) -> float:
        """Of the loudest channel, without its constant part."""
        return float(np.max(np.subtract(self._high, self._low))) / 2

    @property
    def middle(self) -> float:
        return float(np.mean(np.add(self._high, self._low))) / 2


def _is_clipped(channels: Samples) -> bool:
    """Whether some channel stays at full scale for several samples: one alone is only normalised."""
    full = np.abs(channels) >= CLIPPED_LEVEL
    if not full.any():
        return False
    run = full[:, : 1 - CLIPPED_RUN] & full[:, 1 : 2 - CLIPPED_RUN] & full[:, 2:]
    return bool(run.any())


def resampled_length(frames: int, rate: int, wanted: int) -> int:
    return round(frames * wanted / rate)


class Resampler:
    """Takes blocks (channels, frames) at one rate and holds them at another, of exactly the length that this means."""

    def __init__(self, rate: int, wanted: int, channels: int, frames: int) -> None:
        """`frames` is the most that will come, at the rate that they come in."""
        self._rate, self._wanted = rate, wanted
        self._streams = [] if rate == wanted else [_stream(rate, wanted) for _ in range(channels)]
        self._out = np.zeros((channels, resampled_length(frames, rate, wanted)), np.float32)
        self._filled = 0

    def add(self, channels: Samples, last: bool = False) -> None:
        if self._streams:
            pairs = zip(self._streams, channels, strict=True)
            channels = np.stack([stream.resample_chunk(channel, last=last) for stream, channel in pairs])
        room = self._out.shape[1] - self._filled
        part = channels[:, :room]
        self._out[:, self._filled : self._filled + part.shape[1]] = part
        self._filled += part.shape[1]

    def end(self, frames: int) -> Samples:
        """All of it, (channels, samples), after `frames` frames went in."""
        self.add(np.zeros((len(self._out), 0), np.float32), last=True)
        return np.ascontiguousarray(self._out[:, : resampled_length(frames, self._rate, self._wanted)])


def _stream(rate: int, wanted: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="VHQ")
