"""A sweep shows what the rows say: each content and style by itself, the median of what varies besides."""

import numpy as np
import pytest

from tasks.plots import sweep
from tasks.records.reasons import UsageError
from tests.tasks.plots.conftest import rows_of_sweep


def loss(pair, value, seed):
    return (pair + 1) * (1 - value) + seed / 1_000 + 0.01


def drawn(axes):
    return [np.stack(line.get_data()).T.tolist() for line in axes.lines]


def test_a_line_for_each_content_and_style_goes_through_the_medians_of_its_pairs():
    rows = rows_of_sweep("strength", [0.25, 0.5, 1.0], seeds=(1, 2, 30), style_loss=loss)
    [axes] = sweep(rows.sample(frac=1, random_state=1), "strength", ["style_loss"]).axes
    expected = [[[value, loss(pair, value, 2)] for value in (0.25, 0.5, 1.0)] for pair in (1, 0)]
    assert np.allclose(drawn(axes), expected), "bells, then rain: by their names"


def test_what_varies_besides_and_which_line_is_which_is_said():
    picture = sweep(rows_of_sweep("strength", [0.5, 1.0], seeds=(1, 2), style_loss=loss), "strength", ["style_loss"])
    assert "medians over what varies besides: seed" in picture.get_suptitle()
    assert [text.get_text().strip() for text in picture.legends[0].texts] == ["tune x bells", "tune x rain"]
    [axes] = picture.axes
    assert axes.get_title(loc="left") == "style_loss: relative style loss of the written audio"
    assert axes.get_xlabel() == "strength"


def test_a_content_and_style_with_one_value_only_are_left_out():
    rows = rows_of_sweep("strength", [0.5, 1.0], style_loss=loss)
    rows = rows[rows["pair_id"] != "tune-rain-1.0-1"]
    [axes] = sweep(rows, "strength", ["style_loss"]).axes
    assert len(axes.lines) == 1


def test_of_many_lines_all_are_grey_and_their_median_stands_out():
    pairs = [("tune", f"style{n}") for n in range(9)]
    rows = rows_of_sweep("strength", [0.5, 1.0], pairs=pairs, style_loss=loss)
    [axes] = sweep(rows, "strength", ["style_loss"]).axes
    assert len(axes.lines) == 10
    assert np.allclose(drawn(axes)[-1], [[value, loss(4, value, 1)] for value in (0.5, 1.0)])


@pytest.mark.parametrize(
    ("parameter", "values", "ticks", "places"),
    [
        ("strength", [0.25, 1.0], ["0.25", "1"], [0.25, 1.0]),
        ("content_weight", [0.0, 0.01, 0.1, 10.0], ["0", "0.01", "0.1", "10"], [0, 1, 2, 3]),
        ("widths", [[11], [2, 8, 32]], ["11", "2,8,32"], [0, 1]),
        ("optimiser", ["lbfgs", "adam"], ["adam", "lbfgs"], [0, 1]),
    ],
)
def test_values_of_any_kind_are_drawn_apart(parameter, values, ticks, places):
    rows = rows_of_sweep(parameter, values, style_loss=lambda pair, value, seed: 0.1)
    [axes] = sweep(rows, parameter, ["style_loss"]).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ticks
    assert axes.get_xticks().tolist() == places


@pytest.mark.parametrize(
    ("parameter", "figures", "words"),
    [
        ("strenght", ["style_loss"], "did you mean 'strength'"),
        ("strength", ["stile_loss"], "did you mean 'style_loss'"),
        ("strength", ["pair_id"], "no figure 'pair_id'"),
        ("seed", ["style_loss"], "seed is 1 in all 4 pairs; `gramophone manifest build ... --sweep seed=VALUE,VALUE`"),
    ],
)
def test_what_cannot_be_drawn_is_said_with_what_to_do(parameter, figures, words):
    with pytest.raises(UsageError, match=words.replace("...", r"\.\.\.")):
        sweep(rows_of_sweep("strength", [0.5, 1.0], style_loss=loss), parameter, figures)


def test_pairs_of_which_none_has_two_values_are_no_sweep():
    rows = rows_of_sweep("strength", [0.5, 1.0], style_loss=loss)
    rows = rows[rows["pair_id"].isin(["tune-rain-0.5-1", "tune-bells-1.0-1"])]
    with pytest.raises(UsageError, match="no content and style were put together with more than one value of strength"):
        sweep(rows, "strength", ["style_loss"])
