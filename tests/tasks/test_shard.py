"""A pair that kills its worker, or hangs it, fails alone. The worker processes are real; what they do is the test's."""

import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tasks import attempts
from tasks.device_lock import device_lock
from tasks.layout import Layout
from tasks.overrides import checked
from tasks.plan import Shard
from tasks.records.pair import Attempt, Fault, Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.records.run import Options, RunRecord
from tasks.results import read_results
from tasks.shard import Bench, compute, run_shard
from tasks.store import open_store
from tasks.worker import Worker
from tests.orders import orders


def poisoned(connection, stop, device, threads):
    """A worker that takes a batch in hand and does to itself what the names of its pairs say."""
    for order in orders(connection):
        rows = tuple(pair.manifest_row for pair in order.pairs)
        connection.send(("report", "batch", rows))
        for pair in order.pairs:
            if pair.pair_id.startswith("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            if pair.pair_id.startswith("hang"):
                time.sleep(600)
        for pair in order.pairs:
            if pair.pair_id.startswith("ask"):
                connection.send(("lookup", ["key"]))
                connection.recv()
            connection.send(("attempt", Attempt(pair.manifest_row, attempts.of_pair(pair) | {"status": "ok"})))
        connection.send(("done",))


def pairs(*names):
    inputs = (Input("content", "file:///a.wav"), Input("style", "file:///b.wav"))
    return tuple(Pair(row, name, inputs, "optimise", checked({})) for row, name in enumerate(names))


@pytest.fixture
def bench(store_root):
    run = RunRecord(
        run_id="r", root_run_id="r", night="2026-01-01", created_at=datetime.now(UTC), manifest_uri="file:///m",
        manifest_sha256="m", pairs=8, skipped=0, shards=1, parameters=Parameters(), options=Options(timeout_seconds=2),
        allowed=(), code_version="1", host="h",
    )  # fmt: skip
    seen = []
    heard = {"finished": lambda shard, attempt: seen.append(attempt)}
    found = Bench(store_root, run, lambda keys: {}, [Worker("cpu", 1, poisoned)], **heard)
    yield found
    found.close()


def attempts_of(bench, shard):
    done = {}
    compute(bench, shard, done)
    return list(done.values())


def outcome(found):
    return {a.values["pair_id"]: (a.values["status"], a.values.get("reason")) for a in found}


@pytest.mark.parametrize("name", ["kill", "hang"])
def test_one_bad_pair_of_eight_fails_alone(bench, name):
    names = ["a", "b", "c", f"{name}-it", "e", "f", "g", "h"]
    attempted = attempts_of(bench, Shard(0, pairs(*names)))
    found, tries = outcome(attempted), {a.values["pair_id"]: a.values["tries"] for a in attempted}
    assert found.pop(f"{name}-it") == ("failed", "worker_lost" if name == "kill" else "timeout")
    assert set(found.values()) == {("ok", None)}
    assert len(found) == 7
    assert sum(tries.values()) <= 3 * 8, "bisecting costs at most three times the batch"
    assert tries[f"{name}-it"] > 1


def test_two_bad_pairs_fail_and_say_what_happened(bench):
    found = attempts_of(bench, Shard(0, pairs("kill-1", "b", "c", "kill-2")))
    assert outcome(found)["b"] == outcome(found)["c"] == ("ok", None)
    assert "SIGKILL, also when it was alone" in next(a for a in found if a.manifest_row == 0).values["message"]


def test_a_shard_in_which_something_goes_wrong_on_the_flows_side_commits_what_is_done_and_the_next_one_is_whole(bench):
    heard = []

    def refuse(keys):
        raise PairError(Reason.STORAGE, "not to be looked at")

    broken = replace(bench, lookup=refuse, shard_failed=heard.append)
    with pytest.raises(PairError):
        run_shard(broken, Shard(0, pairs("a", "b", "ask", "d")), {})
    assert [error.message for error in heard] == ["not to be looked at"]
    store, layout = open_store(bench.root), Layout(bench.root)
    assert set(read_results(store, layout).pair_id) == {"a", "b"}
    assert len(run_shard(bench, Shard(1, pairs("e", "f")), {})) == 2, "the worker has not gone on with the first order"


def test_a_faulty_row_reaches_no_worker(bench):
    bad = replace(pairs("kill")[0], faults=(Fault(0, "seed", "-1", Reason.ROW_INVALID, "is negative", "use 0"),))
    [found] = attempts_of(bench, Shard(0, (bad,)))
    assert (found.values["reason"], found.values["tries"]) == ("row_invalid", 1)
    assert "seed = -1: is negative; use 0" in found.values["message"]


def test_one_shard_at_a_time_has_a_device(store_root):
    with device_lock("test:0", lambda: False) as mine:
        assert mine
        with device_lock("test:0", lambda: True) as theirs:
            assert not theirs
