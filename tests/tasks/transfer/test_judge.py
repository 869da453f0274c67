from dataclasses import replace

import pytest

from tasks.transfer.item import Item, Style
from tasks.transfer.judge import heldout_losses, relative_losses
from tests.tasks.transfer.sounds import clip


@pytest.mark.parametrize("losses", [relative_losses, heldout_losses])
def test_losses_of_the_content_are_nothing_in_content_and_of_the_style_nothing_in_style(settings, losses):
    content, style = clip("pluck", 1.0), clip("drums", 1.0)
    item, wanted = Item(content, (Style(style),)), settings(strength=0.5)  # whatever the strength was
    assert abs(losses(content, item, wanted)[0]) < 1e-5  # float32
    assert abs(losses(style, item, wanted)[1]) < 1e-5
    assert losses(content, item, wanted)[1] > 0.05
    assert losses(style, item, wanted)[0] > 0.05


def test_a_long_style_is_well_represented_by_a_part_of_it(settings):
    style = clip("drums", 24.0)
    item = Item(clip("pluck", 1.0), (Style(style),))
    whole, part = (relative_losses(item.content, item, settings(style_seconds_max=s))[1] for s in (30.0, 6.0))
    # A quarter of a clip that repeats: its Gram matrix is the whole's to a tenth.
    assert part == pytest.approx(whole, rel=0.1)
    other = relative_losses(item.content, replace(item, seed=1), settings(style_seconds_max=6.0))[1]
    assert other != part  # the seed chooses
    assert relative_losses(item.content, item, settings(style_seconds_max=6.0))[1] == part
