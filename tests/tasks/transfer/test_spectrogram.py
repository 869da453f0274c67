import itertools

import pytest
import torch

from tasks.transfer.phase import griffinlim, random_phase, spectral_convergence_db, with_magnitude
from tasks.transfer.spectrogram import Inverse, frames_of, log_magnitude, log_spectrogram, mask, stft
from tests.tasks.transfer.sounds import clip

N_FFT, HOP = 512, 128


def batch(*signals):
    lengths = torch.tensor([len(s) for s in signals])
    frames = max(frames_of(len(s), HOP) for s in signals)
    padded = torch.stack([torch.nn.functional.pad(s, (0, frames * HOP - len(s))) for s in signals])
    frame_mask = mask(torch.tensor([frames_of(len(s), HOP) for s in signals]), frames)
    return padded, frame_mask, mask(lengths, padded.shape[-1])


def spectra(padded, frame_mask):
    return stft(padded, N_FFT, HOP, frame_mask.shape[-1]) * frame_mask[..., None]


def test_spectra_are_those_of_torch():
    padded, frame_mask, _ = batch(clip("pluck"))
    ours = spectra(padded, frame_mask)[0]
    theirs = torch.stft(
        clip("pluck"), N_FFT, HOP, window=torch.hann_window(N_FFT), pad_mode="constant", return_complex=True
    )
    torch.testing.assert_close(ours, theirs.T, rtol=0, atol=1e-4)  # magnitudes reach 100: one part in a million


def test_zeros_after_a_signal_change_none_of_its_frames():
    short = clip("pluck", 0.7)
    alone, _, _ = batch(short)
    longer = torch.nn.functional.pad(alone, (0, 10 * HOP))
    frames = frames_of(len(short), HOP)
    assert torch.equal(stft(alone, N_FFT, HOP, frames), stft(longer, N_FFT, HOP, frames + 10)[:, :frames])


def test_there_and_back_is_the_signal_for_every_length_in_a_batch():
    signals = [clip("pluck", 1.0), clip("drums", 0.73), clip("bells", 0.501)]
    padded, frame_mask, sample_mask = batch(*signals)
    back = Inverse(N_FFT, HOP, frame_mask, sample_mask)(spectra(padded, frame_mask))
    torch.testing.assert_close(back, padded, rtol=0, atol=1e-5)  # float32 rounding, a few parts in a million


def test_the_log_spectrogram_is_the_logarithm_of_the_spectra_and_its_gradient_the_gradient():
    signal = torch.randn(2, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours, plain = log_spectrogram(signal, 32, 8, 12), log_magnitude(stft(signal, 32, 8, 12))
    torch.testing.assert_close(ours, plain)
    assert torch.autograd.gradcheck(lambda s: log_spectrogram(s, 32, 8, 12), (signal,))


def test_silence_is_exactly_nothing():
    assert log_magnitude(stft(torch.zeros(1, 1_280), N_FFT, HOP, 10)).abs().max() == 0


def test_a_tone_lies_in_its_own_bin():
    hz = 20 * 8_000 / N_FFT
    tone = torch.sin(2 * torch.pi * hz * torch.arange(8_000) / 8_000)[None]
    assert stft(tone, N_FFT, HOP, 60).abs().mean(1).argmax() == 20


def test_the_true_phase_gives_the_signal_at_once():
    padded, frame_mask, sample_mask = batch(clip("pluck"))
    found = spectra(padded.double(), frame_mask.double())
    work = griffinlim(
        found.abs(), found, Inverse(N_FFT, HOP, frame_mask.double(), sample_mask.double()), N_FFT, HOP, 0, 0
    )
    signal = finish(work)
    assert spectral_convergence_db(found.abs(), signal, N_FFT, HOP, frame_mask.double()) <= -110


def finish(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("name", ["pluck", "drums", "strings"])
def test_plain_griffin_lim_never_gets_worse(name):
    padded, frame_mask, sample_mask = batch(clip(name))
    magnitude = spectra(padded, frame_mask).abs()
    inverse = Inverse(N_FFT, HOP, frame_mask, sample_mask)
    start = random_phase([0], *magnitude.shape[1:])
    reached = [
        float(
            spectral_convergence_db(
                magnitude, finish(griffinlim(magnitude, start, inverse, N_FFT, HOP, n, 0.0)), N_FFT, HOP, frame_mask
            )
        )
        for n in range(0, 12, 2)
    ]
    assert all(later <= earlier + 1e-4 for earlier, later in itertools.pairwise(reached))


def test_the_fast_method_goes_further_than_the_plain_one():
    padded, frame_mask, sample_mask = batch(clip("pluck", 2.0))
    magnitude = spectra(padded, frame_mask).abs()
    inverse = Inverse(N_FFT, HOP, frame_mask, sample_mask)
    start = random_phase([0], *magnitude.shape[1:])
    plain, fast = (
        float(
            spectral_convergence_db(
                magnitude, finish(griffinlim(magnitude, start, inverse, N_FFT, HOP, 32, a)), N_FFT, HOP, frame_mask
            )
        )
        for a in (0.0, 0.99)
    )
    assert fast < plain - 1.0


def test_a_bin_without_phase_gets_the_magnitude_that_was_wanted():
    wanted = torch.ones(1, 2, 3)
    assert torch.equal(with_magnitude(wanted, torch.zeros(1, 2, 3, dtype=torch.complex64)).abs(), wanted)
