from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.transfer.buckets import padded_frames
from tasks.transfer.segments import Segment, correlation, cut, join, weights
from tasks.transfer.spectrogram import frames_of
from tests.bench.seams import seams
from tests.tasks.transfer.sounds import clip

RATE = 8_000
EPS = 2.0**-23


@st.composite
def tracks(draw):
    """(samples, longest, overlap, hop): any that make sense."""
    hop = draw(st.sampled_from([1, 64, 100, 512]))
    overlap = draw(st.integers(0, 3_000))
    longest = draw(st.integers(4 * (overlap + 2 * hop), 4 * (overlap + 2 * hop) + 20_000))
    return draw(st.integers(1, 20 * longest)), longest, overlap, hop


def noise(samples, seed):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def noises(segments):
    return [noise(s.samples, n) for n, s in enumerate(segments)]


# --- cutting --------------------------------------------------------------------------------------


@given(tracks())
def test_segments_cover_a_track_from_its_first_sample_to_its_last(track):
    samples, _, overlap, hop = track
    segments = cut(*track)
    assert (segments[0].start, segments[-1].stop) == (0, samples)
    for before, after in pairwise(segments):
        assert overlap <= before.stop - after.start < overlap + 2 * hop


@given(tracks())
def test_segments_begin_on_a_hop_and_are_no_longer_than_allowed(track):
    _, longest, _, hop = track
    segments = cut(*track)
    assert all(s.start % hop == 0 for s in segments)
    assert all(s.samples <= longest for s in segments) or len(segments) == 1


@given(tracks())
def test_segments_of_a_track_are_of_one_length_and_share_a_bucket(track):
    segments = cut(*track)
    assert len({s.samples for s in segments}) == 1
    assert len({padded_frames(frames_of(s.samples, track[3])) for s in segments}) == 1


@given(tracks())
def test_no_sample_lies_in_three_segments(track):
    segments = cut(*track)
    assert all(a.stop <= c.start for a, c in zip(segments, segments[2:], strict=False))


@given(tracks())
def test_a_track_has_no_more_segments_than_it_needs(track):
    samples, longest, overlap, hop = track
    segments = cut(*track)
    assert (len(segments) == 1) == (samples <= 1.5 * longest)
    fewer = len(segments) - 1
    if fewer > 1:  # even overlaps to the sample would not do with one less, but for the rounding to hops
        assert fewer * (longest - 2 * hop) - (fewer - 1) * overlap < samples


@given(tracks())
def test_the_shares_of_the_segments_are_all_of_the_track(track):
    shares = weights(cut(*track))
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_the_shares_of_two_segments_meet_in_the_middle_of_their_overlap():
    assert weights([Segment(0, 600), Segment(400, 1_000)]) == (0.5, 0.5)
    assert weights([Segment(0, 400), Segment(200, 1_000)]) == pytest.approx((0.3, 0.7))


def test_segments_that_would_overlap_their_neighbours_but_one_are_refused():
    with pytest.raises(ValueError, match="four times"):
        cut(100_000, 4_000, 1_000, 128)


# --- joining --------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(track=tracks(), seed=st.integers(0, 99))
def test_slices_of_a_signal_join_to_the_signal(track, seed):
    signal, segments = noise(track[0], seed), cut(*track)
    joined = join([s.of(signal) for s in segments], segments)
    assert joined.shape == signal.shape
    # The correlation is 1 but for its own rounding, and the two shares of a sample are rounded apart.
    assert torch.allclose(joined, signal, rtol=8 * EPS, atol=0)


@settings(max_examples=30, deadline=None)
@given(track=tracks())
def test_outside_the_overlaps_a_segment_is_passed_on_as_it_is(track):
    segments = cut(*track)
    waveforms = noises(segments)
    joined = join(waveforms, segments)
    starts = [0, *(s.stop for s in segments[:-1])]
    ends = [*(s.start for s in segments[1:]), track[0]]
    for segment, waveform, start, end in zip(segments, waveforms, starts, ends, strict=True):
        assert torch.equal(joined[start:end], waveform[start - segment.start : end - segment.start])


