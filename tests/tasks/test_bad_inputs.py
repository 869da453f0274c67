"""Every way in which an input has been found to be bad, by number: read by a worker, with the reason and the words.

What is odd and no fault is read, with a note. `test_audio_bad_files` has more of each kind, without the worker.
"""

import os
from dataclasses import replace

import numpy as np
import pytest

from tasks.audio import decode
from tasks.decoding import DecodePool
from tasks.look_up import etag_of
from tasks.overrides import checked
from tasks.records.pair import Input, Pair
from tasks.records.reasons import PairError, Reason
from tasks.records.run import Options
from tasks.roots import Roots
from tasks.stylise import load
from tests.flows.conftest import QUICK
from tests.tasks.test_audio import flac_of_constants
from tests.tasks.test_audio_bad_files import (
    ID3,
    RATE,
    RIDDLES,
    STEREO_OPPOSITES,
    STORAGE_ERROR,
    TONE,
    changed,
    cut,
    damaged,
    encoded,
    flac_with_frames,
    float_wav,
    wav,
    without_count,
)

R = Reason
NOISE = np.random.default_rng(0).bytes(5_000)
BAD = {  # number and name: the file, the reason, words of the message
    "2 an empty object": (b"", R.DECODE_ERROR, "is empty: 0 bytes"),
    "3 a header alone": (wav(b""), R.INPUT_TOO_SHORT, "holds no sound: 0 frames"),
    "4 one sample": (wav(b"\0\x10"), R.INPUT_TOO_SHORT, "holds no sound: 1 frame"),
    "4 a hundred samples": (wav(b"\0\x10\0\xf0" * 50), R.INPUT_TOO_SHORT, "but these parameters need"),
    "5 silence": (wav(bytes(90_000)), R.INPUT_SILENT, "is silent"),
    "6 a constant": (float_wav(np.full(RATE, 0.25)), R.INPUT_SILENT, "constant (DC)"),
    "7 denormals": (float_wav(np.full(RATE, 3e-41)), R.INPUT_SILENT, "is silent"),
    "9 NaN": (float_wav([*TONE, np.nan]), R.DECODE_ERROR, "no numbers (NaN or infinite)"),
    "9 infinity": (float_wav([*TONE, np.inf]), R.DECODE_ERROR, "no numbers (NaN or infinite)"),
    "10 beyond single precision": (float_wav([*TONE, 1e308], 64), R.DECODE_ERROR, "no numbers (NaN or infinite)"),
    "11 a level of 1e29": (float_wav(TONE * 2e29), R.DECODE_ERROR, "times full scale; normalise it"),
    "14 1 Hz": (wav(rate=1), R.INPUT_UNSUPPORTED, "a sampling rate of 1 Hz; 8,000 to 192,000 Hz are read"),
    "15 0 Hz": (wav(rate=0), R.DECODE_ERROR, "is damaged"),
    "15 4,294,967,295 Hz": (wav(rate=2**32 - 1), R.DECODE_ERROR, "is damaged"),
    "17 channels that cancel": (encoded("wav", STEREO_OPPOSITES), R.INPUT_SILENT, "cancel each other out"),
    "19 1,024 channels": (wav(bytes(range(256)) * 80, channels=1_024), R.INPUT_UNSUPPORTED, "has 1,024 channels; at m"),
    "20 no channels": (wav(channels=0), R.DECODE_ERROR, "is damaged"),
    "20 65,535 channels": (wav(channels=65_535), R.DECODE_ERROR, "is damaged"),
    "22 half a WAV": (cut(encoded("wav")), R.DECODE_ERROR, "is cut short"),
    "23 half a header": (encoded("wav")[:30], R.DECODE_ERROR, "header"),
    "26 a length of 0": (wav(b"", tail=b"LIST\4\0\0\0INFO"), R.INPUT_TOO_SHORT, "holds no sound"),
    "27 an unknown encoding": (wav(code=0x1234), R.DECODE_ERROR, "unknown encoding (0x1234)"),
    "27 0 bits": (wav(bits=0), R.DECODE_ERROR, "is damaged"),
    "28 a picture": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(99), R.DECODE_ERROR, "looks like a JPEG picture"),
    "28 a web page": (b"<!DOCTYPE html><html>", R.DECODE_ERROR, "looks like a web page"),
    "28 text": (b"to be recorded on Monday\n", R.DECODE_ERROR, "looks like text"),
    "28 noise": (NOISE, R.DECODE_ERROR, f"begins with the bytes {NOISE[:8].hex(' ')}"),
    "29 an error page": (STORAGE_ERROR, R.DECODE_ERROR, "a storage error page"),
    "31 half a FLAC": (cut(encoded("flac")), R.DECODE_ERROR, "is cut short or damaged"),
    "31 a damaged FLAC": (damaged(encoded("flac")), R.DECODE_ERROR, "damaged"),
    "32 a FLAC of 2^32 - 1 frames": (flac_with_frames(2**32 - 1), R.INPUT_TOO_LONG, "lasts 97,391.5 s, but max_sec"),
    "33 a FLAC bomb": (flac_of_constants(13_000, 8), R.INPUT_TOO_LONG, "but max_seconds is 1200"),
    "34 three hours": (flac_of_constants(3 * 3_600, 1), R.INPUT_TOO_LONG, "choose a slice or raise it"),
    "35 half an MP3": (cut(encoded("mp3")), R.DECODE_ERROR, "is cut short"),
    "35 half an MP3 without a count": (cut(without_count(encoded("mp3"))), R.DECODE_ERROR, "is cut short"),
    "36 an MP3 with damaged frames": (damaged(encoded("mp3")), R.DECODE_ERROR, "is damaged"),
    "37 the tag of an MP3 alone": (ID3 + bytes(128), R.DECODE_ERROR, "(ID3), but nothing follows it"),
    "37 a tag longer than the file": (b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(50), R.DECODE_ERROR, "(ID3)"),
    "37 the tag of an MP3 and noise": (ID3 + bytes(128) + NOISE, R.DECODE_ERROR, "what follows it is no sound"),
    "38 half an OGG": (cut(encoded("vorbis")), R.DECODE_ERROR, "is cut short"),
    "38 an OGG with a flipped bit": (changed(encoded("vorbis"), -900, b"\x55"), R.DECODE_ERROR, "is damaged"),
    "40 a playlist": (b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n", R.DECODE_ERROR, "a playlist, which names sounds"),
    "40 a list to join": (b"ffconcat version 1.0\nfile /etc/hostname\n", R.DECODE_ERROR, "a playlist, which names so"),
}  # fmt: skip

