"""SIGTERM, Ctrl-C, a cancel in the UI, a Prefect API that goes away, whenever they come: what is committed stays."""

import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tasks.layout import Layout
from tasks.results import read_end, read_runs
from tasks.standing import family_of, of_family
from tasks.store import join, open_store
from tasks.verify import verify
from tests.flows.conftest import PATIENCE_SECONDS, SLOW, prefix_of_pairs
from tests.flows.deployed import working
from tests.flows.processes import children_of, command_of, needs_proc, wait_for
from tests.proxy import Proxy, Seen, proxy_to
from tests.servers import free_port, prefect_server_at

pytestmark = needs_proc
PAIRS, SHARD = 4, 2
LAST = f"shard-{PAIRS // SHARD - 1:05d}.parquet"


@dataclass(frozen=True)
class Moment:
    """A request that shows how far a run has come, and whether all its pairs are done by then."""

    request: Callable[[Seen], bool]
    all_done: bool = False
    waits: bool = False  # for a manifest that does not come


def asks(method, part, **more):
    return Moment(lambda seen: seen.method == method and re.search(part, seen.path) is not None, **more)


MOMENTS = {
    "the manifest is waited for": asks("HEAD", "/later.parquet", waits=True),
    "it is planned": asks("HEAD", "/tune.flac"),
    "older results are read": asks("GET", "list-type=2"),
    "the store is probed": asks("PUT", "/probe/"),
    "it is recorded": asks("PUT", "/run.json"),
    "its first input is read": asks("GET", "/tune.flac"),
    "its first audio is stored": asks("PUT", "/audio/"),
    "its first shard is committed": asks("PUT", "/results/"),
    "its last shard is committed": asks("PUT", f"/results/.*/{LAST}", all_done=True),
    "its end is written": asks("PUT", "/end.json", all_done=True),
}
QUICK_ONES = {
    ("the manifest is waited for", signal.SIGTERM),
    ("it is planned", signal.SIGINT),
    ("its end is written", signal.SIGTERM),
}


@pytest.fixture(scope="module")
def prefix(s3_server):
    return prefix_of_pairs(s3_server, "stops", PAIRS)


