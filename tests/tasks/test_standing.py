from datetime import UTC, datetime

import pandas as pd
import pytest

from tasks import attempts
from tasks.at_work import at_work, is_working
from tasks.layout import Layout
from tasks.overrides import checked
from tasks.records import schema
from tasks.records.pair import Attempt, Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import OutOfReach, PairError, Reason, UsageError
from tasks.records.run import EndRecord, Options, RunRecord, Stop
from tasks.results import commit_shard, read_results
from tasks.standing import URIS, across_runs, counts, families_of_night, family_of, of_family, reasons
from tasks.store import open_store
from tasks.stored import parquet_bytes


class History:
    """Runs and attempts written by hand, through the same functions as real ones."""

    def __init__(self, root):
        self.root = root
        self.store, self.layout = open_store(root), Layout(root)

    def run(self, run_id, pairs, parent=None, skipped=(), end=None, night="2026-01-01", manifest="m"):
        record = RunRecord(
            run_id=run_id, parent_run_id=parent, root_run_id=parent or run_id, night=night,
            created_at=datetime.now(UTC), manifest_uri=f"file:///{manifest}.parquet", manifest_sha256="m",
            pairs=len(pairs), skipped=len(skipped), shards=1, parameters=Parameters(), options=Options(), allowed=(),
            code_version="1", host="h",
        )  # fmt: skip
        rows = [{"pair_id": p, "content_uri": f"file:///{p}.wav", "style_uri": "file:///s.wav"} for p in pairs]
        self._write(run_id, "manifest.parquet", schema.table_of(rows, schema.MANIFEST))
        served = [
            {"manifest_row": pairs.index(name), "pair_id": name, "served_by": by, "audio_uri": "x"}
            for name, by in skipped
        ]
        self._write(run_id, "skipped.parquet", schema.table_of(served, schema.SKIPPED))
        self.store.create(self.layout.run(run_id, "run.json"), record.model_dump_json().encode())
        if end:
            self.end(run_id, end)
        return record

    def end(self, run_id, stop):
        record = EndRecord(
            run_id=run_id, stop=stop, exit_code=130, message="", counts={}, reasons={}, ended_at=datetime.now(UTC)
        )
        self.store.create(self.layout.run(run_id, "end.json"), record.model_dump_json().encode())

    def commit(self, run, *found, shard=0):
        commit_shard(self.store, self.layout, run, shard, found, {})

    def standing(self, run_id=None):
        family = family_of(self.store, self.layout, run_id)
        frame = of_family(self.store, self.layout, family)
        brief = of_family(self.store, self.layout, family, brief=True)
        same = [name for name in brief if name not in ("inputs", *URIS)]
        pd.testing.assert_frame_equal(brief[same], frame[same], check_dtype=False)
        left = frame["status"] != "ok"
        pd.testing.assert_frame_equal(brief.loc[left, [*URIS]], frame.loc[left, [*URIS]], check_dtype=False)
        return frame.set_index(frame["pair_id"].fillna("?"))

    def _write(self, run_id, name, table):
        self.store.create(self.layout.run(run_id, name), parquet_bytes(table))


def pair(name, row, params=None):
    inputs = (Input("content", f"file:///{name}.wav", sha256=str(name)), Input("style", "file:///s.wav", sha256="s"))
    return Pair(row, name, inputs, "optimise", params or checked({}))


def ok(name, row, **values):
    return Attempt(row, attempts.of_pair(pair(name, row)) | {"status": "ok", "audio_uri": f"audio-{name}"} | values)


def failed(name, row, reason=Reason.DECODE_ERROR):
    return attempts.failed(pair(name, row), PairError(reason, "why"))


@pytest.fixture
def history(any_root):
    return History(any_root)


def test_the_first_ok_stands_else_the_newest_failure(history):
    first = history.run("1", ["a", "b"], end=Stop.FINISHED)
    history.commit(first, failed("a", 0), failed("b", 1))
    second = history.run("2", ["a", "b"], parent="1", end=Stop.FINISHED)
    history.commit(second, ok("a", 0), failed("b", 1, Reason.DIVERGED))
    third = history.run("3", ["a"], parent="1", end=Stop.FINISHED)
    history.commit(third, failed("a", 0, Reason.BUG))
    frame = history.standing("1")
    assert frame.loc["a", ["status", "run_id"]].tolist() == ["ok", "2"]
    assert frame.loc["b", ["status", "reason"]].tolist() == ["failed", "diverged"]
    assert len(frame) == 2


def test_a_pair_computed_twice_is_shown_once_and_by_its_first_commit(history):
    first = history.run("1", ["a"])
    second = history.run("2", ["a"], parent="1")
    history.commit(first, ok("a", 0))
    history.commit(second, ok("a", 0))
    assert history.standing("1")["run_id"].tolist() == ["1"]
    both = across_runs(read_results(history.store, history.layout))
    assert both["run_id"].tolist() == ["1"]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [(None, "lost"), (Stop.FINISHED, "lost"), (Stop.PREEMPTED, "preempted"), (Stop.CANCELLED, "cancelled")],
)
def test_a_pair_without_an_attempt_is_open_and_says_why(history, stop, reason):
    run = history.run("1", ["a", "b"], end=stop)
    history.commit(run, ok("a", 0))
    frame = history.standing("1")
    assert frame.loc["b", ["status", "reason", "run_id"]].tolist() == ["open", reason, "1"]
    assert counts(frame) == {"pairs": 2, "ok": 1, "failed": 0, "open": 1, "skipped": 0}
    assert reasons(frame) == {reason: 1}
    assert frame["manifest_row"].dtype == "int64", "whole numbers, also beside a pair without an attempt"


