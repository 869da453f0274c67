"""Runs whose workers live on Ray, on real clusters of this machine, and what is killed there."""

import json
import os
import secrets
import signal
from contextlib import closing, contextmanager

import pytest

from tasks.layout import Layout
from tasks.records.run import Job, Options
from tasks.results import read_results
from tasks.shard import Bench, compute
from tasks.store import join, open_store
from tasks.submit import prepare_nightly
from tasks.verify import verify
from tasks.worker import Worker
from tests.flows.conftest import PATIENCE_SECONDS, QUICK, SLOW
from tests.flows.processes import children_of, command_of, is_alive, needs_proc, parent_of, wait_for
from tests.flows.test_faults import BRISK, FAULTS, filled
from tests.proxy import proxy_to
from tests.servers import end_ray_node, free_port, let_in, ray_node_at

pytestmark = needs_proc
PAIRS, SHARD = 8, 2
LENGTHS = {f"GRAMOPHONE_{name.upper()}": json.dumps(value) for name, value in SLOW.items() if name != "widths"}
"""Long enough to be hit in the middle of a pair."""


@pytest.fixture(scope="module")
def manifest(desk):
    desk.clip("tune", 1.0, "marimba")
    desk.clip("texture", 1.0, "bells")
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.wav", "style_uri": "texture.wav", "seed": n} for n in range(PAIRS)
    ]
    return desk.manifest(rows, "on-ray.parquet")


@pytest.fixture
def root():
    return f"root-{secrets.token_hex(3)}"


def start(desk, manifest, root, *flags, **environment):
    given = ("run", manifest, "--root", root, "--shard-pairs", SHARD, "--engine", "ray", *flags)
    return desk.start(*given, **LENGTHS | environment)


def committed(desk, root):
    return list((desk.folder / root).glob("results/*/*/shard-*.parquet"))


def in_the_middle(desk, root, flow, shards=1):
    """Wait until some shards are committed, and the flow goes on."""
    wait_for(lambda: len(committed(desk, root)) >= shards or flow.poll() is not None, f"{shards} shards")
    assert flow.poll() is None, flow.communicate()


def rows_of(desk, root):
    """The results, of which each has its audio, and nothing that was done was computed once more."""
    uri = f"file://{desk.folder}/{root}"
    store, layout = open_store(uri), Layout(uri)
    assert list(verify(store, layout)) == []
    rows = read_results(store, layout)
    assert not rows.duplicated(["run_id", "manifest_row"]).any()
    assert rows[rows.status == "ok"].pair_id.is_unique
    return rows.set_index("pair_id")


def ended(flow, code=0):
    out, err = flow.communicate(timeout=PATIENCE_SECONDS)
    assert flow.returncode == code, out + err
    assert "Traceback" not in out + err, err
    assert "ray" not in (out + err).lower(), "Ray says nothing on a terminal"
    return out


def hosts_below(pid):
    """The processes that Ray keeps for us, and below each the one that computes."""
    hosts = [child for child in children_of(pid) if "ray::Host" in command_of(child)]
    return [
        (host, below)
        for host in hosts
        for below in children_of(host)
        if parent_of(below) == host and "spawn_main" in command_of(below)
    ]


def computed_here(desk, manifest):
    """What a worker of this machine makes of the pairs, by name."""
    options = Options(device="cpu", threads=1)
    job = Job(manifest=str(desk.folder / manifest), root=str(desk.folder / "here"), parameters=QUICK, options=options)
    planned, found = prepare_nightly(job), {}
    bench = Bench(planned.root, planned.run, planned.lookup, [Worker("cpu", 1)])
    with closing(bench):
        for shard in planned.plan.shards:
            compute(bench, shard, found)
    return {attempt.values["pair_id"]: attempt.values for attempt in found.values()}