ODD = {  # number and name: the file, words of its note (or none)
    "8 clipped": (encoded("wav", np.clip(TONE * 4, -1, 1)), "clipped"),
    "12 8 kHz": (wav(b"\0\x10\0\xf0" * 4_000, rate=8_000), ""),
    "13 192 kHz": (wav(b"\0\x10\0\xf0" * 90_000, rate=192_000), ""),
    "16 stereo": (encoded("wav", np.stack([TONE, TONE / 2], axis=1)), ""),
    "18 5.1": (encoded("wav", np.stack([TONE / (n + 2) for n in range(6)], axis=1)), ""),
    "21 24 bits": (encoded("wav24"), ""),
    "21 32 bits": (wav(b"\0\0\0\x10\0\0\0\xf0" * RATE, bits=32), ""),
    "21 8 bits": (wav(b"\x60\xa0" * RATE, bits=8), ""),
    "21 mu-law": (wav(b"\x20\xa0" * RATE, code=7, bits=8), ""),
    "21 RF64": (encoded("rf64"), ""),
    "24 a length that is unknown": (wav(b"\0\x10\0\xf0" * RATE, size=2**32 - 1, riff_size=2**32 - 1), "streamed"),
    "24 a length that is too long": (wav(b"\0\x10\0\xf0" * RATE, size=4 * RATE + 44), "bytes"),
    "25 a length that is too short": (wav(b"\0\x10\0\xf0" * RATE, size=2 * RATE), "bytes after the end"),
    "30 a FLAC by the name of a WAV": (encoded("flac"), ""),
    "30 an MP3 by the name of a WAV": (encoded("mp3"), ""),
}
PLACES = {1, 39, 41}  # what lies there is the matter: below


@pytest.fixture(scope="module")
def pool():
    made = DecodePool(1)
    yield made
    made.close()