def test_while_a_run_works_its_open_pairs_have_no_reason(history):
    history.run("working", ["a"])
    with at_work("working"):
        assert is_working("working")
        assert history.standing("working")["reason"].isna().all()
    assert not is_working("working")
    assert history.standing("working")["reason"].tolist() == ["lost"]


def test_a_skipped_pair_stands_by_the_older_attempt_that_serves_it(history):
    old = history.run("1", ["a", "b"], end=Stop.FINISHED)
    history.commit(old, ok("a", 0, style_loss=0.25), ok("b", 1))
    new = history.run("2", ["renamed", "c"], skipped=[("renamed", "1/0")], end=Stop.FINISHED)
    history.commit(new, ok("c", 1))
    frame = history.standing("2")
    assert frame.loc["renamed", ["status", "run_id", "style_loss", "audio_uri"]].tolist() == [
        "ok",
        "1",
        0.25,
        "audio-a",
    ]
    assert frame["skipped"].tolist() == [True, False]
    assert counts(frame)["ok"] == 2


def test_a_pair_that_its_own_family_serves_counts_as_of_no_earlier_run(history):
    first = history.run("1", ["a", "b"], end=Stop.FINISHED)
    history.commit(first, ok("a", 0), failed("b", 1, Reason.WORKER_LOST))
    history.run("2", ["b"], parent="1", skipped=[("b", "1/0")], end=Stop.FINISHED)
    frame = history.standing("2")
    assert frame["status"].tolist() == ["ok", "ok"]
    assert counts(frame)["skipped"] == 0


def test_a_row_that_serves_what_nobody_asked_for_makes_no_pair_done(history):
    history.commit(history.run("1", ["a"], end=Stop.FINISHED), ok("a", 0))
    history.run("2", ["b", "c"], skipped=[("b", "1/0")], end=Stop.FINISHED)
    damaged = {"manifest_row": 7, "pair_id": "a", "served_by": "1/0", "audio_uri": "x"}
    table = schema.table_of([damaged], schema.SKIPPED)
    history.store.replace(history.layout.run("2", "skipped.parquet"), parquet_bytes(table))
    assert history.standing("2")["status"].tolist() == ["open", "open"]


def test_an_attempt_that_lies_there_twice_serves_as_one(history):
    first = history.run("1", ["a"], end=Stop.FINISHED)
    history.commit(first, ok("a", 0))
    history.commit(first, ok("a", 0), shard=1)
    history.run("2", ["a"], skipped=[("a", "1/0")], end=Stop.FINISHED)
    assert counts(history.standing("2"))["skipped"] == 1


def test_pairs_without_an_id_are_told_apart(history):
    run = history.run("1", [None, None], end=Stop.FINISHED)
    history.commit(run, failed(None, 0, Reason.ROW_INVALID), failed(None, 1, Reason.ROW_INVALID))
    assert len(history.standing("1")) == 2


def test_across_runs_a_failure_before_the_key_was_known_belongs_to_the_pair_with_equal_uris_and_parameters(history):
    first = history.run("1", ["a", "b"], end=Stop.FINISHED)
    unread = attempts.failed(
        Pair(0, "a", (Input("content", "file:///a.wav"), Input("style", "file:///s.wav")), "optimise", checked({})),
        PairError(Reason.INPUT_MISSING, "not there"),
    )
    history.commit(first, unread, failed("b", 1))
    other = history.run("2", ["a"], end=Stop.FINISHED)
    history.commit(other, ok("a", 0))
    frame = across_runs(read_results(history.store, history.layout)).set_index("pair_id")
    assert frame["status"].to_dict() == {"a": "ok", "b": "failed"}


def test_the_latest_run_is_found_and_a_wrong_name_says_so(history):
    with pytest.raises(UsageError, match="gramophone run MANIFEST"):
        history.standing()
    history.run("1", ["a"])
    history.run("2", ["a"])
    history.run("3", ["a"], parent="1")
    assert [run.run_id for run in family_of(history.store, history.layout, None).runs] == ["1", "3"]
    assert [run.run_id for run in family_of(history.store, history.layout, "2").runs] == ["2"]
    with pytest.raises(UsageError, match="the latest is 3"):
        history.standing("4")


def test_standing_of_nothing_is_an_empty_table(history):
    frame = across_runs(read_results(history.store, history.layout))
    assert isinstance(frame, pd.DataFrame)
    assert frame.empty


def test_results_that_somebody_else_committed_first_are_not_overwritten(history):
    run = history.run("1", ["a"])
    assert commit_shard(history.store, history.layout, run, 0, [ok("a", 0)], {})
    assert not commit_shard(history.store, history.layout, run, 0, [failed("a", 0)], {})
    assert read_results(history.store, history.layout)["status"].tolist() == ["ok"]


def test_a_night_is_the_latest_run_of_each_manifest_with_its_reruns(history):
    history.run("1", ["a"])
    history.run("2", ["a"])
    history.run("3", ["a"], parent="2")
    history.run("4", ["b"], manifest="other")
    history.run("5", ["a"], night="2026-01-02")
    found = families_of_night(history.store, history.layout, "2026-01-01")
    assert [[run.run_id for run in family.runs] for family in found] == [["2", "3"], ["4"]]
    assert families_of_night(history.store, history.layout, "2025-12-31") == []


@pytest.mark.parametrize("name", ["run.json", "end.json"])
def test_a_record_that_is_damaged_is_named_with_what_to_do(history, name):
    history.run("r1", ["a"], end=Stop.FINISHED)
    history.store.replace(history.layout.run("r1", name), b'{"run_id": 7}')
    with pytest.raises(OutOfReach, match=f"runs/r1/{name} is not as a run writes it .*move the folder"):
        history.standing()
