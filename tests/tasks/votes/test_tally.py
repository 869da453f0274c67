"""What votes say: counted as they were given, with what chance alone would give beside it."""

import math
from random import Random

import pandas as pd
import pytest
from scipy import stats

from tasks.layout import Layout
from tasks.records import schema
from tasks.records.reasons import UsageError
from tasks.store import open_store
from tasks.votes.ballot import Ballot
from tasks.votes.tally import read_votes, sign_test, tally
from tasks.votes.trials import ab, mushra
from tests.tasks.votes.test_trials import inputs, row

PLAIN = {
    "content_uri": "file:///c", "style_uri": "file:///s", "pair_key": "k", "params_sha256": "p",
}  # fmt: skip


@pytest.fixture
def session(any_root):
    """Makes ballots over a sweep of two strengths and so many contents."""
    rows = [
        row(2 * c + n, made_from=inputs(f"c{c}"), strength=v) | PLAIN
        for c in range(4)
        for n, v in enumerate((0.5, 1.0))
    ]

    def sit(kind, aspect=None, run_id="r1"):
        trials = (
            ab(pd.DataFrame(rows), Random(0), 9) if kind == "ab" else mushra(pd.DataFrame(rows), aspect, Random(0), 9)
        )
        return Ballot(open_store(any_root), Layout(any_root), run_id, kind, aspect, tuple(trials))

    return sit


def votes_of(ballot, runs=None):
    return read_votes(ballot.store, ballot.layout, runs)


def prefer(ballot, number, condition):
    """Cast the vote for a condition; None: no difference."""
    sounds = ballot.trials[number].lettered()
    scores = {letter: 0.5 if condition is None else float(one.condition == condition) for letter, one in sounds.items()}
    return ballot.cast(number, scores, dict.fromkeys(sounds, 2.5), "ann")


def rate(ballot, number, reference=100.0, **by_condition):
    sounds = ballot.trials[number].lettered()
    scores = {
        letter: reference
        if one.role == "reference"
        else 5.0
        if one.role == "anchor"
        else by_condition[one.condition[-3:]]
        for letter, one in sounds.items()
    }
    return ballot.cast(number, scores, {}, "")


def test_a_vote_is_kept_with_all_that_was_heard(session):
    ballot = session("ab")
    assert prefer(ballot, 2, "strength=1.0")
    votes = votes_of(ballot)
    assert list(votes.columns) == [c.name for c in schema.VOTES_COLUMNS]
    assert sorted(zip(votes["condition"], votes["score"], strict=True)) == [
        ("strength=0.5", 0.0),
        ("strength=1.0", 1.0),
    ]
    assert set(votes["listener"]) == {"ann"}
    assert set(votes["trial"]) == {2}
    assert set(votes["seconds_heard"]) == {2.5}
    for _, vote in votes.iterrows():
        heard = ballot.trials[2].lettered()[vote["letter"]]
        assert (vote["manifest_row"], vote["audio_sha256"]) == (heard.row["manifest_row"], heard.row["audio_sha256"])


@pytest.mark.parametrize("any_root", ["folder"], indirect=True)
def test_pandas_reads_the_votes_with_nothing_of_ours(session, any_root):
    ballot = session("ab")
    prefer(ballot, 0, None)
    assert list(pd.read_parquet(any_root.removeprefix("file://") + "/votes")["score"]) == [0.5, 0.5]


def test_a_trial_is_voted_on_once(session):
    ballot = session("ab")
    assert prefer(ballot, 0, "strength=1.0")
    assert not prefer(ballot, 0, "strength=0.5")
    assert len(votes_of(ballot)) == 2
    assert tally(votes_of(ballot)).preferences["prefer_other"].tolist() == [1]


def test_votes_of_another_run_are_left_out_when_one_is_named(session):
    prefer(session("ab", run_id="r1"), 0, None)
    other = session("ab", run_id="r2")
    prefer(other, 0, None)
    assert (len(votes_of(other)), len(votes_of(other, {"r2"})), len(votes_of(other, {"r3"}))) == (4, 2, 0)


