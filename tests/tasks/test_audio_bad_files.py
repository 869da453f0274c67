"""Files that are bad fail with their reason, and with words that a person can act on.

Those that have a number are in `test_bad_inputs`; here are more of each kind, and files that are odd and whole.
"""

import io
import struct

import numpy as np
import pytest
import soundfile

from tasks.audio import decode, probe
from tasks.records.reasons import PairError, Reason

RATE = 44_100
TONE = (0.5 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)
CODECS = {
    "wav": ("WAV", "PCM_16", RATE),
    "wav24": ("WAV", "PCM_24", RATE),
    "wavex": ("WAVEX", "PCM_16", RATE),
    "rf64": ("RF64", "PCM_16", RATE),
    "aiff": ("AIFF", "PCM_16", RATE),
    "flac": ("FLAC", "PCM_16", RATE),
    "mp3": ("MP3", "MPEG_LAYER_III", RATE),
    "vorbis": ("OGG", "VORBIS", RATE),
    "opus": ("OGG", "OPUS", 48_000),
}


def encoded(codec="wav", samples=TONE):
    container, subtype, rate = CODECS[codec]
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def wav(samples=b"\0\0\x10\x20" * 5000, *, code=1, channels=1, rate=RATE, bits=16, size=None, riff_size=None, tail=b""):
    """A WAV with any header."""
    align = channels * bits // 8
    header = struct.pack("<HHIIHH", code, channels, rate, rate * align % 2**32, align % 2**16, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + header + b"data"
    body += struct.pack("<I", len(samples) if size is None else size) + samples + tail
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def float_wav(samples, bits=32):
    samples = np.asarray(samples, "<f4" if bits == 32 else "<f8")
    return wav(samples.tobytes(), code=3, bits=bits, channels=samples.shape[1] if samples.ndim == 2 else 1)


def cut(data, share=0.5):
    return data[: int(len(data) * share)]


def changed(data, at, value):
    at = at if at >= 0 else len(data) + at
    return data[:at] + value + data[at + len(value) :]


def damaged(data):
    return changed(data, len(data) // 2, bytes(300))


def flac_with_frames(frames):
    """A FLAC whose header names another number of frames."""
    data = encoded("flac")
    known = int.from_bytes(data[18:26], "big")
    return changed(data, 18, (known & ~(2**36 - 1) | frames).to_bytes(8, "big"))


def flac_header_alone():
    data = flac_with_frames(0)
    return data[: data.index(b"\xff\xf8", 42)]


def without_count(mp3):
    """The same MP3 without its first frame, which holds how many there are."""
    return mp3[mp3.index(b"\xff\xfb", 4) :]


ID3 = b"ID3\x04\0\0" + bytes([0, 0, 1, 0])  # announces 128 bytes
STORAGE_ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
STEREO_OPPOSITES = np.stack([TONE, -TONE], axis=1)

TOO_SHORT, SILENT, DAMAGED = Reason.INPUT_TOO_SHORT, Reason.INPUT_SILENT, Reason.DECODE_ERROR
TOO_LONG, UNSUPPORTED = Reason.INPUT_TOO_LONG, Reason.INPUT_UNSUPPORTED

RIDDLES = ("Libsndfile", "System error", "does not exist", "BytesIO", "0x7f", "errno")
"""What the library says of a bad file."""
BAD = {
    "a flac of no frames": (flac_header_alone(), TOO_SHORT, "0 frames"),
    "an aiff of no frames": (encoded("aiff", TONE[:0]), TOO_SHORT, "0 frames"),
    "denormals": (float_wav(np.full(9000, 3e-41)), SILENT, "-810 dB"),
    "2 GHz": (wav(rate=2_000_000_000), UNSUPPORTED, "2,000,000,000 Hz"),
    "nine channels": (wav(bytes(range(90)) * 300, channels=9), UNSUPPORTED, "9 channels"),
    "half a 24 bit wav": (cut(encoded("wav24")), DAMAGED, "cut short"),
    "half an rf64": (cut(encoded("rf64")), DAMAGED, "cut short"),
    "half an aiff": (cut(encoded("aiff")), DAMAGED, "cut short"),
    "ADPCM": (wav(code=0x11, bits=4), UNSUPPORTED, "ADPCM"),
    "a GSM telephone recording": (wav(code=0x31), UNSUPPORTED, "GSM"),
    "an MP3 in a WAV": (wav(code=0x55), UNSUPPORTED, "convert it to WAV or FLAC"),
    "an unusual number of bits": (wav(bytes(9000), bits=40), UNSUPPORTED, "number of bits"),
    "an AC-3": (b"\x0b\x77" + bytes(99), UNSUPPORTED, "AC-3"),
    "a wave64": (b"riff\x2e\x91\xcf\x11" + bytes(100), UNSUPPORTED, "Wave64"),
    "a png": (b"\x89PNG\r\n\x1a\n" + bytes(99), DAMAGED, "PNG"),
    "a gif": (b"GIF89a" + bytes(99), DAMAGED, "GIF"),
    "a zip": (b"PK\x03\x04" + bytes(99), DAMAGED, "zip"),
    "a pdf": (b"%PDF-1.7\n", DAMAGED, "PDF"),
    "a web page": (b"\n<!DOCTYPE html><html><body>Sign in", DAMAGED, "web page"),
    "json": (b'{"error": "not found"}', DAMAGED, "JSON"),
    "text": ("Die Aufnahme lädt nicht.\r\n".encode() * 9, DAMAGED, "looks like text"),
    "xml": (b'<?xml version="1.0"?><project/>', DAMAGED, "XML"),
    "zeros": (bytes(5000), DAMAGED, "never finished"),
    "a companion of macOS": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(99), DAMAGED, "macOS"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", DAMAGED, "Git LFS"),
    "an m4a": (b"\0\0\0\x20ftypM4A " + bytes(99), UNSUPPORTED, "AAC"),
    "a flac cut in its header": (encoded("flac")[:30], DAMAGED, "header"),
    "a flac that says 2^36 frames": (flac_with_frames(2**36 - 1), TOO_LONG, "max_seconds is 60"),
    "a flac that says more frames than it has": (flac_with_frames(RATE + 9), DAMAGED, "cut short"),
    "a flac of unknown length": (flac_with_frames(0), UNSUPPORTED, "unknown length"),
    "a sound of two minutes": (wav(b"\0\x10\0\xf0" * 60 * RATE), TOO_LONG, "lasts 120.0 s, but max_seconds is 60"),
    "an mp3 that ends where a tag begins": (encoded("mp3") + b"ID3", DAMAGED, "no sound after frame 41"),
    "half an opus": (cut(encoded("opus")), DAMAGED, "cut short"),
    "a damaged ogg": (damaged(encoded("vorbis")), DAMAGED, "damaged"),
    "an ogg of another codec": (b"OggS\0\2" + bytes(20) + b"\1\x50Speex   " + bytes(90), UNSUPPORTED, "Ogg"),
}


def told(data, **options):
    with pytest.raises(PairError) as caught:
        decode(data, **{"sample_rate": 22_050, "max_seconds": 60} | options)
    return caught.value


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_fails_with_its_reason_and_says_why(name):
    data, reason, words = BAD[name]
    error = told(data)
    assert error.reason is reason, error.message
    assert words in error.message


@pytest.mark.parametrize("name", BAD)
def test_no_message_is_the_libraries_own_riddle(name):
    message = told(BAD[name][0]).message
    assert not [riddle for riddle in RIDDLES if riddle in message]
    assert message[0].islower(), "the caller puts the input before it: 'content file:///a.wav: is cut short'"
    assert len(message) < 250


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("share", [0.2, 0.37, 0.5, 0.8, 0.99])
def test_a_file_that_is_cut_anywhere_is_never_taken_for_whole(codec, share):
    error = told(cut(encoded(codec), share))
    assert error.reason is Reason.DECODE_ERROR


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_that_lacks_its_last_byte_is_cut_short(codec):
    assert told(encoded(codec)[:-1]).reason is Reason.DECODE_ERROR


@pytest.mark.parametrize("codec", ["flac", "mp3"])
def test_an_mp3_or_flac_is_read_by_its_content_behind_a_tag(codec):
    data = ID3 + bytes(128) + encoded(codec)
    assert probe(data).frames == RATE


@pytest.mark.parametrize("tail", [b"TAG" + b"x" * 125, bytes(700), ID3 + b"y" * 128])
def test_an_mp3_may_end_in_tags_and_padding(tail):
    assert probe(encoded("mp3") + tail).frames == RATE


def test_an_mp3_without_one_whole_frame_is_cut_short_and_no_sound_of_length_nought():
    error = told(bytes.fromhex("ffff0001cc002606ffff0000074000"), start=0.01, allow_silence=True)
    assert error.reason is Reason.DECODE_ERROR
    assert "could be decoded" in error.message


@pytest.mark.parametrize("codec", ["opus", "vorbis"])
def test_an_ogg_that_lacks_a_page_is_damaged(codec):
    data = encoded(codec, np.random.default_rng(0).uniform(-0.3, 0.3, 3 * RATE))
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]
    error = told(data[: pages[2]] + data[pages[3] :])
    assert error.reason is Reason.DECODE_ERROR
    assert "a page before page 3 of its Ogg stream is missing" in error.message


def test_an_mp3_may_end_in_an_ape_tag():
    size = 32 + 40
    footer = b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, 0) + bytes(8)
    assert probe(encoded("mp3") + b"k" * 40 + footer).frames == RATE


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF - 36])
def test_a_wav_that_was_streamed_without_a_length_is_read_to_its_end(size):
    data = wav(struct.pack("<5000h", *range(5000)), size=size, riff_size=size)
    clip = decode(data, sample_rate=RATE, max_seconds=60)
    assert clip.source_frames == 5000
    assert "streamed" in clip.notes[0]


