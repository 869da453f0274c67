"""Runs whose workers live on Ray, on real clusters of this machine, and what is killed there."""

import pytest

from tasks.layout import Layout
from tasks.results import read_results
from tasks.store import open_store
from tasks.verify import verify
from tests.flows.processes import children_of, command_of, is_alive, needs_proc, wait_for

PAIRS = 6
SLOW = {
    "GRAMOPHONE_SPECTROGRAM_EVALUATIONS": "80",
    "GRAMOPHONE_REFINE_EVALUATIONS": "40",
    "GRAMOPHONE_SHARD_PAIRS": "2",
}


@pytest.fixture(scope="module")
def manifest(desk):
    desk.clip("tune", 1.0, "marimba")
    desk.clip("texture", 1.0, "bells")
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.wav", "style_uri": "texture.wav", "seed": n} for n in range(PAIRS)
    ]
    return desk.manifest(rows, "on-ray.parquet")


def rows_of(desk, root):
    uri = f"file://{desk.folder}/{root}"
    store, layout = open_store(uri), Layout(uri)
    assert list(verify(store, layout)) == []
    rows = read_results(store, layout)
    assert not rows.duplicated(["run_id", "manifest_row"]).any()
    return rows


def committed(desk, root):
    return list((desk.folder / root).glob("results/*/*/shard-*.parquet"))


@needs_proc
def test_a_run_on_ray_gives_the_samples_of_a_local_one_says_nothing_of_ray_and_leaves_nothing_of_it(desk, manifest):
    local = desk.type("run", manifest, "--root", "locally", "--shard-pairs", "2")
    assert local.code == 0, local.err
    flow = desk.start("run", manifest, "--root", "on-ray", "--shard-pairs", "2", "--engine", "ray")
    wait_for(lambda: committed(desk, "on-ray") or flow.poll() is not None, "a committed shard")
    family = children_of(flow.pid)
    out, err = flow.communicate(timeout=240)
    assert flow.returncode == 0, out + err
    assert any("raylet" in command_of(pid) for pid in family) or not any(map(is_alive, family))
    print(err)
    assert "ray" not in err.lower()
    wait_for(lambda: not any(map(is_alive, family)), "all of Ray to end", 20)
    here, there = rows_of(desk, "locally"), rows_of(desk, "on-ray")
    assert dict(zip(there.pair_id, there.samples_sha256, strict=True)) == dict(
        zip(here.pair_id, here.samples_sha256, strict=True)
    )
    assert (there.threads == 1).all()
