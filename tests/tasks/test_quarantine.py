"""A pair that fails again and again by its own fault is left alone; what storage or the machine did is forgiven."""

import pytest

from tasks.records.reasons import POLICIES, Reason
from tasks.records.run import Stop
from tests.tasks.test_standing import History, failed, ok, pair

ROWS = [reason for reason in Reason if reason not in (Reason.PREEMPTED, Reason.CANCELLED, Reason.LOST)]


@pytest.fixture
def history(any_root):
    return History(any_root)


def tried(history, *reasons, name="a"):
    """A run and its reruns, in which one pair failed for these reasons in turn."""
    for number, reason in enumerate(reasons):
        run = history.run(f"{number}", [name], parent="0" if number else None, end=Stop.FINISHED)
        history.commit(run, failed(name, 0, reason))


def test_three_attempts_that_count_are_enough(history):
    tried(history, *[Reason.OOM] * 2)
    assert history.standing("0").loc["a", ["attempts", "quarantined"]].tolist() == [2, False]
    run = history.run("2", ["a"], parent="0", end=Stop.FINISHED)
    history.commit(run, failed("a", 0, Reason.TIMEOUT))
    assert history.standing("0").loc["a", ["attempts", "quarantined"]].tolist() == [3, True]


@pytest.mark.parametrize("reason", ROWS)
def test_what_counts_is_what_the_policy_says(store_root, reason):
    history = History(store_root)
    tried(history, *[reason] * 3)
    assert history.standing("0").loc["a", "quarantined"] == POLICIES[reason].counted


def test_storage_and_disks_are_nobodys_fault():
    free = {reason for reason, policy in POLICIES.items() if not policy.counted}
    assert {Reason.STORAGE, Reason.DISK_FULL, Reason.PREEMPTED, Reason.CANCELLED, Reason.LOST} <= free


def test_faults_of_storage_between_them_neither_count_nor_forgive(history):
    tried(history, Reason.OOM, Reason.STORAGE, Reason.OOM, Reason.STORAGE)
    assert history.standing("0").loc["a", "attempts"] == 2


def test_a_pair_that_is_done_is_not_quarantined(history):
    tried(history, *[Reason.OOM] * 3)
    run = history.run("3", ["a"], parent="0", end=Stop.FINISHED)
    history.commit(run, ok("a", 0))
    assert not history.standing("0").loc["a", "quarantined"]


def test_another_pair_of_the_run_is_another_matter(history):
    run = history.run("0", ["a", "b"], end=Stop.FINISHED)
    history.commit(run, failed("a", 0, Reason.OOM), failed("b", 1, Reason.OOM))
    for number in "12":
        history.commit(history.run(number, ["a"], parent="0", end=Stop.FINISHED), failed("a", 0, Reason.OOM))
    assert history.standing("0")["quarantined"].to_dict() == {"a": True, "b": False}


def test_other_parameters_are_another_try(history):
    tried(history, *[Reason.OOM] * 3)
    changed = failed("a", 0, Reason.OOM)
    changed.values["params_sha256"] = pair("a", 0).params.model_copy(update={"seed": 9}).sha256()
    history.commit(history.run("3", ["a"], parent="0", end=Stop.FINISHED), changed)
    assert history.standing("0").loc["a", ["attempts", "quarantined"]].tolist() == [1, False]
