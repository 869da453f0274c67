from dataclasses import replace

import pytest
import torch

from tasks.transfer.feedforward import Architecture, Network
from tasks.transfer.feedforward import network as architecture
from tasks.transfer.feedforward.network import normalised
from tasks.transfer.item import Trained
from tasks.transfer.judge import relative_losses
from tasks.transfer.spectrogram import log_spectrogram
from tests.tasks.transfer.sounds import clip, outcomes
from tests.tasks.transfer.test_pipeline import MATES

BINS = 129


def network(blocks=4, width=16, seed=0, bins=BINS):
    return Network(Architecture(bins, width, blocks), seed)


def stirred(net, seed=1, by=0.05):
    """A network as if it were trained: nothing in it is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight += by * torch.randn(weight.shape, generator=generator)
    return net


def spectra(*names):
    signals = torch.stack([clip(name, 1.0) for name in names])
    return log_spectrogram(signals, 256, 64, 126)


def whole(x):
    return torch.ones(x.shape[:2])


@pytest.mark.parametrize("blocks", [1, 4, 16])
def test_an_untrained_network_gives_the_content_back_however_deep_it_is(blocks):
    x = spectra("pluck", "drums")
    assert torch.equal(network(blocks)(x, whole(x)), x)


def test_every_weight_has_a_gradient_from_the_third_step_on():
    """What sits behind layers at zero hears of the loss once these have moved: decoder, outer, inner."""
    net, x = network(), spectra("pluck", "drums")
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-4)
    for _ in range(3):
        optimiser.zero_grad()
        (net(x, whole(x)) - 1).square().sum().backward()
        optimiser.step()
    assert all(weight.grad.abs().max() > 0 for weight in net.parameters())


def test_silence_stays_reachable_and_nothing_becomes_negative():
    x = spectra("pluck", "drums", "bells")
    found = stirred(network(), by=0.3)(x, whole(x)).detach()
    assert float(found.min()) == 0.0
    assert bool(torch.isfinite(found).all())


def test_a_batch_is_its_items_one_by_one():
    net, x = stirred(network()), spectra("pluck", "drums", "bells")
    together = net(x, whole(x))
    for n in range(3):
        torch.testing.assert_close(net(x[n : n + 1], whole(x[n : n + 1]))[0], together[n], rtol=0, atol=1e-5)


def test_an_item_has_the_same_bits_whatever_is_beside_it_and_a_poisoned_mate_reaches_nobody():
    net, x = stirred(network()), spectra("pluck", "drums", "bells")
    poisoned = x.clone()
    poisoned[1] = float("nan")
    clean, found = net(x, whole(x)), net(poisoned, whole(x))
    assert torch.equal(clean[0], found[0])
    assert torch.equal(clean[2], found[2])


def test_frames_beyond_the_end_of_an_item_change_nothing():
    net, x = stirred(network()), spectra("pluck")
    mask = torch.nn.functional.pad(whole(x), (0, 20))
    padded = torch.nn.functional.pad(x, (0, 0, 0, 20))
    found = net(padded, mask).detach()
    torch.testing.assert_close(found[:, : x.shape[1]], net(x, whole(x)), rtol=0, atol=1e-5)
    assert float(found[:, x.shape[1] :].abs().max()) == 0.0


def test_a_sound_that_comes_later_leaves_it_later():
    """Nothing but the mask knows where a frame is: convolutions over time."""
    net = stirred(network(blocks=3))
    sound = spectra("pluck")[:, :40]
    early, late = (torch.nn.functional.pad(sound, (0, 0, before, 100 - before)) for before in (30, 45))
    a, b = (net(x, whole(x)) for x in (early, late))
    torch.testing.assert_close(a[:, 20:90], b[:, 35:105], rtol=0, atol=1e-4)


def test_blocks_hear_as_far_as_their_dilations_reach(monkeypatch):
    monkeypatch.setattr(architecture, "normalised", lambda h, mask: h)  # which hears all of an item
    net = stirred(network(blocks=4))
    h = torch.randn(1, 101, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = h
    for block in net.blocks:
        found = block(found, torch.ones(1, 101, 1))
    heard = torch.autograd.grad(found[0, 50].sum(), h)[0][0].abs().sum(-1) > 0
    assert heard.nonzero().flatten().tolist() == list(range(50 - 15, 50 + 16))


def test_gradients_are_those_of_differences():
    net = stirred(network(blocks=2, width=3, bins=5)).double()
    x = (torch.rand(2, 9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 2).requires_grad_()
    mask = torch.ones(2, 9, dtype=torch.float64)
    mask[1, 6:] = 0
    assert torch.autograd.gradcheck(lambda y: net(y * mask[..., None], mask), x)


def test_normalised_channels_have_mean_0_and_variance_1_over_the_frames_that_are_there():
    h = 3 + 2 * torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 50, 1)
    mask[1, 30:] = 0
    found = normalised(h * mask, mask)
    for n, frames in ((0, 50), (1, 30)):
        torch.testing.assert_close(found[n, :frames].mean(0), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(found[n, :frames].var(0, correction=0), torch.ones(4), atol=1e-2, rtol=0)


def test_the_seed_draws_the_weights_and_nothing_else_does():
    torch.manual_seed(5)
    first, before = network(seed=1), torch.random.get_rng_state()
    again, other = network(seed=1), network(seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.encoder.weight, other.encoder.weight)


def test_the_bits_are_the_same_again_with_any_number_of_threads(threads):
    net, x = stirred(network(width=64)), spectra("pluck")
    assert torch.equal(net(x, whole(x)), net(x, whole(x)))


# --- in place of the optimisation -----------------------------------------------------------------


@pytest.fixture
def passed(settings):
    """Settings for the method, and items of one style whose network is stirred."""
    trained = Trained("0" * 64, stirred(network(bins=257), by=0.02), 8_000, 512, 128)

    def _passed(**changes):
        return settings(**{"method": "feedforward", "refine_evaluations": 0} | changes)

    return _passed, [replace(mate, trained=trained) for mate in MATES]


def test_a_pair_alone_and_in_any_batch_has_the_same_bits(passed, threads):
    wanted, mates = passed
    alone = [outcomes([mate], wanted())[0] for mate in mates]
    together, backwards = outcomes(mates, wanted()), outcomes(mates[::-1], wanted())[::-1]
    for one, two, three in zip(alone, together, backwards, strict=True):
        assert torch.equal(one.waveform, two.waveform)
        assert torch.equal(one.waveform, three.waveform)


def test_nothing_is_optimised_unless_refine_is_asked_for(passed):
    wanted, mates = passed
    plain, refined = (outcomes(mates[:1], wanted(refine_evaluations=n))[0] for n in (0, 6))
    assert plain.evaluations == 0
    assert plain.curves["stage"] == []
    assert refined.evaluations == 6
    assert set(refined.curves["stage"]) == {"refine"}
    style = [relative_losses(o.waveform, mates[0], wanted())[1] for o in (plain, refined)]
    assert style[1] < style[0]


def test_an_untrained_network_gives_the_content_back_as_sound(passed):
    wanted, mates = passed
    one = replace(mates[0], trained=Trained("1" * 64, network(bins=257), 8_000, 512, 128))
    [found] = outcomes([one], wanted(phase_iterations=0))
    torch.testing.assert_close(found.waveform, one.content, rtol=0, atol=1e-4)


def test_strength_leads_part_of_the_way(passed):
    wanted, mates = passed
    losses = [outcomes(mates[:1], wanted(strength=s))[0].losses_spectrogram[0] for s in (0.0, 0.5, 1.0)]
    assert losses[0] < losses[1] < losses[2]
    assert torch.equal(outcomes(mates[:1], wanted(strength=0.0))[0].waveform, mates[0].content)


def test_pairs_of_different_networks_do_not_share_a_batch(passed):
    wanted, mates = passed
    other = replace(mates[1], trained=Trained("1" * 64, network(bins=257), 8_000, 512, 128))
    with pytest.raises(ValueError, match="batch key"):
        outcomes([mates[0], other], wanted())


def test_a_network_whose_numbers_are_not_finite_fails_its_pair(passed):
    wanted, mates = passed
    broken = network(bins=257)
    with torch.no_grad():
        broken.direct[2] = float("inf")
    [found] = outcomes([replace(mates[0], trained=Trained("2" * 64, broken, 8_000, 512, 128))], wanted())
    assert found.diverged
    assert found.waveform is None
