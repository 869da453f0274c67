"""SIGKILL at random moments, of the flow, its worker, the Prefect server and what Ray is made of: a rerun, and all is
exact."""

import os
import random
import secrets
import signal
import time
from collections import Counter

import pandas as pd
import pytest

from tasks.audio import encode
from tasks.clips import synthesise
from tasks.layout import Layout
from tasks.results import read_results, read_runs
from tasks.standing import across_runs, family_of, of_family
from tasks.store import join, open_store
from tasks.verify import verify
from tests.flows.processes import children_of, command_of, is_alive, needs_proc, wait_for
from tests.flows.test_faults import BRISK, FAULTS
from tests.proxy import proxy_to

PAIRS = 8
TARGETS = {
    "flow": "flows.cli",
    "worker": "spawn_main",
    "server": "flows.local_server",
    "host": "ray::Host",
    "node": "/raylet/raylet --",
    "head": "/gcs/gcs_server --",
}
"""What is killed, by what its command line has in it; the last three are there on Ray only."""
SEED = int(os.environ.get("CHAOS_SEED", "1"))
SHARDS = {"GRAMOPHONE_SHARD_PAIRS": "2", "GRAMOPHONE_SPECTROGRAM_EVALUATIONS": "60"}


@pytest.fixture(scope="module")
def bucket(s3_server):
    uri = join(s3_server, f"kills-{secrets.token_hex(4)}")
    store = open_store(uri)
    for name, kind in (("tune", "marimba"), ("texture", "bells")):
        store.create(join(uri, f"{name}.flac"), encode(synthesise(kind, 2.0, 8_000), 8_000, "flac"))
    return uri


def made_manifest(bucket, turn):
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.flac", "style_uri": "texture.flac", "seed": 100 * turn + n}
        for n in range(PAIRS)
    ]
    manifest = join(bucket, f"manifest-{secrets.token_hex(4)}.parquet")
    open_store(bucket).create(manifest, pd.DataFrame(rows).to_parquet())
    return manifest


def begin(desk, manifest, root, own_server=False):
    """A run with a Prefect server of its own, or with the suite's."""
    own = {"PREFECT_API_URL": "", "PREFECT_HOME": str(desk.folder / "own-prefect")} if own_server else {}
    return desk.start("run", manifest, "--root", root, **SHARDS, **own)


def victim(flow, target):
    """The process to kill, once it is there."""
    if target == "flow":
        return flow.pid
    return next((pid for pid in children_of(flow.pid) if TARGETS[target] in command_of(pid)), None)


