"""Sound comes in from any format, rate and number of channels, and goes out in four formats."""

import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.audio import Tag, decode, encode, probe, read_tag
from tasks.records.reasons import PairError, Reason

RATE = 22_050
TAG = json.dumps({"pair_id": "café-1", "run": "r1"})
OURS = Tag("ab" * 32, "20261126T010000-café")


def music(seconds=2.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * 1234 * t)).astype(np.float32)


def chord(channels, seconds=2.0, rate=RATE):
    """A tone of its own in every channel, (channels, frames); the LFE's is one that an LFE has."""
    hertz = [300, 450, 600, 50, 750, 900, 1050, 1200, 1350][:channels]
    return np.stack([0.4 * np.sin(2 * np.pi * f * np.arange(round(seconds * rate)) / rate) for f in hertz]).astype("f4")


def written(samples, rate=RATE, container="WAV", subtype="PCM_16"):
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", rate, 1 if samples.ndim == 1 else samples.shape[1], subtype, format=container
    ) as out:
        for start in range(0, len(samples), 4096):
            out.write(samples[start : start + 4096])
    return file.getvalue()


def refused(data, **options):
    with pytest.raises(PairError) as caught:
        decode(data, **{"sample_rate": RATE, "max_seconds": 60} | options)
    return caught.value


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize(("audio_format", "tolerance"), [("flac", 1e-6), ("wav", 1e-6), ("ogg", 0.05), ("mp3", 0.05)])
@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_what_is_written_is_read_again(audio_format, tolerance, rate):
    sound = music(1.5, rate)
    clip = decode(encode(sound, rate, audio_format), sample_rate=rate, max_seconds=60)
    assert len(clip.samples) == len(sound)
    assert np.abs(clip.samples - sound)[100:-2000].max() < tolerance


@pytest.mark.parametrize("audio_format", ["flac", "wav", "mp3"])
def test_equal_sounds_are_equal_files(audio_format):
    assert encode(music(), RATE, audio_format, TAG) == encode(music(), RATE, audio_format, TAG)


@pytest.mark.parametrize("audio_format", ["flac", "wav", "ogg", "mp3"])
def test_a_comment_travels_in_the_file(audio_format):
    with soundfile.SoundFile(io.BytesIO(encode(music(), RATE, audio_format, TAG))) as file:
        assert json.loads(file.comment) == json.loads(TAG)


@pytest.mark.parametrize("audio_format", ["flac", "wav", "ogg", "mp3"])
@pytest.mark.parametrize("tag", [OURS, OURS._replace(run_id=None)], ids=["of a run", "made by hand"])
def test_a_tag_is_read_from_the_file_again(audio_format, tag):
    assert read_tag(encode(music(), RATE, audio_format, tag.text())) == tag


@pytest.mark.parametrize("comment", [None, "a song", "[1]", TAG, '{"made_by": "gramophone"}', '"made_by"', "null"])
def test_a_comment_of_somebody_else_is_no_tag(comment):
    assert read_tag(encode(music(), RATE, "flac", comment)) is None


def test_what_is_no_audio_has_no_tag():
    assert read_tag(b"no sound") is None


@pytest.mark.parametrize("audio_format", ["flac", "wav"])
def test_lossless_files_have_24_bits(audio_format):
    assert probe(encode(music(), RATE, audio_format)).subtype == "PCM_24"


@pytest.mark.parametrize("audio_format", ["flac", "wav", "ogg", "mp3"])
def test_what_is_beyond_full_scale_is_clipped_and_not_wrapped_around(audio_format):
    clip = decode(encode(music() * 2.5, RATE, audio_format), sample_rate=RATE, max_seconds=60)
    assert np.corrcoef(clip.samples, np.clip(music() * 2.5, -1, 1))[0, 1] > 0.95


def test_a_minute_of_ogg_is_written_in_blocks():
    assert probe(encode(music(61, 44_100), 44_100, "ogg")).frames == 61 * 44_100


@pytest.mark.parametrize(
    "samples", [[0.1, np.nan], [[0.1, 0.1], [0.1, np.inf]], np.zeros((1, 2, 3)), [], np.zeros((2, 0)), np.zeros((0, 2))]
)
def test_what_is_no_sound_is_not_written(samples):
    with pytest.raises(ValueError, match="only finite samples"):
        encode(np.asarray(samples, np.float32), RATE, "flac")