def test_an_rf64_that_was_streamed_and_has_no_long_length_loses_no_sample():
    data = b"RF64" + wav(struct.pack("<5000h", *range(5000)), size=0xFFFFFFFF)[4:]
    assert decode(data, sample_rate=RATE, max_seconds=60).samples[-1] == pytest.approx(4999 / 32768)


def test_an_empty_wav_with_a_tag_behind_it_is_empty_and_not_streamed():
    assert told(wav(b"", tail=b"LIST\x04\0\0\0INFO")).reason is Reason.INPUT_TOO_SHORT


def test_a_wav_whose_length_is_too_large_although_the_file_is_whole_is_read_with_a_note():
    clip = decode(wav(size=20_044), sample_rate=RATE, max_seconds=60)
    assert clip.source_frames == 10_000
    assert "20,044" in clip.notes[0]


def test_a_wav_whose_length_is_too_small_is_read_as_far_as_it_says_with_a_note():
    clip = decode(wav(size=10_000), sample_rate=RATE, max_seconds=60)
    assert clip.source_frames == 5_000
    assert "10,000 bytes after the end" in clip.notes[0]


def test_a_wav_with_tags_before_and_behind_its_sound_has_nothing_to_note():
    assert decode(wav(tail=b"LIST\x04\0\0\0INFO"), sample_rate=RATE, max_seconds=60).notes == ()


