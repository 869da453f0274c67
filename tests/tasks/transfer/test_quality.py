import math

import pytest
import soxr
import torch
import torchaudio

from tasks.transfer import quality
from tests.tasks.transfer.sounds import clip

RATE = 22_050


def tone(hz, seconds=2.0, level=1.0, rate=RATE, phase=0.0):
    turn = 2 * torch.pi * hz * torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (level * torch.sin(turn + phase)).float()


def by_ear(figure, signal, other, rate):
    return figure(quality.heard(signal, rate), quality.heard(other, rate))


def test_a_full_scale_tone_at_997_hz_has_the_loudness_of_the_standard():
    # BS.1770: a 0 dBFS sine at 997 Hz reads -3.01 LKFS in one channel; the filters' rounding is within a tenth.
    assert abs(quality.loudness_lufs(tone(997), RATE) + 3.01) < 0.1


def test_ten_decibels_less_are_ten_units_less():
    loud, quiet = (quality.loudness_lufs(tone(997, level=level), RATE) for level in (1.0, 10**-0.5))
    assert abs(loud - quiet - 10) < 0.01


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100])
def test_the_loudness_of_a_long_signal_is_that_of_torchaudio_at_once(rate):
    noise = 0.1 * torch.randn(20 * rate, generator=torch.Generator().manual_seed(0))
    noise[5 * rate : 9 * rate] *= 0.01  # below the relative gate
    noise[12 * rate : 14 * rate] = 0.0  # below the absolute one
    whole = float(torchaudio.functional.loudness(noise[None], rate))
    assert quality.loudness_lufs(noise, rate) == pytest.approx(whole, abs=1e-3)  # float32 means on its side


def test_the_filters_of_the_loudness_see_a_few_seconds_at_a_time(monkeypatch):
    seen = []
    real = torch.fft.rfft
    monkeypatch.setattr(torch.fft, "rfft", lambda part, *n: seen.append(part.numel()) or real(part, *n))
    quality.loudness_lufs(tone(997, 60.0), RATE)
    assert max(seen) < 15 * RATE


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
    same = by_ear(quality.chroma_similarity, tone(440) + tone(660), tone(880) + tone(660), RATE)
    other = by_ear(quality.chroma_similarity, tone(440), tone(622.25), RATE)
    assert same > 0.5
    assert other < 0.3


