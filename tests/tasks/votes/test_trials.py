"""What is heard side by side was made from the same inputs, and its order tells nothing."""

import json
from collections import Counter
from random import Random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.records.reasons import UsageError
from tasks.votes.trials import MOST_OUTPUTS, REFERENCE, ab, mushra


def inputs(content="c", style="s", start=None):
    def one(role, sha256, start=None):
        return {
            "role": role,
            "uri": f"file:///{sha256}",
            "sha256": sha256,
            "start": start,
            "seconds": None,
            "weight": 1.0,
        }

    return [one("content", content, start), one("style", style)]


def row(number, run="r1", method="optimise", made_from=None, sound=None, status="ok", **params):
    return {
        "run_id": run, "family": run, "manifest_row": number, "pair_id": f"p{number}", "status": status,
        "method": method,
        "audio_uri": f"file:///{run}/{number}.flac" if status == "ok" else None,
        "audio_sha256": sound or f"{run}/{number}", "params": json.dumps({"strength": 1.0, "seed": 0} | params),
        "inputs": made_from or inputs(),
    }  # fmt: skip


def conditions(trials):
    return sorted(sorted(one.condition for one in trial.stimuli) for trial in trials)


def compared(*rows, seed=0, most=500):
    return ab(pd.DataFrame(rows), Random(seed), most)


def rated(*rows, aspect="style", seed=0, most=500):
    return mushra(pd.DataFrame(rows), aspect, Random(seed), most)


def test_every_two_outputs_of_the_same_inputs_that_differ_are_compared():
    sweep = [row(n, strength=value) for n, value in enumerate((0.25, 0.5, 1.0))]
    other = [row(n + 3, made_from=inputs("d"), strength=value) for n, value in enumerate((0.25, 0.5))]
    assert conditions(compared(*sweep, *other)) == [
        ["strength=0.25", "strength=0.5"], ["strength=0.25", "strength=0.5"],
        ["strength=0.25", "strength=1.0"], ["strength=0.5", "strength=1.0"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        row(1, made_from=inputs("another"), strength=0.5), row(1, made_from=inputs(start=2.0), strength=0.5),
        row(1, status="failed", strength=0.5), row(1, sound="r1/0", strength=0.5),
    ],
    ids=["another content", "another part of it", "one that failed", "the same sound"],
)  # fmt: skip
def test_what_has_nothing_to_be_compared_with_is_refused_with_what_to_do(other):
    with pytest.raises(UsageError, match="--against, or make a sweep"):
        compared(row(0), other)


def test_outputs_of_two_runs_go_by_their_run_where_the_parameters_are_the_same():
    assert conditions(compared(row(0, "r1"), row(0, "r2"))) == [["run r1", "run r2"]]
    assert conditions(compared(row(0, "r1"), row(0, "r2", strength=0.5))) == [["strength=0.5", "strength=1.0"]]
    both = [row(n, run, strength=value) for run in ("r1", "r2") for n, value in enumerate((0.5, 1.0))]
    assert len({name for two in conditions(compared(*both)) for name in two}) == 4


def test_a_rerun_belongs_to_the_run_that_it_reruns():
    rerun = row(0, "r1b") | {"family": "r1"}
    others = [row(0, "r2", strength=0.5), row(1, "r1", made_from=inputs("d")), row(1, "r2", made_from=inputs("d"))]
    assert conditions(compared(rerun, *others)) == [["strength=0.5, run r2", "strength=1.0, run r1"], [
        "strength=1.0, run r1", "strength=1.0, run r2"]]  # fmt: skip


def test_a_seed_is_no_difference_unless_it_is_the_only_one():
    assert conditions(compared(row(0, seed=1), row(1, seed=2))) == [["seed=1", "seed=2"]]
    drawn_again = [row(0, seed=1), row(1, seed=2), row(2, seed=3, strength=0.5)]
    assert conditions(compared(*drawn_again)) == [["strength=0.5", "strength=1.0"]] * 2


def test_a_method_is_a_difference():
    assert conditions(compared(row(0), row(1, method="feedforward"))) == [["feedforward", "optimise"]]


def test_few_trials_are_spread_over_all_inputs():
    rows = [
        row(4 * c + n, made_from=inputs(f"c{c}"), strength=value)
        for c in range(5)
        for n, value in enumerate((0.1, 0.4, 0.7, 1.0))
    ]
    heard = Counter(trial.row["inputs"][0]["sha256"] for trial in compared(*rows, most=10))
    assert heard == {f"c{c}": 2 for c in range(5)}


def test_which_is_a_is_drawn_anew_in_each_trial_and_the_same_for_the_same_seed():
    rows = [row(2 * c + n, made_from=inputs(f"c{c}"), strength=v) for c in range(200) for n, v in enumerate((0.5, 1.0))]
    first = Counter(trial.stimuli[0].condition for trial in compared(*rows))
    # 200 fair draws are outside 65 to 135 less than once in a million times.
    assert 65 < first["strength=0.5"] < 135
    assert compared(*rows, seed=7) == compared(*rows, seed=7) != compared(*rows, seed=8)


@pytest.mark.parametrize(("aspect", "other"), [("style", "content"), ("content", "style")])
def test_ratings_have_a_hidden_reference_and_an_anchor(aspect, other):
    [trial] = rated(row(0, strength=0.5), row(1), aspect=aspect)
    assert {one.condition: one.role for one in trial.stimuli} == {
        "strength=0.5": "output", "strength=1.0": "output", REFERENCE: "reference", f"anchor: the {other}": "anchor",
    }  # fmt: skip
    [reference] = [one for one in trial.stimuli if one.role == "reference"]
    assert reference.row["inputs"][reference.number]["role"] == aspect


def test_of_several_styles_the_first_is_the_reference():
    several = [*inputs(), inputs(style="t")[1]]
    [trial] = rated(row(0, made_from=several))
    [reference] = [one for one in trial.stimuli if one.role == "reference"]
    assert several[reference.number]["sha256"] == "s"


@given(st.integers(1, 30), st.integers(0, 2**32))
def test_a_trial_has_no_more_sounds_than_a_person_can_rate(outputs, seed):
    [trial] = rated(*(row(n, strength=n / 30) for n in range(outputs)), seed=seed)
    assert len(trial.stimuli) == len(trial.lettered()) == min(outputs, MOST_OUTPUTS) + 2


def test_without_an_output_there_is_nothing_to_rate():
    with pytest.raises(UsageError, match="gramophone status"):
        rated(row(0, status="failed"))
