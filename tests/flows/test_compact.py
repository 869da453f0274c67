"""`gramophone compact` as it is typed."""

import re

import pandas as pd

from tests.infra.commands import INFRA
from tests.tasks.test_compact import attempt
from tests.tasks.test_standing import History, ok


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


def test_what_the_readme_asks_of_one_style_is_answered_from_the_parts(desk):
    [asked] = re.findall(r"```python\n(.*?)```", (INFRA / "README.md").read_text(), re.DOTALL)
    night = f"file://{desk.folder}/readme"
    history = History(night)
    run = history.run("1", ["a", "b", "c"], night="2026-11-24")
    for row, style in enumerate(("rain", "wind", "rain")):
        history.commit(run, ok("abc"[row], row, style_uri=f"s3://music/library/{style}.flac"), shard=row)
    assert desk.ask("compact", "--root", night).code == 0
    names = {}
    exec(asked.replace("s3://music/gramophone", night), names)
    assert names["rain"]["pair_id"].tolist() == ["a", "c"]
