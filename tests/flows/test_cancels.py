"""A cancel in the UI of a run that no worker tells of it: it was typed, or its worker has given up to look."""

import json
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from tests.flows.deployed import Server, deployed, working
from tests.flows.processes import wait_for
from tests.flows.test_killed import assert_whole, committed, standing_of
from tests.servers import free_port, prefect_server_at

NAME, ENDLESS = "cancels.parquet", {"optimiser": "adam", "spectrogram_evaluations": 10_000, "tolerance": 0.0}


QUICK = {"GRAMOPHONE_SHARD_PAIRS": "1", "GRAMOPHONE_SPECTROGRAM_EVALUATIONS": "6"}


@pytest.fixture
def manifest(desk):
    """A pair that is done soon, and one that never is."""
    desk.clip("tune", 2.0, "marimba")
    desk.clip("song", 25.0, "marimba")
    desk.clip("texture", 2.0, "bells")
    rows = [
        {"pair_id": "soon", "content_uri": "tune.wav", "style_uri": "texture.wav", "params": "{}"},
        {"pair_id": "never", "content_uri": "song.wav", "style_uri": "texture.wav", "params": json.dumps(ENDLESS)},
    ]
    return desk.manifest(rows, NAME)


def assert_what_is_done_is_committed(desk, root, state):
    found = standing_of(desk, root)
    assert (found["counts"]["ok"], found["reasons"]) == (1, {"preempted": 1})
    assert state.type.value == "CANCELLED"
    assert "1 of 2 pairs done; 1 not reached; ended by SIGTERM. Next: `gramophone rerun" in state.message
    assert_whole(desk, root)


def test_a_run_that_was_typed_and_is_cancelled_in_the_ui_commits_what_is_done(desk, manifest):
    flow = desk.start("run", manifest, "--root", "typed", **QUICK)
    wait_for(lambda: committed(desk.folder / "typed") or flow.poll() is not None, "a committed shard")
    with get_client(sync_client=True) as client:
        [run] = [run for run in client.read_flow_runs() if run.name.startswith(NAME)]
        client.set_flow_run_state(run.id, Cancelling())
        asked = time.monotonic()
        out, err = flow.communicate(timeout=100)
        state = client.read_flow_run(run.id).state
    assert flow.returncode == 130, out + err
    assert time.monotonic() - asked < 40, "ten seconds until it looks, twenty that a SIGTERM may take"
    assert_what_is_done_is_committed(desk, "typed", state)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_a_run_whose_server_was_away_for_a_minute_is_cancelled_all_the_same(desk, manifest, tmp_path):
    port, log = free_port(), tmp_path / "worker.log"
    api = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": str(tmp_path / "prefect")}
    there = replace(desk, environment=desk.environment | api)
    options = {"shard_pairs": 1, "device": "cpu", "threads": 1, "workers_per_device": 1}
    here = f"file://{desk.folder}"  # a flow of a worker is elsewhere
    job = {"manifest": f"{here}/{manifest}", "root": f"{here}/told", "options": options}
    job |= {"parameters": {"spectrogram_evaluations": 6}}
    with temporary_settings({PREFECT_API_URL: api["PREFECT_API_URL"]}), ExitStack() as worker:
        with prefect_server_at(port, tmp_path / "server.log", api), deployed(there) as server:
            worker.enter_context(working(there, log))
            run = server.start("nightly", job)
            wait_for(lambda: committed(desk.folder / "told"), "a committed shard")
        observers = 2  # the worker's own, and that of the run
        gave_up = "flow run cancellation will fail"
        wait_for(lambda: log.read_text().count(gave_up) == observers, log.read_text)
        with prefect_server_at(port, tmp_path / "again.log", api), get_client(sync_client=True) as client:
            Server(client).cancel(run)
            state = Server(client).end_of(run)
    assert_what_is_done_is_committed(desk, "told", state)
