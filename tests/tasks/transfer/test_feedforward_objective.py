import pytest
import torch

from tasks.transfer.features import losses_of
from tasks.transfer.feedforward import Architecture, Network
from tasks.transfer.feedforward.objective import Contents, Objective
from tasks.transfer.item import Item, Style
from tasks.transfer.references import reference_of
from tasks.transfer.spectrogram import log_spectrogram
from tests.tasks.transfer.sounds import CPU, clip

HOP = 128


def contents(settings, *names, frames=60):
    signals = torch.stack([clip(name, 1.5)[: frames * HOP] for name in names])
    signals[:, -1] = 0  # as of a signal that ends one sample before the next frame
    return Contents.of(signals, settings)


def test_the_losses_are_those_of_the_transfer(settings):
    wanted = settings()
    given = contents(wanted, "pluck", "flute")
    objective = Objective.of(clip("drums", 1.2), wanted, CPU)
    x = given.x + 0.1
    ours = objective.against(given.x)(x)
    for n, name in enumerate(("pluck", "flute")):
        item = Item(clip(name, 1.5)[: 60 * HOP - 1], (Style(clip("drums", 1.2)),))
        reference = reference_of([item], wanted, CPU)
        theirs = losses_of(reference, wanted, 0)(x[n : n + 1, : reference.content.shape[1]])
        for a, b in zip(ours, theirs, strict=True):
            assert float(a[n]) == pytest.approx(float(b[0]), rel=1e-3, abs=1e-5)


def test_what_is_heard_of_an_unchanged_content_is_the_content(settings):
    given = contents(settings(), "pluck")
    torch.testing.assert_close(given.heard(given.x, settings()), given.x, atol=1e-3, rtol=0)


def test_what_is_heard_is_the_spectrum_of_a_signal(settings):
    """Heard once more it is the same: what no signal has is gone."""
    wanted = settings()
    given = contents(wanted, "pluck")
    made = contents(wanted, "drums").x
    once = given.heard(made, wanted)
    assert float((once - made).abs().mean()) > 0.05
    unchanged = given.heard(given.x, wanted)
    assert float((unchanged - given.x).abs().mean()) < 1e-4


def test_an_untrained_network_loses_no_content_and_is_as_far_from_the_style_as_the_content(settings):
    wanted = settings()
    given, objective = contents(wanted, "pluck", "flute"), Objective.of(clip("drums", 1.2), wanted, CPU)
    content, style = objective.losses(Network(Architecture(257, 16, 2)), given)
    assert float(content.detach().max()) < 1e-4
    torch.testing.assert_close(style.detach(), objective.against(given.x)(given.x)[1], rtol=1e-3, atol=0)


def test_gradients_reach_the_network_through_sound_and_are_those_of_differences(settings):
    wanted = settings(n_fft=16, hop_length=4, widths=(2,))
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(2, 24, generator=generator, dtype=torch.float64)
    given = Contents.of(signals, wanted)
    objective = Objective(reference_of([Item(signals[0], (Style(signals[1]),))], wanted, CPU).styles[0], wanted)
    made = (given.x + 0.3 + torch.rand(given.x.shape, generator=generator, dtype=torch.float64)).requires_grad_()

    def losses(x):
        return objective.against(given.x)(given.heard(x, wanted))

    assert torch.autograd.gradcheck(losses, made, fast_mode=True)


def test_a_network_that_goes_astray_says_numbers_still(settings):
    given = contents(settings(), "pluck")
    assert bool(torch.isfinite(given.heard(given.x + 1e9, settings())).all())


def test_a_few_steps_come_closer_to_the_style(settings):
    wanted = settings()
    given, objective = contents(wanted, "pluck", "flute"), Objective.of(clip("drums", 1.2), wanted, CPU)
    network = Network(Architecture(257, 32, 2))
    optimiser, found = torch.optim.Adam(network.parameters(), lr=3e-3), []
    for _ in range(30):
        content, style = objective.losses(network, given)
        optimiser.zero_grad()
        (style + 0.01 * content).mean().backward()
        optimiser.step()
        found.append(float(style.detach().mean()))
    assert found[-1] < 0.3 * found[0]


def test_spectra_of_contents_are_those_of_the_transfer(settings):
    signal = clip("pluck", 1.0)[: 40 * HOP]
    given = Contents.of(signal[None], settings())
    torch.testing.assert_close(given.x, log_spectrogram(signal[None], 512, HOP, 40), rtol=0, atol=1e-5)
