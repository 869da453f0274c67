import pytest
import torch
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from tasks.transfer import limiter
from tasks.transfer.limiter import REACH_SECONDS, STEP
from tasks.transfer.quality import true_peak_dbtp, true_peaks
from tests.tasks.transfer.sounds import clip

RATE = 22_050


def limit(signal, peak_dbtp, rate):
    return limiter.limit(signal, true_peaks(signal, STEP), peak_dbtp, rate)


def bumps(at, seconds=1.0, level=0.1, height=1.0):
    """Quiet noise in two channels, with clicks in the first."""
    signal = level * torch.rand(2, round(seconds * RATE), generator=torch.Generator().manual_seed(0)) - level / 2
    for place in at:
        signal[0, place] = height
    return signal


@given(st.lists(st.integers(0, RATE - 1), max_size=8), st.floats(-20, 0))
@given_settings(deadline=None, max_examples=60)
def test_no_true_peak_is_above_the_limit_wherever_peaks_are(at, peak):
    # The gain moves between the oversampled points: some hundredths of a decibel are left to a last trim.
    assert true_peak_dbtp(limit(bumps(at), peak, RATE)) <= peak + 0.1


def test_what_stays_below_the_limit_comes_back_bit_for_bit():
    signal = bumps([])
    assert limit(signal, -1.0, RATE) is signal


def test_only_what_is_within_reach_of_a_peak_is_turned_down_and_all_channels_alike():
    signal, reach = bumps([RATE // 2]), round(2 * REACH_SECONDS * RATE) + 4 * STEP
    gain = limit(signal, -6.0, RATE) / signal
    assert torch.equal(gain[:, : RATE // 2 - reach].nan_to_num(1.0), torch.ones(2, RATE // 2 - reach))
    torch.testing.assert_close(gain[0, RATE // 2 - 9 : RATE // 2], gain[1, RATE // 2 - 9 : RATE // 2])
    assert torch.equal(gain[:, RATE // 2 + reach :].nan_to_num(1.0), torch.ones_like(gain[:, RATE // 2 + reach :]))
    assert 20 * float(gain[1, RATE // 2].log10()) == pytest.approx(
        -6.0, abs=0.5
    )  # a click is a little higher between its samples


def test_the_rest_stays_as_loud_as_it_was_behind_a_peak_and_before_it():
    music = torch.cat([clip("organ", 1.0)[None]] * 2)
    music = music / music.abs().max() * 0.25
    music[:, 4_000] = 1.0
    limited = limit(music, -10.0, 8_000)
    rest = torch.cat([torch.arange(0, 3_800), torch.arange(4_200, music.shape[1])])
    assert torch.equal(limited[:, rest], music[:, rest])
    assert float(limited.abs().max()) <= 10 ** (-10 / 20) * 1.01


def test_peaks_by_steps_are_those_of_the_whole():
    signal = bumps([5, 9_000, 22_049])
    steps = true_peaks(signal, STEP)
    assert len(steps) == -(-signal.shape[1] // STEP)
    assert 20 * float(steps.max().log10()) == pytest.approx(true_peak_dbtp(signal), abs=1e-6)
    assert [float(steps[n]) >= 1 for n in (0, 100, -1)] == [True, False, True]
