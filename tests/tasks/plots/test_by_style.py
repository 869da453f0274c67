"""A distribution shows every pair, under its own style."""

import pandas as pd
import pytest

from tasks.plots import by_style
from tasks.plots.by_style import MOST_STYLES
from tasks.records.reasons import UsageError


def rows(**losses):
    return pd.DataFrame(
        [
            {"pair_id": f"{uri}{n}", "status": "ok", "style_loss": loss, "chroma_similarity": None,
             "inputs": [{"role": "content", "uri": "file:///c.wav"}, {"role": "style", "uri": f"file:///{uri}.wav"}]}
            for uri, found in losses.items() for n, loss in enumerate(found)
        ]
    )  # fmt: skip


def dots(axes):
    return [sorted(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "None"]


def test_a_dot_for_each_pair_in_the_row_of_its_style_highest_median_first():
    [axes] = by_style(rows(rain=[0.3, 0.1, 0.2, 0.5, 0.4], bells=[0.6, 0.9])).axes
    assert dots(axes) == [[0.6, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5]]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["bells  n=2", "rain  n=5"]
    assert axes.get_xlabel() == "relative style loss of the written audio"
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first on top"


def test_a_box_is_drawn_where_there_are_enough_pairs_for_quartiles():
    [axes] = by_style(rows(rain=[0.1, 0.2, 0.3, 0.4, 0.5], bells=[0.6, 0.9])).axes
    [box] = axes.patches
    across = [x for x, _ in box.get_path().vertices]
    assert (min(across), max(across)) == (0.2, 0.4)


def test_figures_over_decades_are_drawn_by_powers_and_those_with_zeros_are_not():
    assert by_style(rows(rain=[0.001, 0.5])).axes[0].get_xscale() == "log"
    assert by_style(rows(rain=[0.0, 0.001, 0.5])).axes[0].get_xscale() == "linear"


def test_two_styles_of_one_name_are_told_apart_and_a_name_is_never_a_formula():
    picture = by_style(rows(**{"a/rain": [0.1], "b/rain": [0.2], "$\\frac{$ $": [0.3], "_hidden": [0.4]}))
    names = [tick.get_text().split("  ")[0] for tick in picture.axes[0].get_yticklabels()]
    assert names == ["_hidden", "\\$\\frac{\\$ \\$", "b/rain.wav", "a/rain.wav"]
    assert picture.file("png").startswith(b"\x89PNG")


def test_of_very_many_styles_the_highest_are_shown_and_the_rest_is_counted():
    picture = by_style(rows(**{f"style{n}": [n / 100] for n in range(MOST_STYLES + 5)}))
    assert len(dots(picture.axes[0])) == MOST_STYLES
    assert f"the {MOST_STYLES} of {MOST_STYLES + 5} styles" in picture.get_suptitle()


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(UsageError, match="did you mean 'style_loss'"):
        by_style(rows(rain=[0.1]), "style_lss")
    with pytest.raises(UsageError, match="no pair has a chroma_similarity"):
        by_style(rows(rain=[0.1]), "chroma_similarity")
    with pytest.raises(UsageError, match="no pair is done"):
        by_style(rows(rain=[0.1]).assign(status="failed"))
