"""Sound from bytes and bytes from sound, by libsndfile, in blocks and within bounds.

Nothing here opens a file: a decoder that is handed bytes cannot be led to another file or address.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from tasks.records.reasons import PairError, Reason

Samples = npt.NDArray[np.float32]
AudioFormat = Literal["flac", "wav", "ogg", "mp3"]

FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "MPEG", "AIFF"}
# No ADPCM: libsndfile 1.2.2 overflows on crafted ones (CVE-2026-37555).
SUBTYPES = {
    "PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS", "OPUS",
    "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III",
}  # fmt: skip
RATES = (8_000, 192_000)
MAX_CHANNELS = 8
MAX_LEVEL = 1_000.0
SILENT_LEVEL = 1e-5  # of full scale, -100 dB
BLOCK_FRAMES = 65_536
ENCODINGS = {"flac": ("FLAC", "PCM_24"), "wav": ("WAV", "PCM_24"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III")}


@dataclass(frozen=True)
class Clip:
    """Mono sound (samples,) float32 at `sample_rate`, and what it was before."""

    samples: Samples
    sample_rate: int
    source_rate: int
    source_channels: int


@dataclass(frozen=True)
class AudioInfo:
    """What opening a file showed; `peak` is of full scale."""

    seconds: float
    sample_rate: int
    channels: int
    format: str
    subtype: str
    peak: float
    silent: bool


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

    `start` and `seconds` choose the slice, at the source's own rate; its length comes out as
    round(frames x sample_rate / source rate) samples. Raises PairError: decode_error, input_unsupported,
    input_silent, input_too_short (also of a slice that ends after the clip), input_too_long.
    """
    with _opened(data) as file:
        first, last = _slice(file, start, seconds, max_seconds)
        blocks = []
        for position, block in _blocks(file, data):
            blocks.append(_mono(block[max(0, first - position) : max(0, last - position)]))
        mono = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        rate, channels = file.samplerate, file.channels
    if len(mono) < last - first:
        raise PairError(Reason.DECODE_ERROR, f"is cut short: {len(mono)} of {last - first} frames could be decoded")
    if not allow_silence:
        _check_level(mono, channels)
    samples = _resampled(mono, rate, sample_rate)
    if len(samples) < min_samples:
        raise PairError(
            Reason.INPUT_TOO_SHORT,
            f"lasts {len(mono) / rate:.3f} s, but these parameters need {min_samples / sample_rate:.3f} s",
        )
    return Clip(samples, sample_rate, rate, channels)


def probe(data: bytes) -> AudioInfo:
    """Decode the whole of a sound and keep only what there is to say of it. Raises PairError like `decode`."""
    with _opened(data) as file:
        peak = mean = 0.0
        frames = 0
        for _, block in _blocks(file, data):
            frames += len(block)
            mean += float(_mono(block).sum(dtype=np.float64))
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
        silent = peak - abs(mean) / max(1, frames) < SILENT_LEVEL
        return AudioInfo(
            frames / file.samplerate, file.samplerate, file.channels, file.format, file.subtype, peak, silent
        )


def encode(samples: Samples, sample_rate: int, audio_format: AudioFormat, comment: str | None = None) -> bytes:
    """Mono samples as a file: 24 bit where the format is lossless. Equal samples give equal bytes (not in ogg)."""
    container, subtype = ENCODINGS[audio_format]
    sink = io.BytesIO()
    with soundfile.SoundFile(sink, "w", sample_rate, 1, subtype, format=container) as file:
        if comment is not None:
            file.comment = comment
        for start in range(0, len(samples), BLOCK_FRAMES):  # ogg crashes when it is given a minute at once
            file.write(samples[start : start + BLOCK_FRAMES])
    return sink.getvalue()


# --- opening --------------------------------------------------------------------------------------


def _opened(data: bytes) -> soundfile.SoundFile:
    _check_bytes(data)
    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except (soundfile.LibsndfileError, RuntimeError, MemoryError, OverflowError) as error:
        looks = _looks_like(data)
        raise PairError(
            Reason.DECODE_ERROR, "is not sound that can be decoded" + (f"; it looks like {looks}" if looks else f" ({error})")
        ) from error
    try:
        _check_header(file)
        _check_whole(file, data)
    except PairError:
        file.close()
        raise
    return file


def _check_bytes(data: bytes) -> None:
    if not data:
        raise PairError(Reason.DECODE_ERROR, "is empty: 0 bytes")
    if len(data) <= 44 and data[:4] == b"RIFF":
        raise PairError(Reason.INPUT_TOO_SHORT, "holds a header and no sound")


def _check_header(file: soundfile.SoundFile) -> None:
    if file.format not in FORMATS or file.subtype not in SUBTYPES:
        raise PairError(
            Reason.INPUT_UNSUPPORTED, f"is {file.format} {file.subtype}, which is not read; convert it to wav or flac"
        )
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise PairError(
            Reason.INPUT_UNSUPPORTED, f"has a rate of {file.samplerate} Hz; {RATES[0]} to {RATES[1]} Hz are read"
        )
    if file.channels > MAX_CHANNELS:
        raise PairError(Reason.INPUT_UNSUPPORTED, f"has {file.channels} channels; at most {MAX_CHANNELS} are read")


