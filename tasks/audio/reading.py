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

from tasks.audio.channels import from_container
from tasks.audio.checked import EXPORT_AGAIN, cut_short, no_sound, unsupported
from tasks.audio.containers import check_container
from tasks.audio.mixing import Level, Resampler, resampled_length
from tasks.audio.types import (
    BLOCK_FRAMES,
    MAX_CHANNELS,
    MAX_LEVEL,
    RATES,
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


def decode(
    data: bytes,
    *,
    sample_rate: int | None,
    mix: bool = True,
    start: float | None = None,
    seconds: float | None = None,
    max_seconds: float,
    max_channels: int = MAX_CHANNELS,
    allow_silence: bool = False,
) -> Clip:
    """A slice of an encoded sound at `sample_rate`, or at its own rate where that is None.

    It is mono, (frames,), the mean of the channels; with `mix` off the channels as they are, (channels, frames), in
    the order of WAV. Either way it is the mono mix that must not be silent: what is nothing in mono has no mix to
    restyle. `start` and `seconds` choose the slice, at the source's own rate; `max_seconds` bounds it, and
    `max_channels` what is read at all. It comes out as round(frames x sample_rate / source rate) samples, at least one.
    Raises PairError: decode_error, input_unsupported, input_silent, input_too_short (also of a slice that ends after
    the clip), input_too_long.
    """
    with _bounded(), _opened(data, max_channels) as source:
        first, last = source.slice(start, seconds, max_seconds)
        wanted = source.rate if sample_rate is None else sample_rate
        _check_length(last - first, source.rate, wanted)
        level = Level()
        resampler = Resampler(source.rate, wanted, 1 if mix else source.channels, last - first)
        for block in source.blocks(first, last):
            mono = level.add(block)
            resampler.add(mono[None] if mix else block)
        _check_length(level.frames, source.rate, wanted)  # an MP3 may have fewer than it says
        if level.silent and not allow_silence:
            raise PairError(Reason.INPUT_SILENT, f"is silent{level.cause}")
        samples, notes = resampler.end(level.frames), source.notes + level.notes
    if mix:
        samples = samples[0]
    return Clip(samples, wanted, source.rate, source.channels, level.frames, level.peak, notes)


def probe(data: bytes, *, max_seconds: float = PROBE_SECONDS, max_channels: int = MAX_CHANNELS) -> AudioInfo:
    """Decode the whole of a sound and keep only what there is to say of it. Raises PairError like `decode`.

    `max_seconds` bounds the work: a longer sound is input_too_long. Silence is no fault here.
    """
    with _bounded(), _opened(data, max_channels) as source:
        first, last = source.slice(None, None, max_seconds)
        level = Level()
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


def _check_length(frames: int, rate: int, wanted: int) -> None:
    if resampled_length(frames, rate, wanted) < 1:
        raise PairError(Reason.INPUT_TOO_SHORT, f"lasts {frames / rate:.4g} s, less than a sample at {wanted:,} Hz")


@contextmanager
def _bounded() -> Iterator[None]:
    """Raises PairError (input_too_long) where a sound asks for more memory than its decoder may have."""
    try:
        yield
    except MemoryError as error:
        raise PairError(
            Reason.INPUT_TOO_LONG, "needs more memory than there is to decode it; choose a slice of it"
        ) from error


# --- the file -------------------------------------------------------------------------------------


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from front to back.

    What can seek, soundfile seeks after every read; MP3 and Opus lose the state of their decoder by that, and
    come out wrong for thousands of frames behind every block.
    """

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(data: bytes, max_channels: int) -> "Iterator[_Source]":
    checked = check_container(data)
    try:
        file = _Sequential(io.BytesIO(checked.data))
    except (soundfile.LibsndfileError, RuntimeError, OverflowError) as error:
        if "unimplemented" in _why(error):
            raise unsupported("sound in an unusual encoding (its number of bits, for example)") from error
        raise PairError(
            Reason.DECODE_ERROR, f"is damaged and cannot be decoded ({_why(error)}); {EXPORT_AGAIN}"
        ) from error
    with file:
        source = _Source(file, checked.notes)
        source.check(max_channels)
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

    def check(self, max_channels: int) -> None:
        """Raises PairError (input_unsupported, input_too_short) for what its header alone rules out."""
        if self.format not in FORMATS or self.file.subtype not in SUBTYPES:
            raise unsupported(f"{self.format} {self.file.subtype}")
        if not RATES[0] <= self.rate <= RATES[1]:
            raise PairError(
                Reason.INPUT_UNSUPPORTED,
                f"has a sampling rate of {self.rate:,} Hz; {RATES[0]:,} to {RATES[1]:,} Hz are read",
            )
        if self.channels > max_channels:
            raise PairError(
                Reason.INPUT_UNSUPPORTED,
                f"has {self.channels:,} channels; at most {max_channels} are read (max_channels), export a stereo mix",
            )
        if self.file.frames < 2:  # of one it cannot be told what is constant
            raise no_sound(f"{self.file.frames} frame{'' if self.file.frames == 1 else 's'}")

    def slice(self, start: float | None, seconds: float | None, max_seconds: float) -> tuple[int, int]:
        """First frame of what is asked for and the one behind its last. Raises PairError where it is not there."""
        rate, frames = self.rate, int(self.file.frames)
        if not 0 <= (start or 0.0) < math.inf or (seconds is not None and not 0 < seconds < math.inf):
            asked = f"from {start or 0:g} s" + ("" if seconds is None else f" of {seconds:g} s")
            raise PairError(
                Reason.ROW_INVALID, f"a slice {asked} is none; begin at 0 s or later, with more than 0 s of sound"
            )
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
        """The frames from `first` to before `last`, as (channels, frames). Raises PairError (decode_error)."""
        position, order = 0, from_container(self.format, self.channels)
        try:
            if self.format in _SEEKABLE and first:
                position = int(self.file.seek(first))
            while position < last:
                block = self.file.read(min(BLOCK_FRAMES, last - position), dtype="float32", always_2d=True)
                if not len(block):
                    break
                if position + len(block) > first:
                    yield np.ascontiguousarray(_finite(block[max(0, first - position) :]).T[order])
                position += len(block)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise PairError(
                Reason.DECODE_ERROR,
                f"is cut short or damaged after {position / self.rate:.2f} s ({_why(error)}); {EXPORT_AGAIN}",
            ) from error
        if position <= first or (position < last and not self._is_miscounted(last - position)):
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
