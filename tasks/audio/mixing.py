"""What becomes of decoded frames, block by block: one channel, one rate, and how loud they were."""

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

    def add(self, block: Samples) -> Samples:
        """Counts (frames, channels) and returns their mean (frames,)."""
        channels = np.ascontiguousarray(block.T)  # numpy is twenty times slower across interleaved samples
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
    """Takes mono blocks at one rate and holds them at another, of exactly the length that this means."""

    def __init__(self, rate: int, wanted: int) -> None:
        self._rate, self._wanted = rate, wanted
        self._stream = None if rate == wanted else soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="VHQ")
        self._out: list[Samples] = []

    def add(self, mono: Samples) -> None:
        self._out.append(mono if self._stream is None else self._stream.resample_chunk(mono))

    def end(self, frames: int) -> Samples:
        """All of it, after `frames` frames went in."""
        if self._stream is not None:
            self._out.append(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        out = np.concatenate(self._out, dtype=np.float32)[: resampled_length(frames, self._rate, self._wanted)]
        return np.pad(out, (0, resampled_length(frames, self._rate, self._wanted) - len(out)))