@pytest.mark.parametrize(
    ("audio_format", "rate", "what_it_has"),
    [
        ("mp3", 12_345, "it has 8,000, 11,025, 12,000, 16,000, 22,050, 24,000, 32,000, 44,100, 48,000 Hz"),
        ("mp3", 96_000, "48,000 Hz"),
        ("flac", 88_201, "8,000 to 192,000 Hz, in tens above 65,535 Hz"),
        ("wav", 7_999, "8,000 to 192,000 Hz"),
        ("ogg", 192_001, "8,000 to 192,000 Hz"),
    ],
)
def test_a_rate_that_a_format_does_not_have_is_refused_with_those_that_it_has(audio_format, rate, what_it_has):
    with pytest.raises(ValueError, match=f"{audio_format} cannot be written at {rate} Hz.*{what_it_has}"):
        encode(music(), rate, audio_format)


@pytest.mark.parametrize(("audio_format", "most"), [("mp3", 2), ("flac", 8), ("wav", 8), ("ogg", 8)])
def test_more_channels_than_a_format_has_are_refused_with_how_many_it_has(audio_format, most):
    encode(chord(most, 0.1), RATE, audio_format)
    with pytest.raises(ValueError, match=f"{audio_format} cannot be written with {most + 1} channels.*at most {most}"):
        encode(chord(most + 1, 0.1), RATE, audio_format)


@settings(max_examples=60, deadline=None)
@given(audio_format=st.sampled_from(["flac", "wav", "ogg"]), rate=st.integers(8_000, 192_000))
def test_a_rate_is_written_as_it_is_or_refused_in_our_words(audio_format, rate):
    try:
        data = encode(chord(2, 0.02, rate), rate, audio_format)
    except ValueError as error:
        assert "in tens above" in str(error)  # noqa: PT017 - a refusal is one of the two right answers
    else:
        assert decode(data, sample_rate=None, max_seconds=1).sample_rate == rate


# --- channels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [11_025, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [2, 6])
@pytest.mark.parametrize("audio_format", ["flac", "wav"])
def test_channels_and_any_rate_come_back_as_they_were(audio_format, channels, rate):
    sound = chord(channels, 1.001, rate)
    clip = decode(encode(sound, rate, audio_format, TAG), sample_rate=None, mix=False, max_seconds=60)
    assert clip.samples.shape == sound.shape
    assert (clip.samples.dtype, clip.sample_rate, clip.source_channels) == (np.float32, rate, channels)
    assert np.abs(clip.samples - sound).max() < 2**-23  # a step of 24 bits


@pytest.mark.parametrize(
    ("audio_format", "channels", "rate"),
    [*(("ogg", c, r) for c in (2, 6) for r in (11_025, 44_100, 48_000, 96_000))]
    + [("mp3", 2, r) for r in (11_025, 44_100, 48_000)],
)
def test_channels_keep_their_places_and_their_length_in_a_lossy_file(audio_format, channels, rate):
    sound = chord(channels, 1.001, rate)
    clip = decode(encode(sound, rate, audio_format, TAG), sample_rate=None, mix=False, max_seconds=60)
    assert (clip.samples.shape, clip.sample_rate) == (sound.shape, rate)
    alike = np.corrcoef(clip.samples, sound)[:channels, channels:]  # every channel against every other
    assert np.diag(alike).min() > 0.98
    assert np.abs(alike - np.diag(np.diag(alike))).max() < 0.1


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_every_loudspeaker_but_the_lfe_keeps_its_bandwidth_in_ogg(rate):
    # Noise, and not tones: the encoder cuts the LFE of six channels off, wherever it takes the LFE to be.
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (6, rate)).astype(np.float32)
    kept = decode(encode(sound, rate, "ogg"), sample_rate=None, mix=False, max_seconds=60).samples
    level = kept.std(axis=1) / sound.std(axis=1)
    assert np.argmin(level) == 3
    assert np.delete(level, 3).min() > 0.8


