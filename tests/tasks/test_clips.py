"""The synthesised clips are music enough to stand for it: level, silence, clicks, and how far apart they are."""

import itertools

import numpy as np
import pytest
import torch
import torchaudio

from tasks.clips import CLIPS, CONTENTS, PEAK, STYLES, synthesise

RATE = 22_050
FADE = 441  # samples, 20 ms


@pytest.fixture(scope="module")
def clips() -> dict[str, np.ndarray]:
    return {name: make() for name, make in CLIPS.items()}


def log_mel(clip: np.ndarray) -> torch.Tensor:
    """Log power in 48 mel bands, shape (48, frames)."""
    window = torch.hann_window(1_024)
    power = torch.stft(torch.from_numpy(clip), 1_024, 256, window=window, return_complex=True).abs().square()
    bands: torch.Tensor = torchaudio.functional.melscale_fbanks(513, 50, 11_025, 48, RATE).T @ power
    return (bands + 1e-6).log()


def loudness(clip: np.ndarray, rate: int) -> float:
    return float(torchaudio.functional.loudness(torch.from_numpy(clip)[None], rate))


def test_contents_and_styles_are_all_the_clips() -> None:
    assert len(CONTENTS) >= 4
    assert len(STYLES) >= 4
    assert set(CONTENTS) | set(STYLES) == set(CLIPS)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(("seconds", "rate"), [(4.0, RATE), (2.5, 44_100), (10.0, 16_000)])
def test_a_clip_has_the_promised_shape_and_level(name: str, seconds: float, rate: int) -> None:
    clip = synthesise(name, seconds, rate)
    assert clip.shape == (round(seconds * rate),)
    assert clip.dtype == np.float32
    assert np.abs(clip).max() <= PEAK
    assert loudness(clip, rate) == pytest.approx(-18, abs=1)
    assert abs(clip.mean()) < 1e-5


def test_the_same_seed_gives_the_same_clip_and_another_seed_another() -> None:
    for name in CLIPS:
        first = synthesise(name, 1.0, seed=3)
        assert np.array_equal(first, synthesise(name, 1.0, seed=3))
        assert not np.array_equal(first, synthesise(name, 1.0, seed=4))


def test_no_clip_is_silent_for_a_quarter_second(clips: dict[str, np.ndarray]) -> None:
    for name, clip in clips.items():
        blocks = clip[: len(clip) // 5_512 * 5_512].reshape(-1, 5_512)
        assert np.sqrt(np.square(blocks).mean(1)).min() > 10 ** (-40 / 20), name


def test_clips_begin_and_end_without_a_click(clips: dict[str, np.ndarray]) -> None:
    for name, clip in clips.items():
        for end in (clip[:FADE], clip[::-1][:FADE]):
            assert abs(end[0]) < 1e-4, name
            assert np.abs(end[: FADE // 10]).max() < 0.05, name


def test_any_two_clips_differ_in_their_spectrum(clips: dict[str, np.ndarray]) -> None:
    """Root mean square distance of mean and spread in each mel band, in nepers of power: 2 is some 9 dB."""
    statistics = {}
    for name, clip in clips.items():
        bands = log_mel(clip)
        statistics[name] = torch.cat([bands.mean(1), bands.std(1)])
    for one, other in itertools.combinations(clips, 2):
        assert (statistics[one] - statistics[other]).square().mean().sqrt() > 2, (one, other)


def test_contents_move(clips: dict[str, np.ndarray]) -> None:
    """A melody: the strongest band changes several times."""
    for name in CONTENTS:
        strongest = log_mel(clips[name]).argmax(0)
        assert len(set(strongest.tolist())) >= 4, name
