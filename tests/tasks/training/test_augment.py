from dataclasses import replace

import pytest
import torch

from tasks.training.augment import NOTHING, PITCHES, Augmentation, _turned, excerpt, masked

RATE = 8_000


def tone(hz, seconds=2.0):
    return torch.sin(2 * torch.pi * hz * torch.arange(int(seconds * RATE)) / RATE)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def pitch(signal):
    return float(torch.fft.rfft(signal * torch.hann_window(len(signal))).abs().argmax()) * RATE / len(signal)


@pytest.mark.parametrize(("up", "down"), PITCHES)
@pytest.mark.parametrize("speed", [0.85, 1.0, 1.15])
def test_pitch_and_tempo_change_by_what_was_asked_and_apart(up, down, speed):
    turned = _turned(tone(500), speed, up, down)
    assert len(turned) == pytest.approx(2 * RATE / speed, rel=0.01)
    assert pitch(turned[2_000:-2_000]) == pytest.approx(500 * up / down, rel=0.01)


def test_a_seed_gives_the_same_excerpts_and_another_gives_others():
    first, again, other = (
        [excerpt(tone(500), 4_096, Augmentation(), generator) for _ in range(8)]
        for generator in (seeded(1), seeded(1), seeded(2))
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_excerpts_are_as_long_as_wanted_finite_and_of_every_kind():
    generator, plain = seeded(0), tone(500)
    found = [excerpt(plain, 4_096, Augmentation(), generator) for _ in range(60)]
    assert {len(piece) for piece in found} == {4_096}
    assert all(bool(torch.isfinite(piece).all()) for piece in found)
    levels = torch.stack(found).square().mean(-1).log10() * 10
    assert levels.max() - levels.min() > 9  # of the 12 dB that gain can make
    assert len({round(pitch(piece), -1) for piece in found}) >= 5


def test_nothing_asked_is_a_plain_crop():
    source = torch.arange(10_000.0)
    piece = excerpt(source, 100, NOTHING, seeded(3))
    assert torch.equal(piece, source[int(piece[0]) : int(piece[0]) + 100])


def test_a_source_shorter_than_an_excerpt_goes_round():
    source = torch.arange(30.0)
    piece = excerpt(source, 100, NOTHING, seeded(3))
    assert len(piece) == 100
    assert torch.equal(piece[:30].sort().values, source)


def test_noise_stays_below_its_ratio():
    how = replace(NOTHING, noise_db=20.0)
    source = tone(500)
    found = [excerpt(source, len(source), how, seeded(n)) - source for n in range(40)]
    ratios = [float(-10 * torch.log10(noise.square().mean() / 0.5)) for noise in found if noise.abs().max() > 0]
    assert 3 <= len(ratios) <= 20
    assert min(ratios) > 19.5


def test_masks_silence_a_stretch_and_a_band_and_leave_the_rest():
    x = torch.ones(40, 64, 100)
    found = masked(x, Augmentation(), seeded(0))
    assert bool((x == 1).all())  # what was given stays
    holed = [one for one in found if bool((one == 0).any())]
    assert 3 <= len(holed) <= 20
    for one in holed:
        silent_frames, silent_bins = (one == 0).all(1), (one == 0).all(0)
        assert bool(((one == 0) == (silent_frames[:, None] | silent_bins[None])).all())
        assert int(silent_frames.sum()) <= 16
        assert int(silent_bins.sum()) <= 8
