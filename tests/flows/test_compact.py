"""`gramophone compact` as it is typed."""

import pandas as pd

from tests.tasks.test_compact import attempt
from tests.tasks.test_standing import History


def test_a_night_is_merged_once_and_read_as_before(desk):
    history = History(f"{desk.root}")
    run = history.run("1", [f"p{n}" for n in range(5)])
    for shard in range(5):
        history.commit(run, attempt(shard), shard=shard)
    before = desk.ask("metrics", "--json").json
    dry = desk.ask("compact", "--dry-run")
    assert "5 files" in dry.out
    assert not (desk.folder / "root/compacted").exists()
    made = desk.ask("compact", "--json").json
    assert made["nights"] == {"2026-01-01": 5}
    [written] = made["written"]
    assert (written["rows"], len(written["parts"])) == (5, 1)
    assert len(pd.read_parquet(desk.folder / "root" / written["parts"][0])) == 5
    assert desk.ask("metrics", "--json").json == before
    assert "nothing to merge" in desk.ask("compact").out
    history.commit(history.run("2", ["p0"]), attempt(0))
    assert "merged below" in desk.ask("compact", "--night", "2026-01-01").out
    assert len(desk.ask("metrics", "--json").json) == 6
    assert "no results of 1999-01-01" in desk.ask("compact", "--night", "1999-01-01").out
