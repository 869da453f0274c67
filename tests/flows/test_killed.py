"""A run that is ended in the middle, by all means; then a rerun."""

import os
import signal
import time
from pathlib import Path
from zlib import crc32

import httpx
import pytest

from tasks.layout import Layout
from tasks.results import read_results
from tasks.store import open_store
from tasks.verify import verify
from tests.flows.processes import children_of, command_of, cpu_seconds, is_alive, needs_proc, parent_of, wait_for
from tests.servers import free_port, prefect_server_at

# Long enough to be caught in the middle, on any machine: the test waits for its first committed shard.
SLOW = {
    "GRAMOPHONE_SPECTROGRAM_EVALUATIONS": "50",
    "GRAMOPHONE_REFINE_EVALUATIONS": "25",
    "GRAMOPHONE_SHARD_PAIRS": "2",
}
PAIRS = 6


@pytest.fixture
def manifest(desk, request):
    """Pairs of its own for each test: another seed is another output."""
    desk.clip("tune", 2.0, "marimba")
    desk.clip("texture", 2.0, "bells")
    seed = crc32(request.node.name.encode())
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.wav", "style_uri": "texture.wav", "seed": seed + n}
        for n in range(PAIRS)
    ]
    return desk.manifest(rows, f"{request.node.name[:40]}.parquet")


SOONER = ("--set", "spectrogram_evaluations=6", "--set", "refine_evaluations=4")
"""What a rerun does soon: nobody stops it in the middle."""


def committed(root: Path):
    return list(root.glob("results/*/*/shard-*.parquet"))


def standing_of(desk, root):
    return desk.ask("status", "--latest", "--root", root, "--json").json


def assert_whole(desk, root):
    uri = f"file://{desk.folder}/{root}"
    assert list(verify(open_store(uri), Layout(uri))) == []


@needs_proc
def test_a_killed_flow_takes_its_workers_with_it_and_a_rerun_does_the_rest(desk, manifest):
    root = "killed"
    flow = desk.start("run", manifest, "--root", root, **SLOW)
    wait_for(lambda: committed(desk.folder / root) or flow.poll() is not None, "a committed shard")
    assert flow.poll() is None
    family = children_of(flow.pid)
    os.kill(flow.pid, signal.SIGKILL)
    flow.communicate()
    before = len(committed(desk.folder / root))
    assert 0 < before < PAIRS // 2
    wait_for(lambda: not any(is_alive(pid) for pid in family), "the workers to end", 20)
    found = standing_of(desk, root)
    assert found["reasons"] == {"lost": PAIRS - 2 * before}
    again = desk.ask("rerun", "--latest", "--root", root, *SOONER)
    assert again.code == 0, again.err
    found = standing_of(desk, root)
    assert found["counts"]["ok"] == PAIRS
    assert [run["pairs"] for run in found["runs"]] == [PAIRS, PAIRS - 2 * before]
    assert_whole(desk, root)


@needs_proc
def test_a_night_on_two_workers_of_which_one_is_killed_ends_complete(desk, manifest):
    root = "two-workers"
    less = {"GRAMOPHONE_SPECTROGRAM_EVALUATIONS": "30", "GRAMOPHONE_REFINE_EVALUATIONS": "20"}
    asked = ("--workers-per-device", "2", "--shard-pairs", "1")
    flow = desk.start("run", manifest, "--root", root, *asked, **less)
    wait_for(lambda: len(committed(desk.folder / root)) > 1 or flow.poll() is not None, "two committed shards")
    workers = [pid for pid in children_of(flow.pid) if parent_of(pid) == flow.pid and "spawn_main" in command_of(pid)]
    assert len(workers) == 2
    before = cpu_seconds(workers[0])
    wait_for(lambda: cpu_seconds(workers[0]) > before + 0.3, "it to compute: from one pair to the next it has none")
    os.kill(workers[0], signal.SIGKILL)
    out, err = flow.communicate(timeout=240)
    assert flow.returncode == 0, err
    assert f"{PAIRS} of {PAIRS} pairs done" in out
    uri = f"file://{desk.folder}/{root}"
    rows = read_results(open_store(uri), Layout(uri))
    assert sorted(rows.pair_id) == [f"p{n}" for n in range(PAIRS)]
    assert sorted(rows.tries) == [1] * (PAIRS - 1) + [2]
    assert_whole(desk, root)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_local_prefect_server_is_gone_with_its_run(desk, manifest, number):
    root = f"local-{number.name}"
    own = {"PREFECT_API_URL": "", "PREFECT_HOME": str(desk.folder / "own-prefect")}
    flow = desk.start("run", manifest, "--root", root, **SLOW, **own)
    wait_for(lambda: committed(desk.folder / root) or flow.poll() is not None, "a committed shard")
    family = children_of(flow.pid)
    assert any("flows.local_server" in command_of(pid) for pid in family)
    # As a terminal does it: Ctrl-C goes to the whole group, the server has one of its own.
    os.killpg(flow.pid, number)
    _, err = flow.communicate(timeout=60)
    wait_for(lambda: not any(is_alive(pid) for pid in family), "all its processes to end", 20)
    if number == signal.SIGINT:
        assert flow.returncode == 130, err
        assert "Error" not in err, err
        assert "does not answer" not in err


