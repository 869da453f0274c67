"""Some pairs with all there is in their rows, as a reading of all rows tells of them."""

import pandas as pd
import pytest

from tasks.compact import compact, uncovered
from tasks.in_full import in_full
from tasks.records.run import Stop
from tasks.standing import URIS, family_of, of_family
from tests.tasks.store.support import Watched
from tests.tasks.test_standing import History, failed, ok


@pytest.fixture
def history(any_root):
    """Run 3 and its rerun 4: of each pair that is done, served, failed, done since or open, and one without a name."""
    history = History(any_root)
    history.commit(history.run("1", ["old"], night="2025-12-31"), ok("old", 0, style_loss=0.5, evaluations=7))
    first = history.run("3", ["a", "b", "renamed", "c", None, "left"], skipped=[("renamed", "1/0")], end=Stop.UNTIL)
    history.commit(first, ok("a", 0, style_loss=0.25), failed("b", 1))
    history.commit(first, failed("c", 3), failed(None, 4), shard=1)
    history.commit(history.run("4", ["b", "c"], parent="3", end=Stop.FINISHED), ok("b", 0), failed("c", 1))
    return history


def standing(history, brief):
    return of_family(history.store, history.layout, family_of(history.store, history.layout, "3"), brief=brief)


def full(history, pairs):
    return in_full(history.store, history.layout, family_of(history.store, history.layout, "3"), pairs)


def test_pairs_in_full_are_as_a_reading_of_all_rows_tells_of_them(history):
    whole, brief = standing(history, brief=False), standing(history, brief=True)
    assert set(whole["status"]) == {"ok", "failed", "open"}
    for chosen in (range(6), [5, 2, 0], [1], [5], []):
        pd.testing.assert_frame_equal(full(history, brief.iloc[chosen]), whole.iloc[chosen], check_dtype=False)


def test_they_are_the_same_where_results_are_compacted(history):
    before = full(history, standing(history, brief=True))
    for night, uris in uncovered(history.store, history.layout).items():
        compact(history.store, history.layout, night, uris)
    pd.testing.assert_frame_equal(full(history, standing(history, brief=True)), before)


def test_a_brief_standing_holds_no_inputs_and_no_parameters(history):
    brief = standing(history, brief=True)
    assert not {"inputs", "params", "params_sha256", "tags"} & set(brief)
    assert brief.loc[brief["status"] == "ok", [*URIS]].isna().all(axis=None)


def test_only_the_files_that_hold_them_are_read(store_root):
    history = History(store_root)
    run = history.run("3", [f"p{n}" for n in range(40)])
    for shard in range(20):
        history.commit(run, *(ok(f"p{n}", n) for n in (2 * shard, 2 * shard + 1)), shard=shard)
    brief, history.store = standing(history, brief=True), Watched()
    full(history, brief.iloc[[7, 6, 21]])
    read = {uri: times for uri, times in history.store.reads.items() if "/results/" in uri}
    assert read == {history.layout.shard_results(run.night, "3", shard): 1 for shard in (3, 10)}