def test_channels_are_joined_by_one_law():
    segments = cut(40_000, 10_000, 1_000, 128)
    stereo = [torch.stack([w, 2 * w]) for w in noises(segments)]
    joined = join(stereo, segments)
    assert joined.shape == (2, 40_000)
    assert torch.equal(joined[1], 2 * joined[0])


def level_db(signal):
    return 10 * torch.log10(signal.pow(2).mean(-1))


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7, 0.95, 1.0])
def test_the_level_through_a_seam_stays_whatever_the_neighbours_have_in_common(rho):
    overlap, both = 64_000, noise(64_000, 0)
    sides = [rho**0.5 * both + (1 - rho) ** 0.5 * noise(overlap, n) for n in (1, 2)]
    segments = [Segment(0, overlap), Segment(0, overlap)]
    assert correlation(*sides) == pytest.approx(rho, abs=0.02)
    joined = join(sides, segments)
    # 32 windows of 2000 samples of noise: the level of one strays by 10 / ln 10 * sqrt(2 / 2000) = 0.14 dB.
    levels = level_db(joined.reshape(32, -1))
    assert (levels - level_db(both)).abs().max() < 0.6
    assert abs(levels[12:20].mean() - levels[:4].mean()) < 0.25  # a linear fade of independent sides: -3 dB


def test_opposite_neighbours_are_faded_as_independent_ones_and_stay_finite():
    segments = [Segment(0, 1_000), Segment(0, 1_000)]
    a = noise(1_000, 0)
    joined = join([a, -a], segments)
    assert torch.isfinite(joined).all()
    assert joined.abs().max() <= a.abs().max()


def test_silence_joins_silence():
    segments = cut(40_000, 10_000, 1_000, 128)
    assert not join([torch.zeros(s.samples) for s in segments], segments).any()


def test_joining_is_the_same_for_any_number_of_threads(threads):
    segments = cut(400_000, 100_000, 20_000, 512)
    waveforms = noises(segments)
    before = torch.get_num_threads()
    joined = join(waveforms, segments)
    torch.set_num_threads(1)
    assert torch.equal(joined, join(waveforms, segments))
    torch.set_num_threads(before)


# --- seams ----------------------------------------------------------------------------------------


@pytest.fixture
def long_track():
    return cut(60 * RATE, 10 * RATE, 2 * RATE, 128)


def test_seams_of_independent_noises_are_no_louder_and_change_no_more_than_the_rest(long_track):
    found = seams(join(noises(long_track), long_track), long_track, RATE)
    # Some 150 windows lie in the overlaps: their quantiles stray by a few hundredths of what one window strays.
    assert max(map(abs, found.level.more)) < 0.3
    assert max(map(abs, found.flux.more)) < 0.05


def test_the_figures_see_a_dip_and_a_bump(long_track):
    signal = noise(60 * RATE, 0)
    for gain_db in (-3.0, 3.0):
        heard = signal.clone()
        for before, after in pairwise(long_track):
            heard[after.start : before.stop] *= 10 ** (gain_db / 20)
        assert seams(heard, long_track, RATE).level.more[0] == pytest.approx(gain_db, abs=0.3)
        assert seams(heard, long_track, RATE, reference=signal).level.more[0] == pytest.approx(gain_db, abs=0.05)


def test_the_figures_see_a_click():
    short = cut(60 * RATE, 10 * RATE, RATE // 40, 128)
    melody = clip("pluck", 60.0, RATE)
    sound, clicked = melody, melody.clone()
    for before, after in pairwise(short):
        clicked[(before.stop + after.start) // 2] += 0.5
    assert seams(clicked, short, RATE).flux.more[0] > seams(sound, short, RATE).flux.more[0] + 0.5
