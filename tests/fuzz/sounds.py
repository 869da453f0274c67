"""Whatever bytes an input holds: finite sound of the length that it says, or a reason."""

import ctypes
import os
import zlib
from contextlib import contextmanager

import numpy as np

from tasks.audio import Clip, decode, probe
from tasks.audio.xiph import _ogg_checksum
from tasks.records.reasons import PairError, Reason
from tests.fuzz import refusal

MAX_SECONDS = 10
M_PERTURB = -6  # malloc.h
WAYS = (
    {"sample_rate": 22_050},
    {"sample_rate": None, "mix": False},
    {"sample_rate": 8_000, "start": 0.01},
    {"sample_rate": 48_000, "seconds": 0.02},
)
REASONS = {Reason.DECODE_ERROR, Reason.INPUT_UNSUPPORTED, Reason.INPUT_TOO_SHORT, Reason.INPUT_TOO_LONG}
LARGEST_SEED = 20_000
DICTIONARY = (
    "RIFF", "RIFX", "RF64", "WAVE", "fmt ", "data", "ds64", "LIST", "FORM", "AIFF", "AIFC", "COMM", "SSND", "sowt",
    "fLaC", "OggS", "vorbis", "OpusHead", "ID3", "TAG", "Xing", "Info", "VBRI", "LAME", "APETAGEX", "LYRICS200",
)  # fmt: skip


def seeds():
    """Short sounds of each format that is read, and every bad file that is not large."""
    from tests.tasks import test_bad_inputs
    from tests.tasks.test_audio_bad_files import BAD, CODECS, TONE, encoded

    short = [encoded(codec, np.stack([TONE[:1500]] * channels, 1)) for codec in CODECS for channels in (1, 2)]
    bad = (*BAD.values(), *test_bad_inputs.BAD.values())
    return short + [data for data, *_ in bad if len(data) < LARGEST_SEED]


def check(data):
    """Decodes in this process, in a way that the bytes choose. Returns what came of it."""
    files = len(os.listdir("/proc/self/fd"))
    outcome = hear(data, decode, REASONS)
    assert len(os.listdir("/proc/self/fd")) <= files, "a file is left open"
    return outcome


def hear(data, decode, reasons):
    """The same by any way to decode, with the reasons that it may give."""
    way = WAYS[zlib.crc32(data) % len(WAYS)]
    with memory_of(0x41):
        heard = _heard(data, decode, way)
    with memory_of(0xBE):
        again = _heard(data, decode, way)
    if isinstance(heard, PairError):
        assert str(again) == str(heard)
        return refusal(heard, reasons)
    _check_clip(heard, way)
    assert isinstance(again, Clip), again
    assert np.array_equal(heard.samples, again.samples), "what lay in memory is no sound"
    if not {"start", "seconds"} & set(way):
        info = probe(data, max_seconds=MAX_SECONDS)
        told = (info.frames, info.sample_rate, info.channels, info.notes)
        assert told == (heard.source_frames, heard.source_rate, heard.source_channels, heard.notes)
    return "decoded"


def _heard(data, decode, way):
    try:
        return decode(data, max_seconds=MAX_SECONDS, allow_silence=True, **way)
    except PairError as error:
        return error


@contextmanager
def memory_of(byte):
    """Memory that is handed out holds this byte, where the C library can do so: a decoder must not show it."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: None)
    set_option(M_PERTURB, byte)
    try:
        yield
    finally:
        set_option(M_PERTURB, 0)


def _check_clip(clip, way):
    assert clip.sample_rate == (way["sample_rate"] or clip.source_rate)
    assert 1 <= clip.source_channels <= 8
    assert 0 < clip.source_frames <= MAX_SECONDS * clip.source_rate
    frames = round(clip.source_frames * clip.sample_rate / clip.source_rate)
    assert clip.samples.shape == ((frames,) if way.get("mix", True) else (clip.source_channels, frames))
    assert frames > 0
    assert clip.samples.dtype == np.float32
    assert np.isfinite(clip.samples).all()
    assert np.isfinite(clip.source_peak)


def mend(data):
    """Ogg pages with their checksums right again: else no changed byte would ever reach the decoder."""
    if data[:4] != b"OggS":
        return data
    out, position = bytearray(data), 0
    while out[position : position + 4] == b"OggS" and position + 27 <= len(out):
        lacing = out[position + 27 : position + 27 + out[position + 26]]
        end = position + 27 + len(lacing) + sum(lacing)
        out[position + 22 : position + 26] = _ogg_checksum(bytes(out[position:end])).to_bytes(4, "little")
        position = end
    return bytes(out)
