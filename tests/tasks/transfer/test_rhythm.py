from dataclasses import replace

import pytest
import torch

from tasks.transfer.features import Part, Reference, losses_of
from tasks.transfer.features.rhythm import LONGEST, Meter, Rhythm, bands
from tasks.transfer.item import Item, Style
from tasks.transfer.judge import relative_losses
from tasks.transfer.references import spectrogram_of
from tasks.transfer.spectrogram import frames_of, mask
from tests.tasks.transfer.sounds import RATE, outcomes

FRAMES, BINS = 60, 33


def clicks(period, seconds=4.0):
    """Short bursts of noise every `period` seconds."""
    generator = torch.Generator().manual_seed(0)
    track = 0.001 * torch.randn(int(seconds * RATE), generator=generator)
    for n in range(int(seconds / period)):
        start = int(n * period * RATE)
        burst = torch.randn(800, generator=generator) * torch.exp(-torch.arange(800) / 150)
        track[start : start + 800] += 0.5 * burst[: len(track) - start]
    return track


def repeats(signal, settings):
    """Lags in seconds, and r of a signal, the mean over its bands."""
    x = spectrogram_of(signal, settings, frames_of(len(signal), settings.hop_length))
    meter = Meter.of(x, settings)
    found, _ = meter(x, [torch.ones(1, x.shape[1])])
    return meter.lags * settings.hop_length / settings.sample_rate, found[0].mean(0)


def period_of(signal, settings):
    """The lag of the highest peak below a second, seconds."""
    lags, found = repeats(signal, settings)
    return float(lags[lags < 0.85][found[lags < 0.85].argmax()])


def reference(dtype=torch.float32, strength=1.0, size=FRAMES):
    generator = torch.Generator().manual_seed(0)
    content, first, second = torch.rand(3, 2, size, BINS, generator=generator, dtype=dtype)
    own, other = torch.tensor([FRAMES, FRAMES - 7]), torch.tensor([FRAMES - 3, FRAMES])

    def ended(rows, frames):
        return rows * mask(frames, size, dtype)[..., None]

    parts = (Part.unbroken(ended(first, other), other, 0.7), Part.unbroken(ended(second, own), own, 0.3))
    return Reference(ended(content, own), own, parts, strength)


