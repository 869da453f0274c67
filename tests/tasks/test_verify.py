"""`verify` names what does not fit, and goes on."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest

from tasks.layout import Layout
from tasks.records.pair import Attempt
from tasks.records.parameters import Parameters
from tasks.records.run import Options, RunRecord
from tasks.results import commit_shard
from tasks.store import join, open_store
from tasks.verify import verify


class Results:
    """A run of two pairs whose audio is stored."""

    def __init__(self, root, night="2026-01-01", run_id="r", skipped=0, pairs=2):
        self.store, self.layout = open_store(root), Layout(root)
        self.run = RunRecord(
            run_id=run_id, root_run_id=run_id, night=night, created_at=datetime.now(UTC), manifest_uri="m",
            manifest_sha256="m", pairs=pairs, skipped=skipped, shards=2, parameters=Parameters(), options=Options(),
            allowed=(), code_version="1", host="h",
        )  # fmt: skip
        self.store.create(self.layout.run(run_id, "run.json"), self.run.model_dump_json().encode())
        for row in range(2):
            self.commit(row, row)

    def commit(self, shard, row):
        data = b"sound %d" % row
        uri = self.layout.audio(self.run.night, self.run.run_id, f"p{row}", sha256(data).hexdigest(), "flac")
        self.store.commit(uri, data)
        values = {
            "pair_id": f"p{row}", "status": "ok", "audio_uri": uri, "audio_bytes": len(data),
            "audio_sha256": sha256(data).hexdigest(), "tags": [],
        }  # fmt: skip
        curves = {"stage": ["refine"], "total": [float(shard)], "content": [0.5], "style": [0.5]}
        commit_shard(self.store, self.layout, self.run, shard, [Attempt(row, values, curves)], {})

    def faults(self):
        return list(verify(self.store, self.layout))


@pytest.fixture
def results(any_root):
    return Results(any_root)


def test_what_is_right_has_no_fault(results):
    assert results.faults() == []


def test_audio_that_is_gone_or_changed_is_named_with_its_pair(results):
    found = sorted(uri for uri, _ in results.store.list(join(results.layout.root, "audio")))
    results.store.delete(found[0])
    results.store.replace(found[1], b"noise")
    faults = results.faults()
    assert len(faults) == 2
    assert "pair p0 of run r" in faults[0]
    assert "pair p1 of run r" in faults[1]
    assert "not what was written" in faults[1]


def test_results_that_are_damaged_are_named_and_the_others_are_checked(results):
    results.store.replace(results.layout.shard_results("2026-01-01", "r", 0), b"PAR1 and no more")
    [fault] = results.faults()
    assert "shard-00000.parquet cannot be read as parquet" in fault


def test_two_attempts_for_one_row_and_rows_beyond_the_manifest_are_named(results):
    results.commit(2, 1)
    results.commit(3, 7)
    faults = "\n".join(results.faults())
    assert "run r has more than one attempt for manifest row 1" in faults
    assert "manifest row 7, but only 2 rows" in faults


def test_a_run_record_that_is_gone_or_damaged_is_named(results):
    results.store.replace(results.layout.run("r", "run.json"), b"{}")
    assert any("run.json is not as a run writes it" in fault for fault in results.faults())
    results.store.delete(results.layout.run("r", "run.json"))
    assert any("no run.json" in fault for fault in results.faults())


def test_an_ok_row_that_names_no_audio_is_named(results):
    commit_shard(results.store, results.layout, results.run, 2, [Attempt(1, {"pair_id": "p1", "status": "ok"})], {})
    assert "pair p1 of run r: is ok, and names no audio" in results.faults()


def test_curves_that_are_gone_are_named(results):
    first, _ = (uri for uri, _ in results.store.list(join(results.layout.root, "curves")))
    results.store.delete(first)
    [fault] = results.faults()
    assert fault.startswith("curves: ")