@settings(max_examples=40, deadline=None)
@given(
    rate=st.integers(8_000, 192_000),
    channels=st.integers(1, 8),
    frames=st.integers(200, 20_000),
    wanted=st.none() | st.integers(8_000, 48_000),
)
def test_a_channel_is_resampled_as_if_it_were_alone(rate, channels, frames, wanted):
    sound = np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)
    clip = decode(written(sound, rate, subtype="FLOAT"), sample_rate=wanted, mix=False, max_seconds=60)
    assert clip.samples.shape == (channels, round(frames * (wanted or rate) / rate))
    alone = decode(written(sound[:, -1], rate, subtype="FLOAT"), sample_rate=wanted, max_seconds=60)
    assert np.array_equal(clip.samples[-1], alone.samples)


def test_the_mix_of_the_channels_is_the_mix_that_is_read():
    data = written(chord(6, 1.5, 48_000).T, 48_000, subtype="FLOAT")
    channels = decode(data, sample_rate=RATE, mix=False, max_seconds=60).samples
    mixed = decode(data, sample_rate=RATE, max_seconds=60).samples
    assert np.abs(channels.mean(axis=0) - mixed).max() < 1e-6  # the order of rounding


def test_mono_without_mixing_is_one_channel():
    data = written(music())
    clip = decode(data, sample_rate=None, mix=False, max_seconds=60)
    assert np.array_equal(clip.samples, decode(data, sample_rate=RATE, max_seconds=60).samples[None])


@pytest.mark.parametrize("mix", [True, False])
def test_channels_that_cancel_each_other_are_silent_mixed_or_not(mix):
    opposites = np.stack([music(), -music()], 1)
    error = refused(written(opposites), mix=mix)
    assert error.reason is Reason.INPUT_SILENT
    assert "cancel each other out" in error.message


def test_a_slice_of_channels_is_what_lies_there_in_the_whole():
    data = written(chord(2, 2.0, 44_100).T, 44_100, "OGG", "VORBIS")
    whole = decode(data, sample_rate=None, mix=False, max_seconds=60).samples
    clip = decode(data, sample_rate=None, mix=False, start=0.7, seconds=0.25, max_seconds=60)
    assert np.array_equal(clip.samples, whole[:, 30_870 : 30_870 + 11_025])


# --- what comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *(("WAV", s) for s in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
        *((c, s) for c in ("WAVEX", "RF64") for s in ("PCM_16", "PCM_24", "FLOAT")),
        *(("AIFF", s) for s in ("PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW")),
        *(("FLAC", s) for s in ("PCM_S8", "PCM_16", "PCM_24")),
        ("OGG", "VORBIS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_every_format_that_is_read_sounds_the_same(container, subtype):
    sound = music(1.0, 44_100)
    clip = decode(written(sound, 44_100, container, subtype), sample_rate=44_100, max_seconds=60)
    assert len(clip.samples) == len(sound)
    assert np.abs(clip.samples - sound)[2000:-2000].max() < 0.05


def test_opus_sounds_the_same():
    clip = decode(written(music(1.0, 48_000), 48_000, "OGG", "OPUS"), sample_rate=48_000, max_seconds=60)
    assert np.corrcoef(clip.samples, music(1.0, 48_000))[0, 1] > 0.99


@settings(max_examples=80, deadline=None)
@given(
    rate=st.integers(8_000, 192_000),
    channels=st.integers(1, 8),
    frames=st.integers(200, 20_000),
    wanted=st.sampled_from([8_000, 16_000, 22_050, 32_000, 44_100, 48_000]) | st.integers(8_000, 48_000),
)
def test_any_rate_and_number_of_channels_comes_out_at_the_length_that_the_rates_mean(rate, channels, frames, wanted):
    sound = np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)
    clip = decode(written(sound, rate), sample_rate=wanted, max_seconds=60)
    assert clip.samples.shape == (round(frames * wanted / rate),)
    assert clip.samples.dtype == np.float32
    assert (clip.sample_rate, clip.source_rate, clip.source_channels) == (wanted, rate, channels)
    assert clip.source_frames == frames
    assert np.isfinite(clip.samples).all()


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 96_000, 192_000])
def test_a_tone_keeps_its_pitch_and_level_at_another_rate(rate):
    clip = decode(written(music(1.0, rate), rate, subtype="PCM_24"), sample_rate=RATE, max_seconds=60)
    assert np.abs(clip.samples - music(1.0))[200:-200].max() < 1e-3


