import math

import pytest
import torch

from tasks.transfer import quality
from tests.tasks.transfer.sounds import clip

RATE = 22_050


def tone(hz, seconds=2.0, level=1.0, rate=RATE, phase=0.0):
    turn = 2 * torch.pi * hz * torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (level * torch.sin(turn + phase)).float()


def test_a_full_scale_tone_at_997_hz_has_the_loudness_of_the_standard():
    # BS.1770: a 0 dBFS sine at 997 Hz reads -3.01 LKFS in one channel; the filters' rounding is within a tenth.
    assert abs(quality.loudness_lufs(tone(997), RATE) + 3.01) < 0.1


def test_ten_decibels_less_are_ten_units_less():
    loud, quiet = (quality.loudness_lufs(tone(997, level=level), RATE) for level in (1.0, 10**-0.5))
    assert abs(loud - quiet - 10) < 0.01


def test_silence_has_no_loudness_and_a_short_clip_has_one():
    assert quality.loudness_lufs(torch.zeros(RATE), RATE) == -math.inf
    assert abs(quality.loudness_lufs(tone(997, 0.2), RATE) + 3.01) < 0.5


def test_a_peak_between_samples_is_found():
    # A quarter of the rate, an eighth turned: every sample is 3 dB below the peak.
    signal = tone(RATE / 4, phase=math.pi / 4)
    assert abs(20 * math.log10(float(signal.abs().max())) + 3.01) < 0.01
    assert abs(quality.true_peak_dbtp(signal)) < 0.3  # the standard allows 0.4 dB below full scale


def test_the_share_of_silence_is_counted_in_time():
    assert quality.silence_share(torch.cat([tone(440, 1.0), torch.zeros(RATE)]), RATE) == pytest.approx(0.5, abs=0.05)


def test_a_snippet_of_the_style_is_found_and_something_else_is_not():
    style = clip("bells", 3.0, RATE)
    copied = clip("drums", 3.0, RATE)
    copied[RATE : 2 * RATE] = 0.5 * style[RATE // 3 : RATE // 3 + RATE]
    assert quality.style_copy(copied, style, RATE) > 0.999  # a copy is a copy at any level
    assert quality.style_copy(clip("drums", 3.0, RATE), style, RATE) < 0.5


def test_chroma_is_alike_for_the_same_notes_and_unlike_for_others():
    same = quality.chroma_similarity(tone(440) + tone(660), tone(880) + tone(660), RATE)
    other = quality.chroma_similarity(tone(440), tone(622.25), RATE)
    assert same > 0.5
    assert other < 0.3


def test_onsets_are_alike_for_the_same_rhythm():
    drums = clip("drums", 3.0, RATE)
    assert quality.onset_correlation(0.3 * drums, drums, RATE) > 0.9
    assert quality.onset_correlation(drums.roll(RATE // 5), drums, RATE) < 0.5


def test_timbre_is_equal_to_itself_and_far_from_another():
    drums, bells = clip("drums", 2.0, RATE), clip("bells", 2.0, RATE)
    assert quality.timbre_distance(drums, drums, RATE) == 0
    assert quality.timbre_distance(bells, drums, RATE) > 0.1


def test_losses_of_the_content_are_nothing_in_content_and_of_the_style_nothing_in_style(settings):
    content, style = clip("pluck", 1.0), clip("drums", 1.0)
    for losses in (
        lambda w: quality.relative_losses(w, content, style, settings()),
        lambda w: quality.heldout_losses(w, content, style, settings(), 1),
    ):
        assert abs(losses(content)[0]) < 1e-5  # float32
        assert abs(losses(style)[1]) < 1e-5
        assert losses(content)[1] > 0.05
        assert losses(style)[0] > 0.05