def test_the_gradient_is_the_gradient(settings):
    # 8 frames a second, so that 60 of them hold lags from one frame to three seconds.
    rhythm = Rhythm.of(reference(torch.float64, 0.4), settings(sample_rate=1_024))
    x = torch.rand(2, FRAMES, BINS, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(rhythm, (x,), fast_mode=True)


def test_r_is_the_mean_product_of_loudness_and_itself_later(settings):
    x = reference(torch.float64).content[:1]
    meter = Meter.of(x, settings(sample_rate=1_024))
    run = torch.arange(2).repeat_interleave(30)[None]
    found, shares = meter(x, [(run == n).double() for n in (0, 1)])
    level = x[0] @ meter.bands.T
    level = level - level.mean(0)
    for n, lag in enumerate(meter.lags.tolist()):
        pairs = [(t, t + lag) for t in range(FRAMES - lag) if run[0, t] == run[0, t + lag]]
        wanted = sum(level[t] * level[later] for t, later in pairs) / len(pairs)
        torch.testing.assert_close(found[0, :, n], wanted / (level.square().mean(0) + 1e-4))
        assert float(shares[0, n]) == pytest.approx(len(pairs) / FRAMES)


def test_a_batch_equals_its_clips_one_by_one(settings, threads):
    given, wanted = reference(), settings(rhythm_weight=1.0)
    x = torch.rand(2, FRAMES, BINS, generator=torch.Generator().manual_seed(1))
    rhythm = Rhythm.of(given, wanted)
    for n in (0, 1):
        one = torch.tensor([n])
        assert torch.equal(Rhythm.of(given.select(one), wanted)(x[one]), rhythm(x)[one])
        assert torch.equal(rhythm.select(one)(x[one]), rhythm(x)[one])


def test_padding_and_what_lies_in_it_changes_nothing(settings):
    wanted = settings(sample_rate=1_024)
    x = torch.rand(2, FRAMES + 9, BINS, generator=torch.Generator().manual_seed(1))
    long = reference(size=FRAMES + 9)
    short = Reference(
        long.content[:, :FRAMES],
        long.content_frames,
        tuple(replace(part, rows=part.rows[:, :FRAMES], run=part.run[:, :FRAMES]) for part in long.styles),
    )
    # A transform of another length rounds otherwise.
    torch.testing.assert_close(Rhythm.of(long, wanted)(x), Rhythm.of(short, wanted)(x[:, :FRAMES]), rtol=1e-4, atol=0)


def test_every_bin_is_in_one_band_and_no_band_is_empty():
    for bins, rate in ((129, 8_000), (1_025, 22_050), (129, 192_000)):
        found = bands(bins, rate)
        assert ((found > 0).sum(0) == 1).all()
        torch.testing.assert_close(found.sum(-1), torch.ones(len(found)))


def test_the_rhythm_of_the_content_itself_is_no_distance_and_another_tempo_is_one(settings):
    slow, fast = clicks(0.6), clicks(0.45)

    def distance(x, style):
        rows = [spectrogram_of(s, settings(), frames_of(len(s), 128)) for s in (x, style)]
        frames = torch.tensor([rows[0].shape[1]])
        return float(Rhythm.of(Reference(rows[0], frames, (Part.unbroken(rows[1], frames),)), settings())(rows[0]))

    assert distance(slow, slow) < 1e-6  # float32, squared
    assert distance(slow, slow.roll(2_000)) < 0.1  # when the first beat falls says nothing of the tempo
    assert distance(slow, 0.2 * slow) < 0.1  # nor does the level
    assert distance(slow, fast) > 1


def test_silence_and_steady_noise_have_finite_distances_and_gradients(settings):
    frames = torch.tensor([FRAMES])
    noise = torch.rand(1, FRAMES, BINS, generator=torch.Generator().manual_seed(1))
    for style in (torch.zeros(1, FRAMES, BINS), torch.ones(1, FRAMES, BINS), noise):
        x = torch.zeros(1, FRAMES, BINS).requires_grad_()
        value = Rhythm.of(Reference(x.detach(), frames, (Part.unbroken(style, frames),)), settings())(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        assert torch.isfinite(value).all()
        assert torch.isfinite(gradient).all()


def test_a_style_of_another_tempo_moves_the_beats_to_its_own(settings):
    """The Gram matrices of two click tracks are nearly equal: without the term a beat stays where it is."""
    one = Item(clicks(0.6), (Style(clicks(0.45)),))
    wanted = settings(widths=(2, 8), spectrogram_evaluations=25, refine_evaluations=12)
    step = wanted.hop_length / RATE
    for weight, period in ((0.0, 0.6), (1.0, 0.45)):
        [found] = outcomes([one], replace(wanted, rhythm_weight=weight))
        assert period_of(found.waveform, wanted) == pytest.approx(period, abs=step)


def test_the_term_counts_in_the_objective_and_not_in_what_is_reported(settings):
    one = Item(clicks(0.6, 2.0), (Style(clicks(0.45, 2.0)),))
    plain, with_rhythm = settings(), settings(rhythm_weight=5.0)
    ours, theirs = (outcomes([one], replace(s, spectrogram_evaluations=2))[0] for s in (plain, with_rhythm))
    assert theirs.curves["style"][0] > 10 * ours.curves["style"][0]
    assert theirs.losses_start == ours.losses_start
    assert relative_losses(one.content, one, with_rhythm) == relative_losses(one.content, one, plain)


def test_any_kind_of_features_takes_the_term(settings):
    x = torch.rand(2, FRAMES, BINS, generator=torch.Generator().manual_seed(1))
    for kind, widths in (("kernel", (2, 8)), ("conv", (4,))):
        plain, both = (settings(features=kind, widths=widths, rhythm_weight=w) for w in (0.0, 0.5))
        content, style = losses_of(reference(), plain, 0)(x)
        found = losses_of(reference(), both, 0)(x)
        assert torch.equal(found[0], content)
        torch.testing.assert_close(found[1], style + 0.5 * Rhythm.of(reference(), both)(x))


def test_a_clip_too_short_for_any_lag_has_no_rhythm(settings):
    frames = torch.tensor([5])
    x = torch.rand(1, 5, BINS)
    short = settings(hop_length=128, sample_rate=8_000)  # the shortest lag is seven frames
    assert LONGEST * 8_000 / 128 > 5
    assert float(Rhythm.of(Reference(x, frames, (Part.unbroken(x.flip(1), frames),)), short)(x)) == 0
