"""SIGKILL before and after every storage request of a small run, then a rerun: nothing is lost, doubled or half there.

All processes of the run are killed at once, as when the machine goes away. Random kills alone have passed designs that
were broken: a moment between two writes lasts a few milliseconds of a run.
"""

import itertools
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tasks.layout import Layout
from tasks.results import read_results, read_runs
from tasks.standing import family_of, of_family
from tasks.store import join, open_store
from tasks.verify import verify
from tests.flows.conftest import PATIENCE_SECONDS, prefix_of_pairs
from tests.flows.processes import children_of
from tests.proxy import Fault, Proxy, Seen, proxy_to

PAIRS, SHARD = 6, 2
Kind = Callable[[str, str], bool]
"""Whether a request, by its method and path, is one of those that are meant."""


@dataclass(frozen=True)
class Found:
    """What a crash and the run after it have left."""

    killed: bool
    requests: list[Seen]
    rows: int
    lost: int  # pairs that do not stand `ok`
    doubled: int  # rows of one run and manifest row beyond the first
    faults: list[str]  # what verify says: rows without whole audio among it
    written: int  # audio objects

    @property
    def told(self):
        hit = "killed" if self.killed else "had ended"
        return f"{hit}, {self.lost} lost, {self.doubled} twice, {self.faults}, {self.written} audio objects"

    @property
    def extra(self):
        """Audio that was computed and stored again, of all that was asked for."""
        return self.written / PAIRS - 1


@pytest.fixture(scope="module")
def prefix(s3_server):
    return prefix_of_pairs(s3_server, "crashes", PAIRS)


def crash(desk, prefix, s3_address, name, kind, nth, when, engine="local"):
    """A run that is killed `when` (before or after) the nth request of a kind, and what brings it to its end."""
    root, manifest = join(prefix, name), join(prefix, "manifest.parquet")
    machine = {"TMPDIR": str(desk.folder / name), "GRAMOPHONE_ENGINE": engine}  # where the lock of its device lies
    (desk.folder / name).mkdir()
    store, layout = open_store(root), Layout(root)
    with proxy_to(s3_address) as proxy:
        flow = desk.start(
            "run", manifest, "--root", root, "--shard-pairs", str(SHARD), GRAMOPHONE_S3_ENDPOINT=proxy.url, **machine
        )
        hit = _kill_at(proxy, flow.pid, kind, nth, when)
        flow.communicate(timeout=PATIENCE_SECONDS)
        requests = list(proxy.seen)
    # The last requests come when the flow is about to end by itself.
    killed = flow.returncode == -signal.SIGKILL
    assert killed or flow.returncode == 0
    # Where the kill came before there was a run, there is nothing to rerun.
    again = ("rerun", "--latest") if read_runs(store, layout) else ("run", manifest, "--shard-pairs", str(SHARD))
    ended = desk.type(*again, "--root", root, **machine)
    assert ended.code == 0, f"{name}: {ended.out}{ended.err}"
    rows, stands = read_results(store, layout), of_family(store, layout, family_of(store, layout, None))
    return Found(
        killed=killed and bool(hit),
        requests=requests,
        rows=len(rows),
        lost=PAIRS - int((stands.status == "ok").sum()),
        doubled=int(rows.duplicated(["run_id", "manifest_row"]).sum()) + int(stands.duplicated("pair_id").sum()),
        faults=list(verify(store, layout)),
        written=sum(1 for _ in store.list(layout.all_audio())),
    )


def _kill_at(proxy: Proxy, pid: int, kind: Kind, nth: int, when: str) -> list[int]:
    """Kill at the nth such request; lists it."""
    hit: list[int] = []
    count = itertools.count()

    def script(method: str, path: str, number: int) -> Fault | None:
        if hit or not kind(method, path) or next(count) != nth:
            return None
        hit.append(number)
        if when == "after":
            return None
        _kill(pid)
        return Fault.RESET  # it was never sent

    def after(number: int) -> None:
        if when == "after" and hit == [number]:
            _kill(pid)

    proxy.script, proxy.after = script, after
    return hit


def _kill(pid: int) -> None:
    family = children_of(pid)  # those that Ray keeps are in groups of their own
    with suppress(ProcessLookupError):  # it had ended
        os.killpg(pid, signal.SIGKILL)
    for child in family:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def asks_for_creates(method: str, path: str) -> bool:
    """Whether it is one of the racing creations by which a run asks whether the store keeps create-only writes."""
    return "/probe/" in path


KINDS: dict[str, tuple[str, Kind]] = {
    "of its own": ("local", lambda method, path: not asks_for_creates(method, path)),
    "of the probe": ("local", asks_for_creates),
    # Between two of these the store is as it was, so that a kill at one that reads shows nothing more.
    "that writes, on Ray": ("ray", lambda method, path: method != "GET" and method != "HEAD" and "/probe/" not in path),
}


def test_a_run_that_is_killed_when_it_has_committed_is_brought_to_its_end_exactly(desk, prefix, s3_address):
    found = crash(
        desk, prefix, s3_address, "committed", lambda method, path: method == "PUT" and "/results/" in path, 0, "after"
    )
    assert found.killed
    assert (found.lost, found.doubled, found.faults) == (0, 0, [])


@pytest.mark.chaos
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize("name", KINDS)
def test_a_run_that_is_killed_at_any_request_is_brought_to_its_end_exactly(desk, prefix, s3_address, name):
    (engine, kind), part = KINDS[name], name.split()[-1]
    whole = crash(desk, prefix, s3_address, f"whole-{part}", lambda *_: False, 0, "after", engine)
    assert (whole.rows, whole.written) == (PAIRS, PAIRS)
    requests = [request for request in whole.requests if kind(request.method, request.path)]
    points = list(itertools.product(range(len(requests)), ("before", "after")))

    def at(place):
        nth, when = place
        found = crash(desk, prefix, s3_address, f"{part}-{nth:03d}-{when}", kind, nth, when, engine)
        print(f"{when} {nth} {requests[nth].method} {requests[nth].path[-70:]}: {found.told}", flush=True)
        return found

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(at, points))
    lost, doubled, faults = (
        sum(values) for values in zip(*((f.lost, f.doubled, len(f.faults)) for f in found), strict=True)
    )
    extra, killed = sum(f.extra for f in found) / len(found), sum(f.killed for f in found)
    print(
        f"{killed} crash points ({len(requests)} of {len(whole.requests)} requests, before and after, {engine}): "
        f"{lost} pairs lost, {doubled} rows duplicated, {faults} faults of verify (rows without whole audio among "
        f"them), extra compute {extra:.1%}"
    )
    assert (lost, doubled, faults) == (0, 0, 0)
    assert killed > 0.9 * len(points), "two runs differ by a request or two, and the last ones find it gone"
    at_work = 2 if engine == "ray" else 1  # a worker for each core
    assert extra <= at_work * SHARD / PAIRS, "a crash costs the shards in hand"
