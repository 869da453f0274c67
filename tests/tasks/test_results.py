"""Results as they are read."""

import pandas as pd

from tasks.results import ROWS_IN_HAND, rows_of
from tasks.standing import Family, of_family
from tests.tasks.store.support import Watched
from tests.tasks.test_standing import History, ok


def test_rows_are_told_in_their_order_however_many_there_are():
    count = 2 * ROWS_IN_HAND + 1
    frame = pd.DataFrame({"n": range(count), "name": [None, *map(str, range(1, count))]})
    found = list(rows_of(frame))
    assert [row["n"] for row in found] == list(range(count))
    assert found[:2] == [{"n": 0, "name": None}, {"n": 1, "name": "1"}]


def test_how_a_run_stands_is_found_without_a_look_at_other_nights(store_root):
    history, store = History(store_root), Watched()
    for night in ("2026-01-01", "2026-01-02"):
        run = history.run(night, ["a"], night=night)
        history.commit(run, ok("a", 0))
    assert of_family(store, history.layout, Family((run,)))["status"].tolist() == ["ok"]
    results = [prefix for prefix in store.listed if prefix.startswith(history.layout.results())]
    assert results == [f"{store_root}/results/night=2026-01-02"]