def send(pid, number):
    """As it happens: a machine tells the process, a terminal its whole group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number) if number == signal.SIGINT else os.kill(pid, number)


def start(desk, prefix, root, proxy, waits=False, **environment):
    manifest = "later.parquet" if waits else "manifest.parquet"
    more = ("--wait", "10m") if waits else ()
    alone = ("--workers-per-device", "1")  # one shard after the other, wherever
    given = ("run", join(prefix, manifest), "--root", root, "--shard-pairs", str(SHARD), *alone, *more)
    return desk.start(*given, GRAMOPHONE_S3_ENDPOINT=proxy.url, **environment)


def at(proxy: Proxy, moment: Moment, do: Callable[[], object]) -> list[int]:
    """Do something once, before the first request that shows this moment goes on; lists that request."""
    hit: list[int] = []

    def before(n: int) -> None:
        if not hit and moment.request(proxy.seen[n]):
            hit.append(n)
            do()

    proxy.before = before
    return hit


def ended(flow):
    out, err = flow.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in out + err, err
    return out, err


def assert_the_rest_is_done_by_another_command(desk, prefix, root, committed):
    """A rerun where there is a run, else the run itself; what was committed is still there, and not done again."""
    store, layout = open_store(root), Layout(root)
    again = ("rerun", "--latest") if read_runs(store, layout) else ("run", join(prefix, "manifest.parquet"))
    done = desk.type(*again, "--root", root)
    assert done.code == 0, done.out + done.err
    stood = of_family(store, layout, family_of(store, layout, None))
    assert len(stood) == PAIRS
    assert (stood.status == "ok").all()
    assert committed <= results_of(root)
    assert sum(1 for _ in store.list(layout.all_audio())) == PAIRS, "nothing was computed twice"
    assert list(verify(store, layout)) == []


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("pause", [0.0, 0.5, 1.0, 2.0, 4.0])
def test_a_run_that_is_signalled_while_prefect_starts(desk, prefix, s3_address, engine, number, pause):
    """Between the plan and the run no request tells how far it is."""
    root = join(prefix, secrets.token_hex(4))
    with proxy_to(s3_address) as proxy:
        flow = start(desk, prefix, root, proxy)
        assert flow.stderr.readline().startswith("run ")
        time.sleep(pause)
        send(flow.pid, number)
        out, err = ended(flow)
    assert flow.returncode == 130, out + err
    assert_the_rest_is_done_by_another_command(desk, prefix, root, results_of(root))


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_ctrl_c_while_the_worker_starts_is_the_flows_alone(desk, prefix, s3_address, engine):
    root = join(prefix, secrets.token_hex(4))
    with proxy_to(s3_address) as proxy:
        flow = start(desk, prefix, root, proxy)
        wait_for(lambda: any("spawn_main" in command_of(pid) for pid in children_of(flow.pid)), "the worker")
        send(flow.pid, signal.SIGINT)
        out, err = ended(flow)
    assert flow.returncode == 130, out + err
    assert_the_rest_is_done_by_another_command(desk, prefix, root, results_of(root))


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "code"),
    [("it is planned", 4), ("it is recorded", 0), ("its first shard is committed", 0), ("its end is written", 0)],
)
def test_a_prefect_api_that_is_gone_for_good_from_the_moment_when(desk, prefix, s3_address, engine, name, code):
    port, root = free_port(), join(prefix, secrets.token_hex(4))
    api = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": str(desk.folder / f"gone-{port}")}
    log = desk.folder / f"gone-{port}.log"
    with prefect_server_at(port, log, api) as server, proxy_to(s3_address) as proxy:
        flow = start(desk, prefix, root, proxy, **api)
        hit = at(proxy, MOMENTS[name], server.kill)
        out, err = ended(flow)
    assert hit
    assert flow.returncode == code, out + err
    store, layout = open_store(root), Layout(root)
    assert list(verify(store, layout)) == []
    if code:
        assert "does not answer" in err
        assert read_runs(store, layout) == []
    else:
        assert f"{PAIRS} of {PAIRS} pairs done" in out
        assert len(results_of(root)) == PAIRS // SHARD


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["it is recorded", "its first shard is committed", "its end is written"])
def test_a_prefect_api_that_is_away_for_half_a_minute_from_the_moment_when(desk, prefix, s3_address, engine, name):
    port, root, over = free_port(), join(prefix, secrets.token_hex(4)), threading.Event()
    api = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": str(desk.folder / f"away-{port}")}
    log = desk.folder / f"away-{port}.log"

    def back() -> None:
        time.sleep(30)  # what is promised, in seconds
        with prefect_server_at(port, log, api):
            over.wait()

    later = threading.Thread(target=back)
    with prefect_server_at(port, log, api) as server, proxy_to(s3_address) as proxy:
        flow = start(desk, prefix, root, proxy, **api)
        hit = at(proxy, MOMENTS[name], lambda: (server.kill(), later.start()))
        out, err = ended(flow)
        over.set()
    assert hit
    later.join()
    assert flow.returncode == 0, out + err
    assert f"{PAIRS} of {PAIRS} pairs done" in out
    assert list(verify(open_store(root), Layout(root))) == []


def results_of(root):
    return {uri for uri, _ in open_store(root).list(Layout(root).results())}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(
            name, number, id=f"{number.name} while {name}",
            marks=() if (name, number) in QUICK_ONES else (pytest.mark.chaos, pytest.mark.timeout(900)),
        )
        for name in MOMENTS for number in (signal.SIGTERM, signal.SIGINT)
    ],
)  # fmt: skip
def test_a_run_that_is_signalled(desk, prefix, s3_address, engine, name, number):
    moment, root = MOMENTS[name], join(prefix, secrets.token_hex(4))
    with proxy_to(s3_address) as proxy:
        flow = start(desk, prefix, root, proxy, moment.waits)
        hit = at(proxy, moment, lambda: send(flow.pid, number))
        out, err = ended(flow)
    assert hit, f"{name}: no such request"
    assert flow.returncode == (0 if moment.all_done else 130), out + err
    store, layout = open_store(root), Layout(root)
    assert list(verify(store, layout)) == []
    runs = read_runs(store, layout)
    if moment.all_done:
        assert f"{PAIRS} of {PAIRS} pairs done" in out
        assert len(results_of(root)) == PAIRS // SHARD
        return
    if runs:
        assert read_end(store, layout, runs[-1].run_id).exit_code == 130
    assert runs or "had not begun: nothing was written" in err or err.endswith("error: interrupted\n")
    if not moment.waits and (name, number) not in QUICK_ONES:
        assert_the_rest_is_done_by_another_command(desk, prefix, root, results_of(root))


@pytest.fixture(scope="module")
def worked(desk, server, s3_address, tmp_path_factory):
    """A Prefect worker whose runs go through this proxy to the bucket."""
    log = tmp_path_factory.mktemp("worker") / "log"
    with proxy_to(s3_address) as proxy, working(desk, log, GRAMOPHONE_S3_ENDPOINT=proxy.url):
        yield proxy


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", MOMENTS)
def test_a_run_that_is_cancelled_in_the_ui_while(desk, prefix, server, worked, engine, name):
    """Prefect hears of it within seconds, and sends SIGTERM; what was all but done by then may be done."""
    moment, root = MOMENTS[name], join(prefix, secrets.token_hex(4))
    manifest = join(prefix, "later.parquet" if moment.waits else "manifest.parquet")
    options = {"shard_pairs": SHARD, "device": "cpu", "threads": 1, "engine": engine, "workers_per_device": 1}
    job = {"manifest": manifest, "root": root, "parameters": SLOW, "options": options, "wait": "10m"}
    run = server.start("nightly", job)
    hit = at(worked, moment, lambda: server.cancel(run))
    state = server.end_of(run, PATIENCE_SECONDS)
    assert hit, f"{name}: no such request"
    store, layout, committed = open_store(root), Layout(root), results_of(root)
    codes = [read_end(store, layout, one.run_id).exit_code for one in read_runs(store, layout)]
    print(f"cancelled while {name}: {state.type.value}, {state.message!r}, codes {codes}, {len(committed)} shards")
    assert list(verify(store, layout)) == []
    if moment.all_done:
        assert (codes, len(committed)) == ([0], PAIRS // SHARD)
        return
    assert state.type.value == "CANCELLED"
    assert codes in ([], [130])
    if not moment.waits:
        assert_the_rest_is_done_by_another_command(desk, prefix, root, committed)