def test_mono_is_the_mean_of_the_channels():
    left, right = music(), music()[::-1]
    clip = decode(written(np.stack([left, right], 1), subtype="FLOAT"), sample_rate=RATE, max_seconds=60)
    assert np.allclose(clip.samples, (left + right) / 2, atol=1e-6)
    assert clip.source_peak == pytest.approx(np.abs(left).max())


@pytest.mark.parametrize(("container", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_a_long_sound_is_not_broken_where_its_blocks_meet(container, subtype):
    data = written(music(6.0, 48_000), 48_000, container, subtype)
    at_once = soundfile.read(io.BytesIO(data), dtype="float32")[0]
    assert np.array_equal(decode(data, sample_rate=48_000, max_seconds=60).samples, at_once)


# --- slices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "OGG", "MP3"])
@pytest.mark.parametrize(("start", "seconds"), [(0.0, 0.5), (0.7, 0.25), (1.2, None), (None, 1.0), (1.9, 0.1)])
def test_a_slice_is_what_lies_there_in_the_whole(container, start, seconds):
    subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(container, "PCM_24")
    data = written(music(2.0, 44_100), 44_100, container, subtype)
    whole = decode(data, sample_rate=44_100, max_seconds=60).samples
    first = round((start or 0) * 44_100)
    last = len(whole) if seconds is None else first + round(seconds * 44_100)
    clip = decode(data, sample_rate=44_100, start=start, seconds=seconds, max_seconds=60)
    assert np.array_equal(clip.samples, whole[first:last])


def test_only_the_slice_counts_against_the_longest_input():
    data = written(music(3.0))
    assert refused(data, max_seconds=1).reason is Reason.INPUT_TOO_LONG
    assert len(decode(data, sample_rate=RATE, start=1.0, seconds=1.0, max_seconds=1).samples) == RATE


@pytest.mark.parametrize(("start", "seconds"), [(2.5, None), (1.5, 1.0), (0.0, 2.1), (9.0, 1.0)])
def test_a_slice_outside_the_clip_is_refused_with_both_lengths(start, seconds):
    error = refused(written(music(2.0)), start=start, seconds=seconds)
    assert error.reason is Reason.INPUT_TOO_SHORT
    assert "lasts 2.00 s" in error.message
    assert f"from {start:.2f} s" in error.message


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 44_099), rate=st.sampled_from([44_100, 48_000, 96_000]))
def test_a_slice_to_the_very_end_is_no_frame_too_long(first, rate):
    data = written(music(1.0, rate), rate)
    start = first / rate
    clip = decode(data, sample_rate=rate, start=start, seconds=1.0 - start, max_seconds=2, allow_silence=True)
    assert clip.source_frames == rate - first


@pytest.mark.parametrize(
    ("start", "seconds"), [(-1.0, None), (math.nan, 1.0), (0.0, 0.0), (0.0, math.inf), (0.0, -1.0)]
)
def test_a_slice_that_is_none_is_the_fault_of_the_row(start, seconds):
    assert refused(written(music()), start=start, seconds=seconds).reason is Reason.ROW_INVALID


def test_a_silent_slice_of_a_sounding_clip_is_silent():
    sound = np.concatenate([music(1.0), np.zeros(RATE, np.float32)])
    assert refused(written(sound), start=1.0).reason is Reason.INPUT_SILENT


# --- probing --------------------------------------------------------------------------------------


def test_probing_tells_what_a_file_is():
    info = probe(written(np.stack([music(1.0, 48_000)] * 2, 1), 48_000, "FLAC", "PCM_24"))
    assert (info.seconds, info.sample_rate, info.channels, info.frames) == (1.0, 48_000, 2, 48_000)
    assert (info.format, info.subtype, info.silent) == ("FLAC", "PCM_24", False)
    assert info.peak == pytest.approx(0.6, abs=0.05)


def test_probing_calls_silence_silent_and_no_fault():
    assert probe(written(np.zeros(9000, np.float32))).silent


