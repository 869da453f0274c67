import json
import re
from itertools import product

import pytest

from tasks.manifest.build import build
from tasks.manifest.check import PAIR_ID
from tasks.manifest.sweep import Choice, choices
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError

BASE = Parameters()


@pytest.fixture
def rows(tmp_path):
    """Builds from folders with files of these names, which it never opens."""

    def _rows(contents, styles, *sweeps):
        for folder, names in (("contents", contents), ("styles", styles)):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / f"{name}.wav").touch()
        out = tmp_path / "manifest.parquet"
        table = build(tmp_path / "contents", tmp_path / "styles", "product", out, {}, choices(sweeps, BASE))
        return table.to_pylist()

    return _rows


def test_without_a_sweep_there_is_one_row_for_each_pair_and_no_params(rows):
    assert [row["pair_id"] for row in rows("ab", "s")] == ["a-x-s", "b-x-s"]
    assert choices([], BASE) == [Choice({})]


def test_each_pair_becomes_one_row_for_each_value(rows):
    found = rows("ab", "s", ("strength", [0.25, 1]))
    assert [(row["pair_id"], json.loads(row["params"])) for row in found] == [
        ("a-x-s-strength0.25", {"strength": 0.25}),
        ("a-x-s-strength1", {"strength": 1}),
        ("b-x-s-strength0.25", {"strength": 0.25}),
        ("b-x-s-strength1", {"strength": 1}),
    ]
    assert {row["content_uri"] for row in found} == {"contents/a.wav", "contents/b.wav"}


def test_several_sweeps_multiply():
    found = choices([("strength", [0.25, 0.5]), ("features", ["kernel", "vgg"]), ("seed", [1, 2, 3])], BASE)
    assert [tuple(c.params.values()) for c in found] == list(product([0.25, 0.5], ["kernel", "vgg"], [1, 2, 3]))


def test_every_name_is_one_that_a_manifest_takes_and_is_there_once(rows):
    long = "n" * 200
    weights = ["s3://bucket/a b/vgg.safetensors", "s3://bucket/" + 200 * "x", "s3://bucket/" + 200 * "x" + "y"]
    found = rows([long, f"{long}2"], ["s"], ("strength", [0.5, 1]), ("vgg_weights", weights))
    names = [row["pair_id"] for row in found]
    assert len(set(names)) == len(names) == 12
    assert all(re.fullmatch(PAIR_ID, name) for name in names)
    assert all("-strength" in name for name in names)


@pytest.mark.parametrize(
    ("sweeps", "words"),
    [
        ([("strenght", ["1"])], "strenght: is not a parameter; did you mean 'strength'?"),
        ([("strength", [0.5, 1.5])], "strength 1.5: input should be less than or equal to 1"),
        ([("strength", ["half"])], "strength 'half': "),
        ([("strength", [0.5, 0.5])], "0.5 is there twice"),
        ([("strength", [0.5]), ("strength", [1])], "--sweep strength is given twice"),
        ([("strength", [])], "no values"),
        ([("widths", [[2, 8], [11]]), ("features", ["kernel", "conv"])], "takes one width"),
    ],
)
def test_what_cannot_be_is_named_before_anything_is_built(sweeps, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        choices(sweeps, BASE)


def test_each_problem_is_told_once_however_many_combinations_have_it():
    with pytest.raises(UsageError) as found:
        choices([("strength", [2]), ("seed", [1, 2, -1])], BASE)
    assert str(found.value).count("strength 2") == 1
    assert str(found.value).count("seed -1") == 1


def test_values_are_checked_over_the_settings_of_the_place_they_are_built_in():
    one_width = Parameters(widths=(11,))
    assert len(choices([("features", ["kernel", "conv"])], one_width)) == 2
