"""Workers on a real Ray cluster of this machine: what is killed there, and what a shard makes of it."""

import os
import platform
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from tasks.engines.ray_cluster import made
from tasks.layout import Layout
from tasks.overrides import checked
from tasks.plan import Shard
from tasks.records.pair import Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import OutOfReach, PairError, Reason
from tasks.records.run import Options, RunRecord
from tasks.results import read_results
from tasks.shard import Bench, compute, run_shard
from tasks.store import open_store
from tests.flows.processes import is_alive, needs_proc, wait_for
from tests.tasks.engines.puppet import puppet


@pytest.fixture(scope="module")
def cluster():
    with made() as cluster:
        yield replace(cluster, settings={"GRAMOPHONE_S3_REGION": "handed-over"})


def ray_worker(cluster, folder, **place):
    from tasks.engines.ray_worker import RayWorker  # once Ray knows how

    return RayWorker(cluster, "cpu", 1, **{"cpus": 1, **place}, entry=partial(puppet, str(folder)))


def pairs(*names):
    inputs = (Input("content", "file:///a.wav"), Input("style", "file:///b.wav"))
    return tuple(Pair(row, name, inputs, "optimise", checked({})) for row, name in enumerate(names))


def bench_of(store_root, *workers, **more):
    run = RunRecord(
        run_id="r", root_run_id="r", night="2026-01-01", created_at=datetime.now(UTC), manifest_uri="file:///m",
        manifest_sha256="m", pairs=8, skipped=0, shards=1, parameters=Parameters(), options=Options(timeout_seconds=3),
        allowed=(), code_version="1", host="h",
    )  # fmt: skip
    return Bench(store_root, run, **{"lookup": lambda keys: {}, "workers": list(workers)} | more)


@pytest.fixture
def bench(cluster, tmp_path, store_root):
    worker = ray_worker(cluster, tmp_path)
    yield bench_of(store_root, worker)
    worker.close()


def outcome(attempts):
    return {a.values["pair_id"]: (a.values["status"], a.values.get("reason")) for a in attempts}


def attempts_of(bench, shard):
    done = {}
    compute(bench, shard, done)
    return list(done.values())


def begun(folder):
    """(pair, host's pid, worker's pid) of all that was begun, in order."""
    log = folder / "log"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(name, int(host), int(worker)) for name, host, worker in lines]


@contextmanager
def going_on(bench, folder, shard, until):
    """A shard meanwhile: it has begun with the pair `until`, and we have heard of those before; lists its attempts."""
    found, heard = [], []
    bench = replace(bench, finished=lambda number, attempt: heard.append(attempt))
    thread = threading.Thread(target=lambda: found.extend(run_shard(bench, shard, {})))
    thread.start()
    wait_for(lambda: any(name == until and len(heard) == n for n, (name, *_) in enumerate(begun(folder))), until, 60)
    yield found
    thread.join(120)
    assert not thread.is_alive()


def test_two_shards_meet_the_same_warm_worker_which_has_the_settings_and_tells_its_own_machine(bench, tmp_path):
    first = attempts_of(bench, Shard(0, pairs("a", "b")))
    attempts_of(bench, Shard(1, pairs("c")))
    assert len({worker for *_, worker in begun(tmp_path)}) == 1
    assert [a.values["message"] for a in first] == ["handed-over"] * 2
    assert {a.values["host"] for a in first} == {platform.node()}


@pytest.mark.parametrize("name", ["kill", pytest.param("hang", marks=pytest.mark.chaos)])
def test_one_bad_pair_of_eight_fails_alone(bench, name):
    found = outcome(attempts_of(bench, Shard(0, pairs("a", "b", "c", f"{name}-it", "e", "f", "g", "h"))))
    assert found.pop(f"{name}-it") == ("failed", "worker_lost" if name == "kill" else "timeout")
    assert list(found.values()) == [("ok", None)] * 7


@needs_proc
@pytest.mark.parametrize("victim", ["host", pytest.param("worker", marks=pytest.mark.chaos)])
def test_what_is_killed_in_mid_shard_costs_only_the_pairs_in_hand(bench, tmp_path, victim):
    with going_on(bench, tmp_path, Shard(0, pairs("a", "wait", "c")), "wait") as found:
        _, host, worker = begun(tmp_path)[-1]
        os.kill({"host": host, "worker": worker}[victim], signal.SIGKILL)
        wait_for(lambda: not is_alive(worker), "the worker to end with its host", 20)
        (tmp_path / "go").touch()
    assert set(outcome(found).values()) == {("ok", None)}
    names = [name for name, *_ in begun(tmp_path)]
    assert names.count("a") == 1, "it was done"
    assert len({host for _, host, _ in begun(tmp_path)}) == (2 if victim == "host" else 1)
    rows = read_results(open_store(bench.root), Layout(bench.root))
    assert sorted(rows.pair_id) == ["a", "c", "wait"]