def test_probing_is_bounded_too():
    with pytest.raises(PairError, match="max_seconds"):
        probe(written(music(2.0)), max_seconds=1)


# --- hostile files --------------------------------------------------------------------------------


def in_a_child(code, timeout=60):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False)


BOMB = """
import resource
from tests.tasks.test_audio import flac_of_constants
from tasks.audio import decode, probe
from tasks.records.reasons import PairError
bomb = flac_of_constants(seconds=36_000, channels=8)
assert len(bomb) < 2e6, len(bomb)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
for attempt in (
    lambda: decode(bomb, sample_rate=22_050, max_seconds=60),
    lambda: probe(bomb),
    lambda: decode(bomb, sample_rate=22_050, start=35_000, seconds=30, max_seconds=60),
):
    try:
        attempt()
    except PairError as error:
        print(error.reason)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_flac_bomb_is_refused_before_it_costs_memory():
    done = in_a_child(BOMB)
    assert done.returncode == 0, done.stderr
    *reasons, megabytes = done.stdout.split()
    assert reasons == ["input_too_long", "input_too_long", "input_silent"]
    assert int(megabytes) < 200


FUZZ = """
import random, sys
from tests.fuzz import sounds
from tests.tasks.test_audio import music, written
random.seed(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
files = [written(music(0.5, 48_000), 48_000, *f) for f in (
    ("WAV", "PCM_16"), ("WAVEX", "FLOAT"), ("RF64", "PCM_24"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"))]
outcomes = {}
for turn in range(480):
    data = bytearray(files[turn % len(files)])
    for _ in range(random.choice((1, 3, 30))):
        at = random.randrange(len(data) if random.random() < 0.5 else min(200, len(data)))
        data[at : at + random.choice((0, 1, 1, 4))] = random.randbytes(random.choice((0, 1, 1, 4, 9)))
    outcome = sounds.check(sounds.mend(bytes(data)) if turn % 3 else bytes(data))
    outcomes[outcome] = outcomes.get(outcome, 0) + 1
print(outcomes)
"""


def test_whatever_bytes_come_it_is_sound_or_a_reason():
    done = in_a_child(FUZZ)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "decode_error" in done.stdout


def test_decoding_brings_no_heavy_library_along():
    heavy = "('torch', 'prefect', 'pandas', 'pyarrow')"
    code = f"import sys, tasks.audio, tasks.store, tasks.roots; print([m for m in {heavy} if m in sys.modules])"
    assert in_a_child(code).stdout.strip() == "[]"


def flac_of_constants(seconds, channels, rate=44_100, block=65_535):
    """A legal FLAC in which every block is one number: some bytes for each second and a half."""
    frames = seconds * rate // block * block
    info = struct_bits(
        (block, 16), (block, 16), (0, 24), (0, 24), (rate, 20), (channels - 1, 3), (15, 5), (frames, 36), (0, 128)
    )
    out = [b"fLaC\x80\0\0\x22", info]
    for number in range(frames // block):
        head = b"\xff\xf8\x79" + bytes([(channels - 1) << 4 | 8]) + utf8_number(number) + (block - 1).to_bytes(2, "big")
        head += bytes([crc(head, 0x07, 8)])
        frame = head + b"\0\x10\0" * channels
        out.append(frame + crc(frame, 0x8005, 16).to_bytes(2, "big"))
    return b"".join(out)


def struct_bits(*fields):
    value = bits = 0
    for number, width in fields:
        value, bits = value << width | number, bits + width
    return value.to_bytes(bits // 8, "big")


def utf8_number(number):
    return chr(number).encode("utf-8", "surrogatepass")


def crc(data, polynomial, width, tables={}):  # noqa: B006
    table = tables.get(polynomial)
    if table is None:
        table = tables[polynomial] = []
        for byte in range(256):
            value = byte << width - 8
            for _ in range(8):
                value = (value << 1 ^ (polynomial if value >> width - 1 else 0)) & (1 << width) - 1
            table.append(value)
    value = 0
    for byte in data:
        value = (value << 8 ^ table[value >> width - 8 ^ byte]) & (1 << width) - 1
    return value
