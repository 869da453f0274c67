"""Pairs as numbers: of several runs, of several rows with one name, of rows without one."""

import numpy as np
import pandas as pd
import pytest

from tasks.asked import read_asked
from tests.tasks.test_standing import History


@pytest.fixture
def history(tmp_path):
    return History(f"file://{tmp_path}/root")


def asked(history, *runs):
    return read_asked(history.store, history.layout, runs)


def test_a_pair_has_one_number_in_all_runs_that_ask_for_it(history):
    found = asked(history, history.run("1", ["a", "b", "c"]), history.run("2", ["c", "a", "d"], parent="1"))
    assert len(found) == 4
    rows = pd.DataFrame({"run_id": ["2", "1", "2", "2", "1"], "manifest_row": [0, 2, 1, 2, 1]})
    assert found.pair_of(rows).tolist() == [2, 2, 0, 3, 1]


def test_rows_without_a_name_are_pairs_of_their_own(history):
    found = asked(history, history.run("1", [None, "a", None]), history.run("2", [None, "a"], parent="1"))
    assert found.pair.tolist() == [0, 1, 2, 3, 1]


def test_an_attempt_at_what_nobody_asked_for_is_of_no_pair(history):
    found = asked(history, history.run("1", ["a"]), history.run("2", ["a"], parent="1"))
    rows = pd.DataFrame({"run_id": ["1", "1", "0"], "manifest_row": [0, 1, 0]})
    assert found.pair_of(rows).tolist() == [0, -1, -1]


def test_the_newest_run_tells_of_a_pair_and_within_it_the_first_of_equal_rows(history):
    found = asked(history, history.run("1", ["a", "b", "b", "c"]), history.run("2", ["b"], parent="1"))
    told = found.rows(history.store, history.layout, np.array([2, 1, 0]))
    assert told["pair_id"].tolist() == ["c", "b", "a"]
    assert told[["run_id", "manifest_row"]].to_numpy().tolist() == [["1", 3], ["2", 0], ["1", 0]]
    alone = asked(history, history.run("3", ["a", "a"]))
    assert alone.rows(history.store, history.layout, np.array([0]))["manifest_row"].tolist() == [0]


def test_of_no_pairs_there_is_nothing_to_tell(history):
    assert len(asked(history, history.run("1", []))) == 0