@needs_proc
@pytest.mark.chaos
def test_a_host_that_gives_no_answer_is_ended_and_counts_as_hung(bench, tmp_path, monkeypatch):
    from tasks.engines import ray_worker as module

    monkeypatch.setattr(module, "ANSWER_SECONDS", 2.0)
    with going_on(bench, tmp_path, Shard(0, pairs("a", "wait")), "wait") as found:
        _, host, _ = begun(tmp_path)[-1]
        os.kill(host, signal.SIGSTOP)
        (tmp_path / "go").touch()
    assert set(outcome(found).values()) == {("ok", None)}
    wait_for(lambda: not is_alive(host), "its end", 60)


@needs_proc
@pytest.mark.chaos
def test_a_host_that_is_lost_between_shards_costs_nothing(bench, tmp_path):
    attempts_of(bench, Shard(0, pairs("a")))
    [(_, host, _)] = begun(tmp_path)
    os.kill(host, signal.SIGKILL)
    wait_for(lambda: not is_alive(host), "its end", 20)
    [found] = attempts_of(bench, Shard(1, pairs("b")))
    assert (found.values["status"], found.values["tries"]) == ("ok", 1)


def test_a_wish_to_stop_reaches_the_worker_and_what_is_done_is_committed(cluster, tmp_path, store_root):
    stop, worker = threading.Event(), ray_worker(cluster, tmp_path)
    bench = bench_of(store_root, worker, stopping=stop.is_set)
    with going_on(bench, tmp_path, Shard(0, pairs("a", "wait", "c")), "wait") as found:
        stop.set()
    assert list(outcome(found)) == ["a"]
    assert is_alive(begun(tmp_path)[-1][2]), "it was asked, and not killed"
    worker.close()


@pytest.mark.chaos
def test_the_driver_answers_what_a_worker_looks_up_and_a_fault_of_its_own_leaves_the_next_shard_whole(bench):
    [found] = attempts_of(replace(bench, lookup=lambda keys: {keys[0]: {"served_by": "r/7"}}), Shard(0, pairs("ask")))
    assert found.values["served_by"] == "r/7"

    def refuse(keys):
        raise PairError(Reason.STORAGE, "not to be looked at")

    with pytest.raises(PairError):
        run_shard(replace(bench, lookup=refuse), Shard(1, pairs("a", "ask", "c")), {})
    assert list(outcome(attempts_of(bench, Shard(2, pairs("d", "e"))))) == ["d", "e"]


@pytest.mark.chaos
def test_a_worker_that_has_no_place_leaves_its_shard_to_one_that_has(cluster, tmp_path, store_root):
    placed, homeless = ray_worker(cluster, tmp_path), ray_worker(cluster, tmp_path, cpus=0, gpus=1)
    found = attempts_of(bench_of(store_root, placed, homeless), Shard(0, pairs("a")))
    assert outcome(found) == {"a": ("ok", None)}
    placed.close()
    homeless.close()


def test_a_cluster_without_a_place_for_any_worker_is_said_so(cluster, tmp_path, store_root, monkeypatch):
    from tasks.engines import ray_cluster
    from tasks.engines import ray_worker as module

    monkeypatch.setattr(ray_cluster, "PLACE_SECONDS", 1.0)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 1.0)
    homeless = ray_worker(cluster, tmp_path, cpus=0, gpus=1)
    with pytest.raises(OutOfReach, match=r"no place with 1 GPU .* `ray status`"):
        attempts_of(bench_of(store_root, homeless), Shard(0, pairs("a")))
    homeless.close()


def test_a_shard_goes_to_a_worker_whose_node_has_our_gramophone_where_another_is_refused(
    cluster, tmp_path, store_root, monkeypatch
):
    from tasks.engines import ray_worker as module

    right, wrong = ray_worker(cluster, tmp_path), ray_worker(cluster, tmp_path)
    accepted = module._accepted

    def only_right(node):
        if wrong._actor is not None and right._actor is None:
            raise OutOfReach("another Gramophone")
        return accepted(node)

    bench = bench_of(store_root, right)
    assert outcome(attempts_of(bench, Shard(0, pairs("a")))) == {"a": ("ok", None)}
    right.close()
    monkeypatch.setattr(module, "_accepted", only_right)
    bench = replace(bench, workers=[right, wrong])
    assert outcome(attempts_of(bench, Shard(1, pairs("b")))) == {"b": ("ok", None)}
    right.close()
    wrong.close()


def test_where_no_node_has_our_gramophone_the_first_is_refused_in_words(cluster, tmp_path, store_root, monkeypatch):
    from tasks.engines import ray_worker as module

    bench = bench_of(store_root, ray_worker(replace(cluster, accepted=False), tmp_path))
    monkeypatch.setattr(module, "code_version", lambda: "0.0.9+12345678")
    with pytest.raises(OutOfReach, match=r"has Gramophone .*, and here it is 0.0.9\+12345678: install the same"):
        attempts_of(bench, Shard(0, pairs("a")))
