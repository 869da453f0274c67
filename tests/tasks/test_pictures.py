"""What a spectrogram shows is where it belongs, and pictures on one scale can be compared."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.pictures import drawn, spectrogram
from tasks.scale import HEIGHT, HIGHEST_HZ, LOWEST_HZ, RANGE_DB, WIDTH

RATE = 22_050


def tone(hz, seconds=3.0, rate=RATE, level=0.5):
    return level * torch.sin(2 * math.pi * hz * torch.arange(int(seconds * rate)) / rate)


def levels(png):
    """The picture as numbers of colours, low bands first."""
    return np.array(Image.open(io.BytesIO(png)))[::-1]


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
@pytest.mark.parametrize("hz", [200, 1_000, 3_500])
def test_a_tone_lies_in_the_band_of_its_frequency_at_every_rate(hz, rate):
    band = int(spectrogram(tone(hz, rate=rate), rate).mean(1).argmax())
    edges = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (np.arange(HEIGHT + 1) / HEIGHT)
    assert edges[band - 1] <= hz <= edges[min(band + 2, HEIGHT)], "a low band is narrower than a bin"


def test_a_click_lies_in_the_column_of_its_time():
    signal = torch.zeros(10 * RATE)
    signal[int(2.5 * RATE)] = 1.0
    power = spectrogram(signal, RATE)
    assert power.shape == (HEIGHT, WIDTH)
    assert abs(int(power.sum(0).argmax()) - WIDTH // 4) <= 2


def test_a_long_track_is_as_wide_as_a_short_one_and_a_very_short_one_has_a_column_for_each_frame():
    assert spectrogram(tone(440, 120.0), RATE).shape == (HEIGHT, WIDTH)
    assert spectrogram(tone(440, 0.2), RATE).shape[1] == int(0.2 * RATE) // 512 + 1


def test_pictures_that_are_drawn_together_share_their_scale():
    loud, quiet = (levels(png) for png in drawn([spectrogram(tone(440, level=a), RATE) for a in (1.0, 10**-1.2)]))
    assert (loud.max(), quiet.max()) == (15, round(15 * (1 - 24 / RANGE_DB)))
    assert loud.shape == quiet.shape == (HEIGHT, spectrogram(tone(440), RATE).shape[1])


def test_silence_is_dark():
    [png] = drawn([spectrogram(torch.zeros(RATE), RATE)])
    assert (levels(png) == 0).all()