def _check_whole(file: soundfile.SoundFile, data: bytes) -> None:
    """Formats that end without a word when they are cut are asked for their own account of their length."""
    if file.format == "OGG":
        _check_ogg(data)
    elif file.format in ("WAV", "WAVEX"):
        _check_riff(data)
    elif file.format == "FLAC" and (file.frames <= 0 or file.frames >= 2**62):
        raise PairError(
            Reason.INPUT_UNSUPPORTED, "is a FLAC of unknown length (written to a pipe); encode it again to a file"
        )


def _check_riff(data: bytes) -> None:
    for name, size, start in _chunks(data):
        if name == b"data" and size not in (0, 0xFFFFFFFF) and start + size > len(data):
            raise PairError(
                Reason.DECODE_ERROR, f"is cut short: its header promises {size} bytes of sound, {len(data) - start} are there"
            )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and start of the chunks of a RIFF file."""
    position = 12
    while position + 8 <= len(data):
        name, size = data[position : position + 4], struct.unpack_from("<I", data, position + 4)[0]
        yield name, size, position + 8
        position += 8 + size + size % 2


def _check_ogg(data: bytes) -> None:
    """The last page (RFC 3533) must be whole and say that it is the last."""
    last = data.rfind(b"OggS")
    header = data[last : last + 27]
    whole = len(header) == 27
    if whole:
        lacing = data[last + 27 : last + 27 + header[26]]
        whole = len(lacing) == header[26] and last + 27 + len(lacing) + sum(lacing) <= len(data)
    if not whole or not header[5] & 4:
        raise PairError(Reason.DECODE_ERROR, "is cut short: the end of its stream is missing")


# --- reading --------------------------------------------------------------------------------------


def _slice(file: soundfile.SoundFile, start: float | None, seconds: float | None, max_seconds: float) -> tuple[int, int]:
    """First and last frame of what is asked for."""
    rate, frames = file.samplerate, file.frames
    first = round((start or 0.0) * rate)
    last = frames if seconds is None else first + round(seconds * rate)
    if frames == 0:
        raise PairError(Reason.INPUT_TOO_SHORT, "holds no sound: 0 frames")
    if first >= frames or last > frames + 1:
        end = f"to {last / rate:.2f} s" if seconds is not None else "on"
        raise PairError(
            Reason.INPUT_TOO_SHORT, f"lasts {frames / rate:.2f} s, but the slice is from {first / rate:.2f} s {end}"
        )
    last = min(last, frames)
    if (last - first) / rate > max_seconds:
        raise PairError(
            Reason.INPUT_TOO_LONG,
            f"lasts {(last - first) / rate:.1f} s, but max_seconds is {max_seconds:g}; choose a slice or raise it",
        )
    return first, last


def _blocks(file: soundfile.SoundFile, data: bytes) -> Iterator[tuple[int, Samples]]:
    """All of a file as (position, frames x channels), as many frames as its header declares. Raises PairError."""
    position = 0
    try:
        while position < file.frames:
            block = file.read(min(BLOCK_FRAMES, file.frames - position), dtype="float32", always_2d=True)
            if not len(block):
                break
            _check_samples(block)
            yield position, block
            position += len(block)
    except (soundfile.LibsndfileError, RuntimeError, MemoryError) as error:
        raise PairError(Reason.DECODE_ERROR, f"is damaged after {position / file.samplerate:.2f} s ({error})") from error
    if position < file.frames:
        raise PairError(
            Reason.DECODE_ERROR, f"is cut short or damaged: {position} of {file.frames} frames could be decoded"
        )


def _check_samples(block: Samples) -> None:
    level = np.abs(block).max(initial=0.0)
    if not np.isfinite(level):
        raise PairError(Reason.DECODE_ERROR, "holds samples that are no numbers (NaN or infinite)")
    if level > MAX_LEVEL:
        raise PairError(Reason.DECODE_ERROR, f"holds a level of {level:.3g} times full scale; normalise it")


def _mono(block: Samples) -> Samples:
    return np.asarray(block.mean(axis=1), dtype=np.float32)


def _check_level(mono: Samples, channels: int) -> None:
    level = float(np.abs(mono - mono.mean()).max(initial=0.0)) if len(mono) else 0.0
    if level < SILENT_LEVEL:
        cause = ", or its channels cancel each other out" if channels > 1 else ""
        raise PairError(Reason.INPUT_SILENT, f"is silent{cause}")


def _resampled(mono: Samples, rate: int, wanted: int) -> Samples:
    """At another rate, of exactly the length that this means."""
    frames = round(len(mono) * wanted / rate)
    if rate == wanted:
        return mono
    out = np.asarray(soxr.resample(mono, rate, wanted, quality="VHQ"), dtype=np.float32)[:frames]
    return np.pad(out, (0, frames - len(out)))


_STARTS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"ID3", "an MP3 with a tag and no sound"),
    (b"PAR1", "a parquet file"),
)


def _looks_like(data: bytes) -> str | None:
    for start, what in _STARTS:
        if data.startswith(start):
            return what
    head = data[:512].lstrip().lower()
    if b"<error>" in head or b"<code>" in head:
        return "an error page of a storage service"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if head.startswith(b"<?xml"):
        return "XML"
    if head.startswith((b"{", b"[")):
        return "JSON"
    return "text" if head and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head) else None