def test_a_run_on_ray_gives_the_samples_of_a_local_one_and_leaves_nothing_of_ray(desk, manifest, root):
    flow = desk.start("run", manifest, "--root", root, "--shard-pairs", SHARD, "--engine", "ray", "--json")
    family = wait_for(lambda: hosts_below(flow.pid) and children_of(flow.pid), "a worker on Ray")
    assert json.loads(ended(flow))["counts"]["ok"] == PAIRS
    wait_for(lambda: not any(map(is_alive, family)), "all of Ray to end", 20)
    here, there = computed_here(desk, manifest), rows_of(desk, root)
    assert there.samples_sha256.to_dict() == {name: row["samples_sha256"] for name, row in here.items()}
    assert there.threads.to_dict() == {name: row["threads"] for name, row in here.items()}


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["host", "worker"])
def test_a_night_on_two_workers_of_which_one_is_killed_in_the_middle_ends_complete(desk, manifest, root, victim):
    flow = start(desk, manifest, root)
    in_the_middle(desk, root, flow)
    both = hosts_below(flow.pid)
    assert len(both) == 2, "one for each core"
    before = rows_of(desk, root)
    os.kill(both[0][victim == "worker"], signal.SIGKILL)
    assert f"{PAIRS} of {PAIRS} pairs done" in ended(flow)
    rows = rows_of(desk, root)
    assert (rows.status == "ok").all()
    assert len(rows) == PAIRS
    assert (rows.tries > 1).sum() in (1, SHARD), "only what it had in hand"
    assert (rows.tries[before.index] == 1).all()


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("end", [os.kill, os.killpg], ids=["a machine", "a cancel in the UI"])
def test_a_run_on_ray_that_is_ended_by_sigterm_commits_what_is_done_and_its_rerun_is_on_ray_again(
    desk, manifest, root, end
):
    flow = start(desk, manifest, root)
    in_the_middle(desk, root, flow)
    family = children_of(flow.pid)
    end(flow.pid, signal.SIGTERM)
    assert "not reached" in ended(flow, 130)
    wait_for(lambda: not any(map(is_alive, family)), "all of Ray to end", 20)
    done = len(rows_of(desk, root))
    assert 0 < done < PAIRS
    again = desk.start("rerun", "--latest", "--root", root)
    wait_for(lambda: hosts_below(again.pid), "a worker on Ray")
    assert f"{PAIRS - done} of {PAIRS - done} pairs done" in ended(again)
    assert len(rows_of(desk, root)) == PAIRS


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_of_ray_is_left_of_a_run_that_is_ended_hard_and_a_local_rerun_does_the_rest(
    desk, manifest, root, number
):
    flow = start(desk, manifest, root)
    in_the_middle(desk, root, flow)
    family = children_of(flow.pid)
    os.killpg(flow.pid, number)  # as a terminal does it
    flow.communicate(timeout=60)
    assert flow.returncode == (130 if number == signal.SIGINT else -number)
    wait_for(lambda: not any(map(is_alive, family)), "all of Ray to end", 30)
    assert desk.type("rerun", "--latest", "--root", root, "--engine", "local").code == 0
    assert (rows_of(desk, root).status == "ok").sum() == PAIRS


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_run_that_is_stopped_while_its_cluster_comes_up_has_written_nothing(desk, manifest, root):
    flow = start(desk, manifest, root)
    wait_for(lambda: any("gcs_server" in command_of(pid) for pid in children_of(flow.pid)), "Ray to begin")
    family = children_of(flow.pid)
    flow.send_signal(signal.SIGTERM)
    out, err = flow.communicate(timeout=60)
    assert flow.returncode == 130, out + err
    assert "had not begun: nothing was written" in err
    assert not (desk.folder / root / "runs").exists()
    wait_for(lambda: not any(map(is_alive, family)), "all of Ray to end", 20)


@contextmanager
def standing(desk, host="127.0.0.1", *options):
    """The address of a standing cluster, the environment that is let in, and its head's pid."""
    address, token = f"{host}:{free_port()}", secrets.token_hex(16)
    with ray_node_at(address, desk.folder / f"head-{address[-5:]}.log", token, "--num-cpus=1", *options) as head:
        yield address, let_in(address, token), head


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_standing_cluster_is_joined_with_its_token_and_by_nobody_else(desk, manifest, root):
    with standing(desk) as (address, environment, head):
        there = ("--ray-address", address)
        for token in ({"RAY_AUTH_TOKEN": secrets.token_hex(16)}, {"RAY_AUTH_MODE": "disabled"}):
            said = desk.type("run", manifest, "--root", root, "--engine", "ray", *there, **environment | token)
            assert said.code == 4, said.out + said.err
            assert f"the Ray cluster at {address} does not let us in; set RAY_AUTH_MODE=token" in said.err
            assert (environment | token)["RAY_AUTH_TOKEN"] not in said.out + said.err
            assert not (desk.folder / root / "runs").exists()
        first = start(desk, manifest, root, *there, **environment)
        in_the_middle(desk, root, first)
        workers = hosts_below(head)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        wait_for(lambda: not any(is_alive(pid) for pair in workers for pid in pair), "its workers to end", 60)
        done = len(rows_of(desk, root))
        again = desk.start("rerun", "--latest", "--root", root, **environment)
        assert f"{PAIRS - done} of {PAIRS - done} pairs done" in ended(again)
        wait_for(lambda: not hosts_below(head), "the places to be free", 20)
        assert len(rows_of(desk, root)) == PAIRS


