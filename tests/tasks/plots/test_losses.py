"""Loss curves are those of the store, and a single wild trial does not flatten them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from tasks.plots import losses
from tasks.plots.canvas import GREY, LINES
from tasks.records.reasons import UsageError


def pair(name, style, content=None, stages=None):
    stages = stages or ["spectrogram"] * 2 + ["refine"] * (len(style) - 2)
    content = content or [0.0] + [0.5] * (len(style) - 1)
    return {"pair_id": name, "manifest_row": 0, "status": "ok", "stage": stages, "style": style, "content": content,
            "total": style}  # fmt: skip


def by_name(axes):
    return {line.get_gid(): line for line in axes.lines if line.get_gid()}


def test_every_evaluation_of_every_pair_is_drawn_and_a_mark_where_a_stage_begins():
    rows = pd.DataFrame([pair("a", [0.9, 0.5, 0.6, 0.2]), pair("b", [0.8, 0.4, 0.1])])
    style, content = losses(rows).axes
    line = by_name(style)["a"]
    assert np.stack(line.get_data()).T.tolist() == [[1, 0.9], [2, 0.5], [3, 0.6], [4, 0.2]]
    assert line.get_markevery() == [0, 2]
    assert by_name(content)["b"].get_ydata().tolist() == [0.0, 0.5, 0.5]
    assert (style.get_yscale(), content.get_yscale(), content.get_ylim()[0]) == ("linear", "linear", 0)


def test_the_stages_of_a_single_pair_are_named():
    style, _ = losses(pd.DataFrame([pair("a", [0.9, 0.5, 0.6, 0.002])])).axes
    assert [(text.get_text(), text.xy[0]) for text in style.texts] == [("spectrogram", 1), ("refine", 3)]
    assert style.get_yscale() == "log"


def test_a_single_trial_far_above_all_leaves_the_picture_and_not_the_rest():
    style, content = losses(pd.DataFrame([pair("a", [0.9, 5e6, 0.1, 0.002], [0.0, 7e5, 0.4, 0.3])])).axes
    assert 0.9 < style.get_ylim()[1] < 10
    assert 0.4 < content.get_ylim()[1] < 1
    assert style.get_ylim()[0] < 0.002


def test_of_many_pairs_those_that_end_highest_are_named():
    rows = pd.DataFrame([pair(f"p{n}", [1.0, 0.5, n / 100]) for n in range(1, 21)])
    picture = losses(rows)
    names = [text.get_text().strip() for text in picture.legends[0].texts]
    assert names == [*(f"p{n}" for n in range(20, 20 - len(LINES), -1)), "14 others, whose style losses end lower"]
    style, _ = picture.axes
    assert set(by_name(style)) == set(names[:-1])
    [others] = style.collections
    assert others.get_edgecolor()[0][:3] == pytest.approx(to_rgb(GREY))
    assert sorted(line[-1].tolist() for line in others.get_segments()) == [[3, n / 100] for n in range(1, 15)]


def test_rows_without_curves_are_left_out_and_none_at_all_is_said():
    rows = pd.DataFrame([pair("a", [0.9, 0.5, 0.6]), pair("b", [0.9, 0.5, 0.6]) | {"style": None, "stage": None}])
    assert set(by_name(losses(rows).axes[0])) == {"a"}
    with pytest.raises(UsageError, match="no loss curves"):
        losses(rows.tail(1))