def kill_at(flow, target, committed, shards, pause):
    """Kill `target` some seconds after so many shards are committed; whether it was there to be killed.

    By what is committed and not by the clock: how fast a machine is changes nothing about where a run is hit.
    """
    wait_for(lambda: flow.poll() is not None or victim(flow, target), target, 600)
    wait_for(lambda: flow.poll() is not None or len(committed()) >= shards, f"{shards} shards", 600)
    time.sleep(pause)
    pid = victim(flow, target)
    if pid is None or not is_alive(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    return True


@needs_proc
@pytest.mark.chaos
@pytest.mark.timeout(5400)
def test_ten_kills_at_random_moments_lose_nothing_and_recompute_nothing(desk, bucket, engine):
    rng, targets, hits = random.Random(SEED), list(TARGETS)[: None if engine == "ray" else 3], Counter()
    store, layout = open_store(bucket), Layout(join(bucket, engine))

    def committed():
        return {uri for uri, _ in store.list(layout.results())}

    for turn in range(1, 13 if engine == "ray" else 11):
        target = targets[turn % len(targets)]
        known, there = {run.run_id for run in read_runs(store, layout)}, committed()
        manifest = made_manifest(bucket, turn)
        flow = begin(desk, manifest, layout.root, own_server=target == "server")
        shards = rng.randrange(PAIRS // 2)
        pause = rng.uniform(0, 2) if shards else rng.uniform(0, 10)  # the start takes longer than a shard
        hit = kill_at(flow, target, lambda there=there: committed() - there, shards, pause)
        hits[target] += hit
        flow.communicate(timeout=600)
        before = read_results(store, layout)
        fresh = [run for run in read_runs(store, layout) if run.run_id not in known]
        if fresh:
            again = desk.type("rerun", fresh[0].run_id, "--root", layout.root)
        else:  # killed before there was a run: it is begun again
            again = desk.type("run", manifest, "--root", layout.root, **SHARDS)
        assert again.code == 0, again.out + again.err
        family = family_of(store, layout, None if not fresh else fresh[0].run_id)
        stood = of_family(store, layout, family)
        assert (stood.status == "ok").all()
        assert len(stood) == PAIRS
        after = read_results(store, layout)
        mine = after[after.run_id.isin([run.run_id for run in family.runs]) & (after.status == "ok")]
        assert mine.pair_id.is_unique, "what was committed was computed again"
        assert set(before.audio_uri.dropna()) <= set(after.audio_uri.dropna())
        assert list(verify(store, layout)) == []
        kept = len(before[before.run_id.isin([run.run_id for run in family.runs])])
        print(
            f"seed {SEED}, {engine}, kill {turn}: {target} {pause:.1f} s after shard {shards} of {PAIRS // 2}"
            f"{'' if hit else ', had ended'}, code {flow.returncode}; {kept} of {PAIRS} were committed, rerun computed "
            f"{len(mine) - kept}"
        )
    assert hits.total() >= 7, "most runs were still there to be hit"
    assert all(hits[target] for target in targets), hits


@needs_proc
@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_fifty_kills_of_two_runs_at_once_on_faulty_storage_lose_nothing(desk, bucket, s3_address):
    rng = random.Random(SEED)
    root, hits, pairs, written, requests = join(bucket, "at-once"), 0, 0, 0, 0
    store, layout = open_store(bucket), Layout(root)
    for turn in range(100, 160):
        manifest = made_manifest(bucket, turn)
        with proxy_to(s3_address, seed=SEED + turn, share=0.1, faults=FAULTS) as proxy:
            there = {"GRAMOPHONE_S3_ENDPOINT": proxy.url, **BRISK, **SHARDS}
            machines = [desk.folder / f"machine-{turn}-{n}" for n in range(2)]
            for machine in machines:
                machine.mkdir()
            runs = [desk.start("run", manifest, "--root", root, **there, TMPDIR=str(machine)) for machine in machines]
            for run in runs:
                target, pause = rng.choice(["flow", "worker"]), rng.uniform(0, 8)
                hits += kill_at(run, target, lambda: (), 0, pause)
            for run in runs:
                run.communicate(timeout=600)
            ended = desk.type("run", manifest, "--root", root, **there)
            requests += len(proxy.seen)
        assert ended.code == 0, ended.out + ended.err
        pairs += PAIRS
        rows = read_results(store, layout)
        assert not rows.duplicated(["run_id", "manifest_row"]).any()
        assert len(across_runs(rows)) == pairs, "each pair stands once"
        assert (across_runs(rows).status == "ok").all()
        assert list(verify(store, layout)) == []
        written = sum(1 for _ in store.list(layout.all_audio()))
        print(f"{hits} kills, {requests} requests: {pairs} pairs stand, {written} audio objects", flush=True)
        if hits >= 50:
            break
    assert hits >= 50
    print(
        f"seed {SEED}: {hits} kills of two runs at once, one request in ten faulty: 0 of {pairs} pairs lost, 0 rows "
        f"duplicated, 0 without audio; extra compute {written / pairs - 1:.1%} (two runs at once compute the same pair "
        "up to twice)"
    )


@needs_proc
@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_killed_worker_is_replaced_and_its_pairs_are_tried_again(desk, bucket):
    flow = begin(desk, made_manifest(bucket, 99), join(bucket, "one"))
    pid = wait_for(lambda: victim(flow, "worker"), "the worker")
    wait_for(lambda: flow.poll() is not None or len(children_of(pid)) > 0, "its decoders")
    os.kill(pid, signal.SIGKILL)
    out, err = flow.communicate(timeout=600)
    assert flow.returncode == 0, out + err
    assert f"{PAIRS} of {PAIRS} pairs done" in out
