import pytest
import torch

from tasks.transfer.weights import from_published, to_published
from tests.bench import published, sides
from tests.tasks.transfer.sounds import clip


def sound(name):
    return clip(name, 2.0, 22_050)


def test_the_relative_weight_is_what_the_published_filters_make_of_the_absolute_one():
    content, style = sound("organ"), sound("drums")
    spectra = [published.log_magnitude(sound) for sound in (content, style)]
    with torch.no_grad():
        silent = published.Objective(*spectra, published.filter_bank(0)).loss(torch.zeros_like(spectra[0]))
    # Of silence the losses are |f(c)|^2 and |G(s)|^2, which 4096 drawn filters meet within a tenth or so.
    expected = 0.01 * silent.content / silent.style
    assert from_published(0.01, content, style, sides.settings()) == pytest.approx(expected, rel=0.15)


def test_the_way_back_is_the_inverse():
    content, style = sound("organ"), sound("drums")
    relative = from_published(0.01, content, style, sides.settings())
    assert to_published(relative, content, style, sides.settings()) == pytest.approx(0.01, rel=1e-12)


def test_silence_and_what_is_shorter_than_a_patch_have_no_weight():
    tune = sound("organ")
    with pytest.raises(ValueError, match="silent"):
        from_published(0.01, torch.zeros_like(tune), tune, sides.settings())
    with pytest.raises(ValueError, match="11 frames"):
        from_published(0.01, tune[:4_000], tune, sides.settings())
