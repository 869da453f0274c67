"""Phase from the magnitude: what is known of a tone and a click, and how steps are added up."""

import math

import pytest
import torch

from tasks.transfer.phase import estimated, tree
from tasks.transfer.phase.gradient import steps
from tasks.transfer.phase.spanning_tree import _integrated, _loudness
from tests.tasks.transfer.phases import Wanted

N_FFT = 512
HOPS = (128, 64, 32)


def tone(bin_, samples=16_384):
    return torch.sin(2 * math.pi * bin_ / N_FFT * torch.arange(samples, dtype=torch.float64))


def turn(angle):
    """Angles that differ by whole turns are the same."""
    return torch.polar(torch.ones_like(angle), angle)


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("bin_", [60.0, 60.2, 60.5, 60.9])
def test_a_tone_between_two_bins_advances_as_it_should(bin_, hop):
    wanted = Wanted.of([tone(bin_)], N_FFT, hop, dtype=torch.float64)
    along_time, _ = steps(wanted.magnitude, N_FFT, hop)
    found = along_time[0, 20:-20, round(bin_)]
    # The tone's image at negative frequencies, 120 bins away, is 130 dB below it: a millionth of a turn.
    torch.testing.assert_close(found, torch.full_like(found, 2 * math.pi * hop * bin_ / N_FFT), rtol=0, atol=1e-5)


@pytest.mark.parametrize("delay", [-30, -8, 0, 8, 30])
def test_a_click_slopes_with_its_delay(delay):
    """To first order: at 30 samples of 512 the third order is worth 0.002 radians a bin."""
    hop, middle = 128, 40
    click = torch.zeros(16_384, dtype=torch.float64)
    click[middle * hop + delay] = 1
    wanted = Wanted.of([click], N_FFT, hop, dtype=torch.float64)
    _, along_frequency = steps(wanted.magnitude, N_FFT, hop)
    true = wanted.spectra[0, middle].angle().diff()
    error = turn(along_frequency[0, middle]) - turn(true)
    assert error.abs().max() <= 0.005 * max(1, abs(delay) / 8)


@pytest.mark.parametrize("start", [estimated, tree])
@pytest.mark.parametrize("hop", HOPS)
def test_a_steady_tone_is_found_without_an_iteration(start, hop):
    wanted = Wanted.of([tone(60.3)], N_FFT, hop, dtype=torch.float64)
    found = start(wanted.magnitude, N_FFT, hop)
    ours, true = (s[:, 20:-20, 59:63] for s in (found, wanted.spectra))
    relative = ours * true.conj() / true.abs()
    drift = turn((relative[:, :, 1:2] / relative[:, :1, 1:2]).angle())
    assert (drift - 1).abs().max() <= 1e-3


def test_steps_that_agree_are_added_up_to_what_they_come_from():
    generator = torch.Generator().manual_seed(0)
    field = 9 * torch.randn(2, 30, 40, dtype=torch.float64, generator=generator)
    magnitude = torch.rand(2, 30, 40, generator=generator) + 0.01
    found = _integrated(magnitude, (field.diff(dim=1), field.diff(dim=2)))
    difference = found - field
    torch.testing.assert_close(difference, difference[:, :1, :1].expand_as(field), rtol=0, atol=1e-10)


def test_the_tree_is_the_loudest_there_is():
    """Each edge of its own step, so that phases tell which edges were taken: the same as Kruskal's (1956)."""
    generator = torch.Generator().manual_seed(1)
    frames, bins = 9, 11
    magnitude = torch.rand(1, frames, bins, generator=generator) + 0.01
    step = tuple(
        torch.randn(1, frames - t, bins - f, dtype=torch.float64, generator=generator) for t, f in ((1, 0), (0, 1))
    )
    found = _integrated(magnitude, step).flatten()
    for a, b, change in kruskal(_loudness(magnitude), step, bins):
        assert float(found[b] - found[a]) == pytest.approx(change, abs=1e-10)


def kruskal(louds, steps_, bins):
    edges = []
    for loud, step, apart in zip(louds, steps_, (bins, 1), strict=True):
        _, rows, columns = loud.shape
        for t in range(rows):
            for f in range(columns):
                here = t * bins + f
                edges.append((int(loud[0, t, f]), here, here + apart, float(step[0, t, f])))
    group = list(range(max(b for _, _, b, _ in edges) + 1))
    for _, a, b, change in sorted(edges, reverse=True):
        if group[a] != group[b]:
            group = [group[a] if g == group[b] else g for g in group]
            yield a, b, change


def test_silence_divides_a_tree_and_nothing_breaks():
    magnitude = torch.rand(1, 20, 33)
    magnitude[:, 8:12] = 0
    found = tree(magnitude, 64, 16)
    assert torch.isfinite(torch.view_as_real(found)).all()
    assert (found[:, 8:12] == 1).all()


@pytest.mark.parametrize("start", [estimated, tree])
def test_an_item_that_is_not_finite_leaves_its_neighbours_alone(start):
    magnitude = torch.rand(3, 20, 33)
    alone = start(magnitude[2:], 64, 16)
    magnitude[1, 3, 4] = math.nan
    torch.testing.assert_close(start(magnitude, 64, 16)[2:], alone, rtol=0, atol=1e-6)


def test_many_items_are_integrated_a_few_at_a_time(monkeypatch):
    magnitude = torch.rand(5, 20, 33)
    at_once = tree(magnitude, 64, 16)
    monkeypatch.setattr("tasks.transfer.phase.spanning_tree.BINS_AT_ONCE", 2 * 20 * 33)
    torch.testing.assert_close(tree(magnitude, 64, 16), at_once, rtol=0, atol=1e-6)