@pytest.mark.slow
def test_a_prefect_api_that_goes_away_for_good_changes_neither_the_results_nor_the_code(desk, manifest):
    port, root = free_port(), "api-gone"
    api = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": str(desk.folder / "other-prefect")}
    with prefect_server_at(port, desk.folder / "other-server.log", api) as server:
        flow = desk.start("run", manifest, "--root", root, **SLOW, **api)
        wait_for(lambda: committed(desk.folder / root) or flow.poll() is not None, "a committed shard")
        server.kill()
        gone = time.monotonic()
        out, err = flow.communicate(timeout=240)
    assert flow.returncode == 0, err
    print(f"ended {time.monotonic() - gone:.0f} s after the API was gone")
    assert f"{PAIRS} of {PAIRS} pairs done" in out
    assert_whole(desk, root)


@pytest.mark.slow
def test_a_prefect_api_that_is_away_for_half_a_minute_goes_unnoticed(desk, manifest):
    port, root = free_port(), "api-away"
    api = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": str(desk.folder / "third-prefect")}
    log = desk.folder / "third-server.log"
    with prefect_server_at(port, log, api) as server:
        flow = desk.start("run", manifest, "--root", root, **SLOW, **api)
        wait_for(lambda: committed(desk.folder / root) or flow.poll() is not None, "a committed shard")
        server.kill()
        server.wait()
        time.sleep(30)  # what is promised, in seconds
    with prefect_server_at(port, log, api):
        out, err = flow.communicate(timeout=180)
        assert flow.returncode == 0, err
        assert "does not answer" not in err
        assert f"{PAIRS} of {PAIRS} pairs done" in out
        filtered = httpx.post(f"{api['PREFECT_API_URL']}/flow_runs/filter", json={}).json()
    assert [(run["state_type"], run["state"]["message"]) for run in filtered] == [
        ("COMPLETED", f"{PAIRS} of {PAIRS} pairs done")
    ]
    assert_whole(desk, root)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGTERM, "preempted"), pytest.param(signal.SIGINT, "cancelled", marks=pytest.mark.slow)],
)
def test_a_signalled_run_commits_what_is_done_and_leaves_the_rest_to_a_rerun(desk, manifest, number, reason):
    root = f"signalled-{reason}"
    flow = desk.start("run", manifest, "--root", root, **SLOW)
    wait_for(lambda: committed(desk.folder / root) or flow.poll() is not None, "a committed shard")
    if reason == "cancelled":
        flow.stderr.close()  # as `2>&1 | head` does: nobody hears what it says about stopping
    flow.send_signal(number)
    sent = time.monotonic()
    out, err = flow.communicate(timeout=60)
    assert flow.returncode == 130, err
    assert time.monotonic() - sent < 20  # promise 6, and storage's grace of 30 s
    found = standing_of(desk, root)
    assert found["reasons"].keys() == {reason}
    assert found["counts"]["ok"] + found["counts"]["open"] == PAIRS
    assert "not reached" in out
    assert_whole(desk, root)
    if reason == "cancelled":
        return  # a rerun goes by the results, whichever signal it was
    again = desk.ask("rerun", "--latest", "--reason", reason, "--root", root, *SOONER)
    assert again.code == 0, again.err
    assert standing_of(desk, root)["counts"]["ok"] == PAIRS
    assert_whole(desk, root)