def servers_for_clients(head):
    return [pid for pid in children_of(head) if "--mode=specific-server" in command_of(pid)]


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("deaths", "code"), [(1, 0), (3, 4)])
def test_a_client_whose_process_on_the_head_is_dead_at_once_asks_again(desk, manifest, root, deaths, code):
    port = free_port()
    with standing(desk, "127.0.0.1", f"--ray-client-server-port={port}") as (_, environment, head):
        flow = start(desk, manifest, root, "--ray-address", f"ray://127.0.0.1:{port}", **environment)
        killed = set()
        while len(killed) < deaths:
            [pid, *_] = wait_for(lambda: set(servers_for_clients(head)) - killed, "a process for the client", 120)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        out, err = flow.communicate(timeout=PATIENCE_SECONDS)
    assert flow.returncode == code, out + err
    assert "Traceback" not in out + err
    if code:
        assert f"the Ray head at ray://127.0.0.1:{port} starts no process for us, 3 times" in err
        assert not (desk.folder / root / "runs").exists()
    else:
        assert f"{PAIRS} of {PAIRS} pairs done" in out


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_run_whose_head_is_killed_comes_to_its_verdict_and_a_local_rerun_does_the_rest(desk, manifest, root):
    with standing(desk) as (address, environment, head):
        flow = start(desk, manifest, root, "--ray-address", address, **environment)
        in_the_middle(desk, root, flow)
        end_ray_node(head)
        out, err = flow.communicate(timeout=PATIENCE_SECONDS)
    assert flow.returncode == 4, out + err
    assert f"its head at {address} does not answer" in err
    assert "stopped: there was no worker any more" in out
    assert 0 < len(rows_of(desk, root)) < PAIRS
    assert desk.type("rerun", "--latest", "--root", root, "--engine", "local").code == 0
    assert (rows_of(desk, root).status == "ok").sum() == PAIRS


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_two_runs_of_one_manifest_at_once_on_ray_are_exact(desk, manifest, root):
    flows = [start(desk, manifest, root) for _ in range(2)]
    for flow in flows:
        assert f"{PAIRS} of {PAIRS} pairs done" in ended(flow)
    uri = f"file://{desk.folder}/{root}"
    store, layout = open_store(uri), Layout(uri)
    assert list(verify(store, layout)) == []
    rows = read_results(store, layout)
    assert rows.groupby("pair_key").samples_sha256.nunique().tolist() == [1] * PAIRS


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_no_pair_fails_on_ray_when_one_request_in_ten_does(desk, s3_server, s3_address):
    uri = join(s3_server, f"faulty-{secrets.token_hex(4)}")
    store, root = filled(uri, [{}] * PAIRS), join(uri, "root")
    with proxy_to(s3_address, seed=7, share=0.1, faults=FAULTS) as proxy:
        there = {"GRAMOPHONE_S3_ENDPOINT": proxy.url, **BRISK}
        flow = desk.start("run", join(uri, "manifest.parquet"), "--root", root, "--engine", "ray", **there)
        out = ended(flow)
    assert f"{PAIRS} of {PAIRS} pairs done" in out
    assert sum(seen.fault is not None for seen in proxy.seen) > len(proxy.seen) / 20
    assert list(verify(store, Layout(root))) == []
    assert (read_results(store, Layout(root)).status == "ok").sum() == PAIRS


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_node_that_is_killed_in_the_middle_costs_what_it_had_in_hand(desk, manifest, root):
    with standing(desk, "127.0.0.2") as (address, environment, head):
        log = desk.folder / "second.log"
        with ray_node_at(address, log, environment["RAY_AUTH_TOKEN"], "--num-cpus=1", host="127.0.0.3") as second:
            flow = start(desk, manifest, root, "--ray-address", address, **environment)
            in_the_middle(desk, root, flow)
            [lost] = wait_for(lambda: hosts_below(second), "a worker on the second node")
            before = rows_of(desk, root)
            end_ray_node(second)
            assert f"{PAIRS} of {PAIRS} pairs done" in ended(flow)
            assert not any(map(is_alive, lost))
            rows = rows_of(desk, root)
            assert (rows.status == "ok").all()
            assert (rows.tries > 1).sum() in (1, SHARD), "only what it had in hand"
            assert (rows.tries[before.index] == 1).all()
            assert hosts_below(head) == []


def test_an_address_where_nobody_answers_is_said_so_before_anything_is_written(desk, manifest, root):
    said = desk.type("run", manifest, "--root", root, "--engine", "ray", "--ray-address", f"127.0.0.1:{free_port()}")
    assert said.code == 4, said.err
    assert "no Ray cluster answers at 127.0.0.1:" in said.err
    assert "`ray start --head`" in said.err
    assert not (desk.folder / root / "runs").exists()
