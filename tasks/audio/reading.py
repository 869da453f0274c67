"""Sound from bytes, by libsndfile, in blocks and within bounds.

Nothing here opens a file: a decoder that is handed bytes cannot be led to another file or address.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from tasks.audio.containers import CONVERT, EXPORT_AGAIN, check_container, cut_short
from tasks.audio.types import (
    BLOCK_FRAMES,
    MAX_CHANNELS,
    MAX_LEVEL,
    RATES,
    SILENT_LEVEL,
    AudioInfo,
    Clip,
    Samples,
)
from tasks.records.reasons import PairError, Reason

FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF"}
SUBTYPES = {
    "PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS", "OPUS",
    "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III",
}  # fmt: skip
PROBE_SECONDS = 6 * 3600.0
MPEG_FRAME = 1_152
_SEEKABLE = {"WAV", "WAVEX", "RF64", "FLAC", "AIFF"}  # exactly and at once; the others are decoded from their start
_CLIPPED_LEVEL, _CLIPPED_RUN = 0.9999, 3


def decode(
    data: bytes,
    *,
    sample_rate: int,
    start: float | None = None,
    seconds: float | None = None,
    max_seconds: float,
    min_samples: int = 1,
    allow_silence: bool = False,
) -> Clip:
    """A slice of an encoded sound as mono at `sample_rate`: the mean of its channels, resampled.

    `start` and `seconds` choose the slice, at the source's own rate; `max_seconds` bounds it. It comes out as
    round(frames x sample_rate / source rate) samples, at least `min_samples`. Raises PairError: decode_error,
    input_unsupported, input_silent, input_too_short (also of a slice that ends after the clip), input_too_long.
    """
    with _opened(data) as source:
        first, last = source.slice(start, seconds, max_seconds)
        _check_length(last - first, source.rate, sample_rate, min_samples)
        level, resampler = _Level(), _Resampler(source.rate, sample_rate)
        for block in source.blocks(first, last):
            resampler.add(level.add(block))
    if level.silent and not allow_silence:
        raise PairError(Reason.INPUT_SILENT, f"is silent{level.cause}")
    samples = resampler.end(level.frames)
    return Clip(
        samples, sample_rate, source.rate, source.channels, level.frames, level.peak, source.notes + level.notes
    )


def probe(data: bytes, *, max_seconds: float = PROBE_SECONDS) -> AudioInfo:
    """Decode the whole of a sound and keep only what there is to say of it. Raises PairError like `decode`.

    `max_seconds` bounds the work: a longer sound is input_too_long. Silence is no fault here.
    """
    with _opened(data) as source:
        first, last = source.slice(None, None, max_seconds)
        level = _Level()
        for block in source.blocks(first, last):
            level.add(block)
    file = source.file
    return AudioInfo(
        seconds=level.frames / source.rate,
        sample_rate=source.rate,
        channels=source.channels,
        format="WAV" if source.format in ("WAVEX", "RF64") else source.format,
        subtype=file.subtype,
        frames=level.frames,
        peak=level.peak,
        silent=level.silent,
        notes=source.notes + level.notes,
    )


def _check_length(frames: int, rate: int, wanted: int, min_samples: int) -> None:
    if _resampled_length(frames, rate, wanted) < max(1, min_samples):
        raise PairError(
            Reason.INPUT_TOO_SHORT,
            f"lasts {frames / rate:.4g} s, but these parameters need {max(1, min_samples) / wanted:.4g} s",
        )


# --- the file -------------------------------------------------------------------------------------


@contextmanager
def _opened(data: bytes) -> "Iterator[_Source]":
    checked = check_container(data)
    try:
        file = soundfile.SoundFile(io.BytesIO(checked.data))
    except (soundfile.LibsndfileError, RuntimeError, MemoryError, OverflowError) as error:
        raise PairError(
            Reason.DECODE_ERROR, f"is damaged and cannot be decoded ({_why(error)}); {EXPORT_AGAIN}"
        ) from error
    with file:
        source = _Source(file, checked.notes)
        source.check()
        yield source


@dataclass(frozen=True)
class _Source:
    """An opened sound: the frames of its slices, in blocks."""

    file: soundfile.SoundFile
    notes: tuple[str, ...]

    @property
    def rate(self) -> int:
        return int(self.file.samplerate)

    @property
    def channels(self) -> int:
        return int(self.file.channels)

    @property
    def format(self) -> str:
        return str(self.file.format)

    def check(self) -> None:
        """Raises PairError (input_unsupported, input_too_short) for what its header alone rules out."""
        kind = f"{self.format} {self.file.subtype}"
        if self.format not in FORMATS or self.file.subtype not in SUBTYPES:
            raise PairError(Reason.INPUT_UNSUPPORTED, f"is {kind}, which is not read; {CONVERT}")
        if not RATES[0] <= self.rate <= RATES[1]:
            raise PairError(
                Reason.INPUT_UNSUPPORTED,
                f"has a sampling rate of {self.rate:,} Hz; {RATES[0]:,} to {RATES[1]:,} Hz are read",
            )
        if self.channels > MAX_CHANNELS:
            raise PairError(
                Reason.INPUT_UNSUPPORTED,
                f"has {self.channels:,} channels; at most {MAX_CHANNELS} are read, export a stereo mix",
            )
        if self.file.frames <= 0:
            raise PairError(Reason.INPUT_TOO_SHORT, "holds no sound: 0 frames")

    def slice(self, start: float | None, seconds: float | None, max_seconds: float) -> tuple[int, int]:
        """First frame of what is asked for and the one behind its last. Raises PairError where it is not there."""
        rate, frames = self.rate, int(self.file.frames)
        if not 0 <= (start or 0.0) < math.inf or (seconds is not None and not 0 < seconds < math.inf):
            raise PairError(Reason.ROW_INVALID, f"a slice from {start} s of {seconds} s is none; use numbers above 0")
        first = round((start or 0.0) * rate)
        last = frames if seconds is None else first + round(seconds * rate)
        if first >= frames or last > frames + 1:  # one: both numbers were rounded
            end = f"to {last / rate:.2f} s" if seconds is not None else "on"
            raise PairError(
                Reason.INPUT_TOO_SHORT, f"lasts {frames / rate:.2f} s, but the slice is from {first / rate:.2f} s {end}"
            )
        last = min(last, frames)
        if (last - first) / rate > max_seconds:
            raise PairError(
                Reason.INPUT_TOO_LONG,
                f"lasts {(last - first) / rate:,.1f} s, but max_seconds is {max_seconds:g}; choose a slice or raise it",
            )
        return first, last

    def blocks(self, first: int, last: int) -> Iterator[Samples]:
        """The frames from `first` to before `last`, as (frames, channels). Raises PairError (decode_error)."""
        position = 0
        try:
            if self.format in _SEEKABLE and first:
                position = int(self.file.seek(first))
            while position < last:
                block = self.file.read(min(BLOCK_FRAMES, last - position), dtype="float32", always_2d=True)
                if not len(block):
                    break
                if position + len(block) > first:
                    yield _finite(block[max(0, first - position) :])
                position += len(block)
        except (soundfile.LibsndfileError, RuntimeError, MemoryError) as error:
            raise PairError(
                Reason.DECODE_ERROR,
                f"is cut short or damaged after {position / self.rate:.2f} s ({_why(error)}); {EXPORT_AGAIN}",
            ) from error
        if position < last and not self._is_miscounted(last - position):
            raise cut_short(f"{position:,} of {last:,} frames could be decoded")

    def _is_miscounted(self, missing: int) -> bool:
        """Some encoders of MP3 count the frame that holds the count."""
        return self.format == "MP3" and missing <= MPEG_FRAME


def _finite(block: Samples) -> Samples:
    level = float(np.abs(block).max(initial=0.0))
    if not math.isfinite(level):
        raise PairError(
            Reason.DECODE_ERROR, f"holds samples that are no numbers (NaN or infinite); {EXPORT_AGAIN} without them"
        )
    if level > MAX_LEVEL:
        raise PairError(Reason.DECODE_ERROR, f"holds a level of {level:.3g} times full scale; normalise it")
    return block


def _why(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".").lower() or type(error).__name__


# --- what is done with the frames -----------------------------------------------------------------


class _Level:
    """Mixes blocks to mono and remembers how loud they were."""

    def __init__(self) -> None:
        self.frames = 0
        self.peak = 0.0
        self._sum = 0.0
        self._low, self._high = math.inf, -math.inf
        self._clipped = False

    def add(self, block: Samples) -> Samples:
        """Counts (frames, channels) and returns their mean (frames,)."""
        mono = np.asarray(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1), dtype=np.float32)
        self.frames += len(mono)
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        self._sum += float(mono.sum(dtype=np.float64))
        self._low, self._high = min(self._low, float(mono.min())), max(self._high, float(mono.max()))
        self._clipped = self._clipped or _is_clipped(block)
        return mono

    @property
    def silent(self) -> bool:
        """Whether nothing is left of the mono mix without its constant part."""
        mean = self._sum / max(1, self.frames)
        return max(self._high - mean, mean - self._low) < SILENT_LEVEL

    @property
    def cause(self) -> str:
        """Why something that is silent may not look so to the person who chose it."""
        if self.peak < SILENT_LEVEL:
            return "" if self.peak == 0 else f" (no sample is above {20 * math.log10(self.peak):.0f} dB)"
        if self._low > self._high - 2 * SILENT_LEVEL and abs(self._high) > SILENT_LEVEL:
            return f": every sample is about {self._high:.3g}, a constant (DC) without sound"
        return ": its channels are opposites of each other, and cancel each other out in mono; turn the phase of one"

    @property
    def notes(self) -> tuple[str, ...]:
        return ("clipped",) if self._clipped else ()


def _is_clipped(block: Samples) -> bool:
    """Whether some channel stays at full scale for several samples: one alone is only normalised."""
    full = np.abs(block) >= _CLIPPED_LEVEL
    if not full.any():
        return False
    run = full[: 1 - _CLIPPED_RUN] & full[1 : 2 - _CLIPPED_RUN] & full[2:]
    return bool(run.any())


def _resampled_length(frames: int, rate: int, wanted: int) -> int:
    return round(frames * wanted / rate)


class _Resampler:
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
        out = np.concatenate(self._out, dtype=np.float32)[: _resampled_length(frames, self._rate, self._wanted)]
        return np.pad(out, (0, _resampled_length(frames, self._rate, self._wanted) - len(out)))
