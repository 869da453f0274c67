"""What is of old nights goes, and nothing that a later night rests on; what is broken off is taken up again."""

import pytest

from tasks.at_work import at_work
from tasks.compact import compact, uncovered
from tasks.layout import Layout
from tasks.records import schema
from tasks.records.pair import Attempt
from tasks.results import commit_shard, read_results, read_runs
from tasks.retention import forgotten
from tasks.store import open_store
from tasks.stored import parquet_bytes
from tasks.verify import verify
from tests.tasks.test_verify import Results

IN_THE_FUTURE = 4e9  # by then nothing is young


@pytest.fixture
def nights(any_root):
    """Runs of three nights, two pairs each."""
    return [Results(any_root, f"2026-01-0{day}", f"r{day}") for day in (1, 2, 3)]


@pytest.fixture
def layout(any_root):
    return Layout(any_root)


@pytest.fixture
def store(any_root):
    return open_store(any_root)


def old(store, layout, first="2026-01-03", before=IN_THE_FUTURE):
    return forgotten(store, layout, first, before)


def test_all_of_the_nights_before_goes_and_all_else_stays(nights, store, layout):
    compact(store, layout, "2026-01-01", uncovered(store, layout)["2026-01-01"])
    kept = {uri for uri, _ in store.list(layout.root) if "r3" in uri}
    found = old(store, layout)
    assert found.nights == ("2026-01-01", "2026-01-02")
    assert [refusal for _, refusal in found.removed(store) if refusal] == []
    assert {uri for uri, _ in store.list(layout.root)} == kept
    assert store.stat(layout.generation("2026-01-01", 0)) is None
    assert set(read_results(store, layout)["run_id"]) == {"r3"}
    assert [run.run_id for run in read_runs(store, layout)] == ["r3"]
    assert list(verify(store, layout)) == []
    assert old(store, layout).all == []


def test_audio_that_a_later_row_names_stays(nights, store, layout):
    row = read_results(store, layout, {"r1"}).iloc[0]
    values = {"pair_id": "served", "status": "ok", "served_by": "r1/0", "audio_uri": row["audio_uri"],
              "audio_sha256": row["audio_sha256"], "audio_bytes": int(row["audio_bytes"]), "pair_key": "k",
              "tags": []}  # fmt: skip
    later = Results(layout.root, "2026-01-04", "r4", pairs=3)
    commit_shard(store, layout, later.run, 7, [Attempt(2, values)], {})
    list(old(store, layout).removed(store))
    left = [uri for uri, _ in store.list(layout.all_audio()) if "night=2026-01-01" in uri]
    assert left == [row["audio_uri"]]
    assert list(verify(store, layout)) == []


def test_a_run_that_serves_a_pair_that_a_later_one_skipped_stays_as_it_is(nights, store, layout):
    row = {"manifest_row": 0, "pair_id": "p0", "served_by": "r1/0", "pair_key": "k", "audio_uri": "a"}
    Results(layout.root, "2026-01-04", "r4", skipped=1)
    skipped = parquet_bytes(schema.table_of([row], schema.SKIPPED))
    store.create(layout.run("r4", "skipped.parquet"), skipped)
    found = old(store, layout)
    assert found.nights == ("2026-01-02",)
    list(found.removed(store))
    assert {run.run_id for run in read_runs(store, layout)} == {"r1", "r3", "r4"}


def test_a_run_at_work_and_what_was_written_lately_stay(nights, store, layout):
    with at_work("r1"):
        assert old(store, layout).nights == ("2026-01-02",)
    assert old(store, layout, before=0.0).all == []


@pytest.mark.parametrize("stage", range(6))
def test_a_deletion_that_ends_after_any_stage_leaves_no_row_without_audio_and_is_taken_up_again(
    nights, store, layout, stage
):
    compact(store, layout, "2026-01-01", uncovered(store, layout)["2026-01-01"])
    for done in old(store, layout).stages[: stage + 1]:
        for one in done:
            store.delete(one.uri)
    assert list(verify(store, layout)) == []
    list(old(store, layout).removed(store))
    assert {run.run_id for run in read_runs(store, layout)} == {"r3"}
    assert all("r3" in uri for uri, _ in store.list(layout.root))
    assert store.stat(layout.generation("2026-01-01", 0)) is None


def test_without_a_date_nothing_is_forgotten(nights, store, layout):
    assert old(store, layout, first="").all == []
