from dataclasses import replace

import pytest

from tasks import attempts
from tasks.overrides import checked
from tasks.records.pair import Input, Pair, plan_key_of_row

PAIR = Pair(
    manifest_row=3,
    pair_id="a-x-b",
    inputs=(
        Input("content", "file:///a.wav", etag="1-1", sha256="aa"),
        Input("style", "file:///b.wav", 1.0, 2.0, etag="2-2", sha256="bb"),
    ),
    method="optimise",
    params=checked({}),
)


def change(pair, role, **fields):
    return replace(pair, inputs=tuple(replace(i, **fields) if i.role == role else i for i in pair.inputs))


def test_the_key_is_of_what_determines_the_output_and_nothing_else():
    same = [
        replace(PAIR, pair_id="other", manifest_row=9, tags=(("a", "b"),)),
        change(PAIR, "content", uri="s3://elsewhere/a.wav", etag="another"),
    ]
    assert {pair.key() for pair in same} == {PAIR.key()}


@pytest.mark.parametrize(
    "other",
    [
        change(PAIR, "content", sha256="ab"),
        change(PAIR, "style", start=0.5),
        change(PAIR, "style", seconds=None),
        change(PAIR, "style", weight=2.0),
        replace(PAIR, method="feedforward"),
        replace(PAIR, params=checked({"seed": 1})),
        replace(PAIR, params=checked({"content_weight": 0.123})),
    ],
)
def test_whatever_changes_the_output_changes_the_key(other):
    assert other.key() != PAIR.key()
    if other.content.sha256 == "aa":
        assert other.plan_key() != PAIR.plan_key()


def test_the_checkpoint_is_part_of_the_key():
    assert replace(PAIR, model_sha256="some-digest").key() != PAIR.key()


def test_a_pair_with_an_input_that_was_not_found_has_no_plan_key():
    assert change(PAIR, "style", etag=None).plan_key() is None


def test_a_results_row_has_the_plan_key_of_its_pair():
    row = attempts.of_pair(PAIR) | {"manifest_row": 3, "model_sha256": None}
    assert plan_key_of_row(row) == PAIR.plan_key()
    assert plan_key_of_row(row | {"algorithm_version": -1}) is None
