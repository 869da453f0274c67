import math

import pytest
import torch

from tasks.transfer import image
from tasks.transfer.image import spread
from tests.tasks.transfer.sounds import RATE, clip

N_FFT, HOP = 512, 128
EPS = 2.0**-23


def noise(samples, seed=0):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def tone(hertz, seconds=2.0):
    return 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(round(seconds * RATE)) / RATE)


def level_db(signal):
    return 10 * float(torch.log10(signal.pow(2).sum().clamp_min(1e-30)))


def apart(found, wanted):
    """dB of the error below what was wanted."""
    return level_db(found - wanted) - level_db(wanted)


def band(channels, seconds=2.0):
    """Instruments at different places of a stage, and a hall that is another in each channel."""
    places = torch.linspace(0, 1, 4)
    voices = torch.stack([clip(name, seconds) for name in ("pluck", "drums", "flute", "bells")])
    seats = torch.linspace(0, 1, channels)
    gains = torch.relu(1 - (places[:, None] - seats).abs())
    hall = torch.stack([noise(voices.shape[-1], n) for n in range(channels)])
    return gains.T @ voices + 0.1 * hall


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_the_mean_of_the_channels_is_the_result(channels):
    content = band(channels)
    result = clip("strings", 2.0)
    found = spread(result, content, N_FFT, HOP)
    assert found.shape == content.shape
    # Each channel is rounded once, and each sum of the mean: an epsilon of the largest sample for every channel.
    assert (found.mean(0) - result).abs().max() < channels * EPS * found.abs().max()


def test_content_that_is_mono_in_two_channels_gives_two_equal_channels():
    mono = clip("pluck", 2.0)
    found = spread(clip("drums", 2.0), mono.expand(2, -1), N_FFT, HOP)
    assert torch.equal(found[0], found[1])


def test_one_channel_is_the_result_itself():
    result = clip("drums", 2.0)
    assert torch.equal(spread(result, clip("pluck", 2.0)[None], N_FFT, HOP)[0], result)


@pytest.mark.parametrize("channels", [2, 6])
def test_a_tone_in_one_channel_alone_stays_there(channels):
    content = torch.zeros(channels, 2 * RATE)
    content[1] = tone(440)
    result = clip("drums", 2.0)  # also where the content has next to nothing
    found = spread(result, content, N_FFT, HOP)
    inner = slice(N_FFT, -N_FFT)
    assert apart(found[1, inner], channels * result[inner]) < -60
    others = torch.cat([found[:1], found[2:]])
    assert level_db(others[:, inner]) < level_db(found[1, inner]) - 60


def test_two_tones_on_two_sides_stay_on_their_sides():
    content = torch.stack([tone(440), tone(1_760)])
    found = spread(content.mean(0) * 0.5, content, N_FFT, HOP)
    assert apart(found[:, N_FFT:-N_FFT], 0.5 * content[:, N_FFT:-N_FFT]) < -30


def test_sides_that_are_swapped_come_out_swapped():
    content, result = band(2), clip("strings", 2.0)
    assert torch.equal(spread(result, content.flip(0), N_FFT, HOP), spread(result, content, N_FFT, HOP).flip(0))


@pytest.mark.parametrize("channels", [2, 6])
def test_the_mix_of_the_content_gives_its_channels_back(channels):
    content = band(channels)
    # Exact but for the bins that cancel in mono beyond the bound.
    assert apart(spread(content.mean(0), content, N_FFT, HOP), content) < -20


def test_a_louder_result_is_louder_in_every_channel_and_a_louder_content_is_the_same_image():
    content, result = band(2), clip("strings", 2.0)
    found = spread(result, content, N_FFT, HOP)
    assert torch.equal(spread(4 * result, content, N_FFT, HOP), 4 * found)
    assert apart(spread(result, content / 64, N_FFT, HOP), found) < -100


def test_channels_that_cancel_in_mono_are_bounded():
    side = clip("pluck", 2.0)
    content = torch.stack([side, -0.999 * side])
    result = clip("drums", 2.0)
    found = spread(result, content, N_FFT, HOP)
    width = level_db(found[0] - found[1]) - level_db(found[0] + found[1])
    assert 3 < width < 20 * math.log10(image.BOUND) + 0.1  # wide still, and not by the 66 dB of the content


@pytest.mark.parametrize("silent", ["content", "result", "a channel"])
def test_silence_is_no_trouble(silent):
    content, result = band(2), clip("strings", 2.0)
    if silent == "result":
        result = torch.zeros_like(result)
    content[slice(None) if silent == "content" else slice(1 if silent == "a channel" else 2, None)] = 0
    found = spread(result, content, N_FFT, HOP)
    assert torch.isfinite(found).all()
    if silent == "content":
        assert torch.equal(found, result.expand(2, -1))
    if silent == "result":
        assert not found.any()


@pytest.mark.parametrize("frames", [16, 37, 100])
def test_there_is_no_seam_where_blocks_meet(frames, monkeypatch):
    content, result = band(2), clip("strings", 2.0)
    at_once = spread(result, content, N_FFT, HOP)
    monkeypatch.setattr(image, "BLOCK_FRAMES", frames)
    # The same frames, summed in the same order: rounding of a transform of another number of rows at most.
    assert (spread(result, content, N_FFT, HOP) - at_once).abs().max() < 8 * EPS


@pytest.mark.parametrize("samples", [1, 127, 128, 511, 513, 5_000])
def test_any_length_keeps_its_length(samples):
    content = band(2)[:, :samples]
    found = spread(content.mean(0), content, N_FFT, HOP)
    assert found.shape == (2, samples)
    assert apart(found, content) < -15


@pytest.mark.parametrize("channels", [2, 6])
def test_the_image_is_the_same_for_any_number_of_threads(channels, threads):
    content, result = band(channels, 1.0), clip("strings", 1.0)
    found = spread(result, content, N_FFT, HOP)
    torch.set_num_threads(1)
    assert torch.equal(found, spread(result, content, N_FFT, HOP))
