"""A stopped container: SIGTERM to process 1, which is `flows.graceful` around a Prefect worker."""

import secrets
import signal
import subprocess
import sys
import time

import pytest

from flows import graceful
from tasks.layout import Layout
from tasks.store import join
from tasks.verify import verify
from tests.flows.conftest import SLOW
from tests.flows.deployed import SETTINGS
from tests.flows.processes import is_alive, needs_proc, wait_for
from tests.flows.test_deployed import Place
from tests.servers import stop

pytestmark = needs_proc

FLOW = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: (print('committed', flush=True), exit())); {}"
WORKER = """
import signal, subprocess, sys, time
flow = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
signal.signal(signal.SIGTERM, lambda *_: (print("worker told", flow.poll(), flush=True), flow.kill(), sys.exit(5)))
print("begun", flow.pid, flush=True)
time.sleep(600)
"""


def started(flow):
    command = [sys.executable, "-m", "flows.graceful", sys.executable, "-c", WORKER, flow]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("begun")
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_flow_is_told_and_ends_before_its_worker_is(number):
    process = started(FLOW.format("print('ready', flush=True); time.sleep(600)"))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "committed\nworker told 0\n"
    assert process.returncode == 0


def test_a_flow_that_does_not_end_is_given_up(monkeypatch):
    monkeypatch.setattr(graceful, "SECONDS", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {}"
    deaf = deaf.format("time.sleep(600)")
    worker = subprocess.Popen([sys.executable, "-c", WORKER, deaf], stdout=subprocess.PIPE, text=True)
    flow = int(worker.stdout.readline().split()[1])
    assert worker.stdout.readline() == "ready\n"
    graceful._end_flows(worker)
    assert is_alive(flow)
    worker.terminate()
    worker.communicate(timeout=60)
    wait_for(lambda: not is_alive(flow), "the end of the flow")


def test_a_worker_that_ends_by_itself_ends_the_container_with_its_code():
    command = [sys.executable, "-m", "flows.graceful", sys.executable, "-c", "raise SystemExit(3)"]
    assert subprocess.run(command, timeout=60, check=False).returncode == 3


@pytest.mark.slow
def test_a_worker_that_is_stopped_commits_what_is_done_and_its_run_says_so(desk, server, s3_server, tmp_path):
    place = Place(join(s3_server, f"graceful-{secrets.token_hex(4)}"))
    command = [sys.executable, "-m", "flows.graceful", sys.executable, "-m", "prefect", "worker", "start"]
    with (tmp_path / "log").open("wb") as sink:
        worker = subprocess.Popen(
            [*command, "--pool", "gramophone"], env=desk.environment | SETTINGS, cwd=desk.folder, stdout=sink,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        run = server.start("nightly", place.job("stopped", ["tune-0", "tune-1"] * 2, SLOW))
        wait_for(lambda: place.committed("stopped"), "a committed shard")
        worker.terminate()
        asked = time.monotonic()
        end = wait_for(lambda: place.end("stopped"), "the verdict", 30)
        assert time.monotonic() - asked < 20
        assert worker.wait(30) == 0
    finally:
        stop(worker)
    assert (end.exit_code, end.reasons) == (130, {"preempted": 4 - end.counts["ok"]})
    assert list(verify(place.store, Layout(join(place.uri, "stopped")))) == []
    state = server.end_of(run)
    assert state.type.value == "FAILED"
    assert "gramophone rerun" in state.message
