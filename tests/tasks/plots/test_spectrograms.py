"""The three pictures of a pair, with frequency, time and level where they belong."""

import numpy as np
import pytest

from tasks.plots import spectrograms, with_curves
from tasks.records.reasons import UsageError
from tasks.scale import HEIGHT, HIGHEST_HZ, LOWEST_HZ, RANGE_DB
from tests.tasks.plots.conftest import picture


def drawn(night, row=0):
    return spectrograms(with_curves(night.standing()).iloc[row])


def test_the_pictures_of_the_store_are_drawn_in_decibels_over_hertz_and_seconds(night):
    found = drawn(night)
    *sounds, bar = found.axes
    assert [axes.get_title(loc="left") for axes in sounds] == ["content: tune", "style: rain", "result"]
    for axes, lit in zip(sounds, (0, 20, 40), strict=True):
        [image] = axes.images
        levels = np.asarray(image.get_array())
        assert levels.shape == (HEIGHT, 41)
        expected = np.full((HEIGHT, 41), -RANGE_DB)
        expected[HEIGHT // 2 :, lit] = 0
        assert (levels == expected).all()
        assert image.origin == "lower", "low bands first"
        assert image.get_extent() == pytest.approx([0, 1, np.log2(LOWEST_HZ), np.log2(HIGHEST_HZ)])
        assert axes.get_ylim() == pytest.approx((np.log2(LOWEST_HZ), np.log2(4_000))), "half the rate"
        at = dict(zip((tick.get_text() for tick in axes.get_yticklabels()), axes.get_yticks(), strict=True))
        assert at["1,000"] == pytest.approx(np.log2(1_000))
    assert bar.get_ylabel() == "level below the loudest, dB"
    assert sounds[-1].get_xlabel() == "seconds"


@pytest.mark.parametrize(("columns", "seconds", "expected"), [(81, None, 2.0), (81, 7.5, 7.5), (360, None, None)])
def test_a_style_has_its_own_length_or_a_start_and_an_end_where_nobody_knows_it(night, columns, seconds, expected):
    row = with_curves(night.standing()).iloc[0].copy()
    row["picture_style"] = picture(columns, 0)
    row["inputs"] = [one if one["role"] == "content" else one | {"seconds": seconds} for one in row["inputs"]]
    axes = spectrograms(row).axes[1]
    assert axes.get_xlim()[1] == (expected or 1)
    named = [tick.get_text() for tick in axes.get_xticklabels()]
    assert (named == ["start", "end"]) == (expected is None)


def test_a_picture_is_a_file_of_each_kind(night):
    found = drawn(night)
    png = found.file("png")
    assert (png[:8], int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (b"\x89PNG\r\n\x1a\n", 1600, 1120)
    assert b"<svg" in found.file("svg")
    assert found.file("pdf").startswith(b"%PDF-")


def test_a_pair_that_is_not_done_or_whose_curves_are_gone_has_none_and_says_why(night):
    with pytest.raises(UsageError, match=r"p2: it is not done \(decode_error\)"):
        drawn(night, 2)
    with pytest.raises(UsageError, match="with_curves"):
        spectrograms(night.standing().iloc[0])
    for uri, _ in night.store.list(night.layout.all_curves()):
        night.store.delete(uri)
    with pytest.raises(UsageError, match="p0: an input is withdrawn, its file of curves is gone"):
        drawn(night)