@pytest.fixture
def read(tmp_path, pool):
    """Reads a pair with this content as a worker does, within the folder."""

    def _read(content, options=None, roots=(f"file://{tmp_path}",), etag=None):
        path = tmp_path / "content.wav"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path = content
        (tmp_path / "style.wav").write_bytes(encoded("wav"))
        inputs = (Input("content", f"file://{path}", etag=etag), Input("style", f"file://{tmp_path}/style.wav"))
        pair = Pair(0, "p", inputs, "optimise", checked(QUICK | {"sample_rate": 0}))
        return load(pair, Roots.resolve(roots), pool, options)

    return _read


def refused(read, *given, **options):
    with pytest.raises(PairError) as caught:
        read(*given, **options)
    message = caught.value.message
    assert message.startswith("content")
    assert "content.wav" in message or "/dev/" in message
    assert message.isprintable()
    return caught.value


def test_every_number_is_here():
    assert {int(name.split()[0]) for name in (*BAD, *ODD)} | PLACES == set(range(1, 42))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_input_fails_with_its_reason_and_words_that_help(read, name):
    data, reason, words = BAD[name]
    error = refused(read, data)
    assert error.reason is reason, error.message
    assert words in error.message
    assert not [riddle for riddle in RIDDLES if riddle in error.message]
    assert len(error.message.split("content.wav ", 1)[1]) < 250


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_and_no_fault_is_read(read, name):
    data, note = ODD[name]
    assert read(data).content.samples.abs().max() > 0
    notes = decode(data, sample_rate=None, max_seconds=60).notes
    assert note in " ".join(notes) if note else not notes


def test_1_what_is_not_there_is_missing(read, tmp_path):
    error = refused(read, tmp_path / "content.wav")
    assert error.reason is R.INPUT_MISSING


@pytest.mark.parametrize(
    ("make", "reason", "words"),
    [
        (os.mkfifo, R.INPUT_UNSUPPORTED, "is a pipe, not a file"),
        (os.mkdir, R.INPUT_UNSUPPORTED, "is not a file: Is a directory"),
        (lambda path: path.symlink_to("/etc/hostname"), R.INPUT_FORBIDDEN, "allow its place with `--allow URI`"),
    ],
)
def test_39_what_is_no_file_does_not_hold_a_worker_up(read, tmp_path, make, reason, words):
    make(tmp_path / "content.wav")
    error = refused(read, tmp_path / "content.wav")
    assert error.reason is reason
    assert words in error.message


def test_39_a_device_is_no_file(read, tmp_path):
    error = refused(read, "/dev/zero", roots=("file:///",))
    assert (error.reason, "is a device, not a file" in error.message) == (R.INPUT_UNSUPPORTED, True)


def test_41_an_input_that_is_replaced_after_planning_is_changed(read, tmp_path, pool):
    loaded = read(encoded("wav"))
    roots = Roots.resolve([f"file://{tmp_path}"])
    etags = {i.uri: etag_of(i.uri, roots) for i in loaded.pair.inputs}
    planned = replace(loaded.pair, inputs=tuple(replace(i, etag=etags[i.uri]) for i in loaded.pair.inputs))
    assert load(planned, roots, pool).pair.inputs == loaded.pair.inputs
    (tmp_path / "content.wav").write_bytes(encoded("wav", TONE / 2))
    with pytest.raises(PairError, match="has been replaced since the run was planned") as caught:
        load(planned, roots, pool)
    assert caught.value.reason is R.INPUT_CHANGED


# --- limits ---------------------------------------------------------------------------------------


def test_the_most_channels_are_a_parameter(read):
    stereo = encoded("wav", np.stack([TONE, TONE / 2], axis=1))
    error = refused(read, stereo, Options(max_channels=1))
    assert error.reason is R.INPUT_UNSUPPORTED
    assert "has 2 channels; at most 1 are read (max_channels)" in error.message


def test_the_largest_file_is_a_parameter_and_a_larger_one_is_not_fetched(read, tmp_path):
    with open(tmp_path / "content.wav", "wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing, that takes no room
    error = refused(read, tmp_path / "content.wav", Options(max_input_mb=2))
    assert error.reason is R.INPUT_TOO_LONG
    assert "has 1,099,511,627,776 bytes; at most 2,000,000 are read (max_input_mb 2)" in error.message