def test_an_aiff_that_was_streamed_without_a_length_is_read_to_its_end():
    data = encoded("aiff")
    at = data.index(b"SSND") + 4
    clip = decode(changed(data, at, bytes(4)), sample_rate=RATE, max_seconds=60)
    assert clip.source_frames == RATE
    assert "streamed" in clip.notes[0]


@pytest.mark.parametrize(("codec", "words"), [("mp3", "41 MP3 frames after the end"), ("vorbis", "holds 2 streams")])
def test_two_files_joined_into_one_are_read_as_the_first_with_a_note(codec, words):
    clip = decode(encoded(codec) * 2, sample_rate=RATE, max_seconds=60)
    assert clip.source_frames == RATE
    assert words in clip.notes[0]


def test_a_big_endian_wav_is_read():
    order = struct.pack(">HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    samples = struct.pack(">5000h", *range(5000))
    body = b"WAVEfmt " + struct.pack(">I", 16) + order + b"data" + struct.pack(">I", len(samples)) + samples
    clip = decode(b"RIFX" + struct.pack(">I", len(body)) + body, sample_rate=RATE, max_seconds=60)
    assert clip.samples[-1] == pytest.approx(4999 / 32768)


def test_a_sound_that_is_clipped_is_read_and_noted():
    hot = np.clip(TONE * 4, -1, 1)
    assert decode(encoded("wav", hot), sample_rate=RATE, max_seconds=60).notes == ("clipped",)


def test_a_sound_that_only_touches_full_scale_is_not_called_clipped():
    touching = TONE.copy()
    touching[1000] = 1.0
    assert decode(encoded("wav", touching), sample_rate=RATE, max_seconds=60).notes == ()
