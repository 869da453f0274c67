"""Content weights of the published recipe and ours, for a given pair.

Ulyanov and Lebedev (2016) minimise |G(x) - G(s)|^2 + w |f(x) - f(c)|^2 with features f of N filters and Gram matrices
G, w absolute (0.01 in their notebook). Differs from them: our losses are relative to |G(s)|^2 and |f(c)|^2, so that one
weight means the same for loud and quiet, long and short pairs, and for any N. Hence

    relative = w |f(c)|^2 / |G(s)|^2.

Both sums are those of the infinitely wide layer, of which 4096 drawn filters fall short or exceed by up to a tenth (a
Gram matrix of N filters is larger by its own variance). The published 0.01 is 0.004 to 0.020, median 0.010, on the
eight pairs of real music that the benchmark uses, at -16 LUFS.
"""

from dataclasses import replace

from torch import Tensor

from tasks.transfer.features.conv import variance
from tasks.transfer.features.kernel import gram_totals
from tasks.transfer.features.patches import window_sums
from tasks.transfer.item import Item, Style
from tasks.transfer.references import reference_of
from tasks.transfer.settings import Settings

FILTERS = 4_096
WIDTH = 11  # frames


def from_published(
    weight: float, content: Tensor, style: Tensor, settings: Settings, filters: int = FILTERS, width: int = WIDTH
) -> float:
    """The relative content weight of a pair that means what the absolute `weight` means with `filters` filters.

    Shape: content (samples,), style (samples,), mono float32 at the settings' rate; only n_fft and hop_length of the
    settings are read. Raises ValueError where one has no patch of `width` frames, or is silent.
    """
    return weight * _relative_to_absolute(content, style, settings, filters, width)


def to_published(
    weight: float, content: Tensor, style: Tensor, settings: Settings, filters: int = FILTERS, width: int = WIDTH
) -> float:
    """The absolute weight that means what the relative `weight` means: the inverse of `from_published`."""
    return weight / _relative_to_absolute(content, style, settings, filters, width)


def _relative_to_absolute(content: Tensor, style: Tensor, settings: Settings, filters: int, width: int) -> float:
    """|f(c)|^2 / |G(s)|^2. Our kernel leaves out the scale of the filters: half their variance for each of them."""
    item = Item(content, (Style(style),))
    reference = reference_of([item], replace(settings, strength=1.0, widths=(width,)), content.device)
    shortest = min(int(reference.content_frames), int((reference.styles[0].run >= 0).sum()))
    if shortest < width:
        raise ValueError(f"width {width} needs {width} frames of content and of style, the shorter one has {shortest}")
    squares = reference.content[0].square().sum(-1)
    features = float(window_sums(squares, width)[: int(reference.content_frames) - width + 1].sum())
    gram = float(gram_totals(reference.styles, (width,))[width])
    if features == 0 or gram == 0:
        raise ValueError("a silent content or style has no relative weight")
    scale = filters * variance(filters, reference.content.shape[-1], width) / 2
    return features / (scale * gram)