@pytest.mark.parametrize(
    ("kind", "scores"),
    [
        ("ab", {"A": 1}), ("ab", {"A": 1, "B": 1}), ("ab", {"A": 0, "B": 0}), ("ab", {"A": 1, "C": 0}),
        ("ab", {"A": 0.7, "B": 0.3}), ("ab", {"A": "1", "B": 0}), ("mushra", dict.fromkeys("ABC", 50)),
        ("mushra", {"A": 101, "B": 0, "C": 0, "D": 0}), ("mushra", {"A": math.nan, "B": 0, "C": 0, "D": 0}),
        ("mushra", {"A": None, "B": 0, "C": 0, "D": 0}), ("mushra", {"A": -1, "B": 0, "C": 0, "D": 0}),
        ("mushra", {"A": 10**400, "B": 0, "C": 0, "D": 0}),
    ],
)  # fmt: skip
def test_what_is_no_vote_is_refused_and_nothing_is_kept(session, kind, scores):
    ballot = session(kind, "style" if kind == "mushra" else None)
    with pytest.raises(UsageError):
        ballot.cast(0, scores, {}, "")
    with pytest.raises(UsageError, match="no trial 99"):
        ballot.cast(99, {"A": 1, "B": 0}, {}, "")
    assert votes_of(ballot).empty


def test_preferences_are_counted_with_draws_apart(session):
    ballot = session("ab")
    for number, condition in enumerate(("strength=1.0", "strength=1.0", None, "strength=0.5")):
        prefer(ballot, number, condition)
    [found] = tally(votes_of(ballot)).preferences.to_dict("records")
    assert (found["one"], found["other"]) == ("strength=0.5", "strength=1.0")
    counted = [found[name] for name in ("votes", "sessions", "prefer_one", "no_difference", "prefer_other")]
    assert counted == [4, 1, 1, 1, 2]
    assert found["p"] == 1.0, "two of three is what chance gives"


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 0), (3, 3), (2, 9), (40, 60), (300, 200)])
def test_the_sign_test_is_the_exact_binomial(wins, losses):
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-9)  # both are sums of the same terms


def test_ratings_are_summed_up_by_condition_the_best_first(session):
    ballot = session("mushra", "style")
    for number, (low, high) in enumerate(((10, 60), (20, 70), (30, 80), (40, 90))):
        rate(ballot, number, **{"0.5": low, "1.0": high})
    found = tally(votes_of(ballot)).ratings
    assert list(found["condition"]) == ["hidden reference", "strength=1.0", "strength=0.5", "anchor: the content"]
    assert list(found["median"]) == [100, 75, 25, 5]
    assert list(found["quartile_low"]) == [100, 67.5, 17.5, 5]
    assert set(found["votes"]) == {4}


def test_who_does_not_know_the_hidden_reference_is_left_out(session):
    good, bad = session("mushra", "content"), session("mushra", "content")
    for number in range(4):
        rate(good, number, **{"0.5": 50.0, "1.0": 50.0})
        rate(bad, number, reference=89.0 if number == 0 else 95.0, **{"0.5": 0.0, "1.0": 0.0})
    found = tally(votes_of(good))
    assert found.left_out == [bad.session], "one of four is more than 15 %"
    assert set(found.ratings["median"]) == {100.0, 50.0, 5.0}


def test_votes_on_different_runs_are_not_added_up(session):
    for run_id in ("r1", "r2"):
        ballot = session("ab", run_id=run_id)
        prefer(ballot, 0, "strength=1.0")
    found = tally(votes_of(ballot)).preferences
    assert list(zip(found["run"], found["votes"], strict=True)) == [("r1", 1), ("r2", 1)]


def test_no_votes_say_nothing(any_root):
    found = tally(read_votes(open_store(any_root), Layout(any_root)))
    assert found.preferences.empty
    assert found.ratings.empty
    assert found.left_out == []