def test_onsets_are_alike_for_the_same_rhythm():
    drums = clip("drums", 3.0, RATE)
    assert by_ear(quality.onset_correlation, 0.3 * drums, drums, RATE) > 0.9
    assert by_ear(quality.onset_correlation, drums.roll(RATE // 5), drums, RATE) < 0.5


def test_timbre_is_equal_to_itself_and_far_from_another():
    drums, bells = clip("drums", 2.0, RATE), clip("bells", 2.0, RATE)
    assert by_ear(quality.timbre_distance, drums, drums, RATE) == 0
    assert by_ear(quality.timbre_distance, bells, drums, RATE) > 0.1


# --- long signals and other rates -------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 7, 64])
@pytest.mark.parametrize("figure", [quality.chroma_similarity, quality.onset_correlation, quality.timbre_distance])
def test_a_figure_is_the_same_in_blocks_and_at_once(figure, frames, monkeypatch):
    signal, other = clip("pluck", 3.0, RATE), clip("drums", 2.0, RATE)[: round(1.9 * RATE)]
    other = torch.nn.functional.pad(other, (0, len(signal) - len(other)))
    at_once = by_ear(figure, signal, other, RATE)
    monkeypatch.setattr(quality, "BLOCK_FRAMES", frames)
    assert by_ear(figure, signal, other, RATE) == pytest.approx(
        at_once, abs=1e-6
    )  # a product of another number of rows


@pytest.mark.parametrize("samples", [100, 4096, 44_099])
def test_a_true_peak_is_the_same_in_blocks_and_at_once(samples, monkeypatch):
    signal = clip("drums", 2.0, RATE)
    at_once = quality.true_peak_dbtp(signal)
    monkeypatch.setattr(quality, "BLOCK_SAMPLES", samples)
    assert quality.true_peak_dbtp(signal) == pytest.approx(at_once, abs=1e-5)


@pytest.mark.parametrize("place", [99, 100, 101])
def test_a_peak_between_the_samples_of_two_blocks_is_found(place, monkeypatch):
    # Two equal samples in silence: half way between them a band-limited signal is 4 / pi as high.
    signal = torch.zeros(300)
    signal[place - 1 : place + 1] = 0.5
    monkeypatch.setattr(quality, "BLOCK_SAMPLES", 100)
    assert quality.true_peak_dbtp(signal) == pytest.approx(20 * math.log10(0.5 * 4 / math.pi), abs=0.1)


def test_the_true_peak_of_channels_is_that_of_the_loudest():
    channels = torch.stack([clip("drums", 1.0, RATE), 0.5 * clip("bells", 1.0, RATE)])
    assert quality.true_peak_dbtp(channels) == max(quality.true_peak_dbtp(c) for c in channels)


@pytest.mark.parametrize("style_seconds", [0.3, 0.5, 0.7, 3.0, 6.1])
def test_a_style_copy_is_the_largest_correlation_that_there_is(style_seconds):
    rate = 400  # slow enough to try every place
    style = torch.randn(round(style_seconds * rate), generator=torch.Generator().manual_seed(0))
    signal = torch.randn(5 * rate, generator=torch.Generator().manual_seed(1))
    size = min(rate // 2, len(style))
    snippets, places = signal.unfold(0, size, size // 2), style.unfold(0, size, 1)
    cosines = torch.nn.functional.normalize(snippets, dim=-1) @ torch.nn.functional.normalize(places, dim=-1).T
    assert quality.style_copy(signal, style, rate) == pytest.approx(float(cosines.abs().max()), abs=1e-5)


@pytest.mark.parametrize("at", [0.0, 57.3, 119.5])
def test_what_is_copied_from_anywhere_in_a_long_style_is_found(at):
    rate = 1_000
    style = torch.randn(120 * rate, generator=torch.Generator().manual_seed(0))
    signal = torch.randn(2 * rate, generator=torch.Generator().manual_seed(1))
    signal[-500:] = style[round(at * rate) :][:500]
    assert quality.style_copy(signal, style, rate) > 0.999


def test_a_long_signal_is_sampled_from_its_beginning_to_its_end():
    rate = 1_000
    style = torch.randn(2 * rate, generator=torch.Generator().manual_seed(0))
    signal = torch.randn(200 * rate, generator=torch.Generator().manual_seed(1))
    for place in (0, len(signal) - 500):
        copied = signal.clone()
        copied[place : place + 500] = style[700:1200]
        assert quality.style_copy(copied, style, rate) > 0.999


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_chroma_tells_the_same_notes_at_every_rate(rate):
    chord, octave, other = (sum(tone(hz, rate=rate) for hz in hertz) for hertz in ((440, 660), (880, 660), (466, 622)))
    assert by_ear(quality.chroma_similarity, chord, octave, rate) > 0.5
    assert by_ear(quality.chroma_similarity, chord, other, rate) < 0.3


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_figures_do_not_depend_on_the_rate(rate):
    fine = [clip(name, 4.0, RATE) for name in ("pluck", "drums")]
    finer = [torch.from_numpy(soxr.resample(sound.numpy(), RATE, rate)) for sound in fine]
    # Hops of 21 to 23 ms do not meet the same instants, and the finest bands lie where the lower rate has nothing.
    for figure, tolerance in ((quality.chroma_similarity, 0.1), (quality.onset_correlation, 0.1)):
        assert by_ear(figure, *finer, rate) == pytest.approx(by_ear(figure, *fine, RATE), abs=tolerance)
    mean, finer_mean = (quality.heard(s, r).log_mel.mean() for s, r in ((fine[0], RATE), (finer[0], rate)))
    assert 0.5 < finer_mean / mean < 1.1  # fewer of its bands hold something; their scale is the same
