"""Two runs of the same manifest at once do no harm."""

import pytest

from tasks.layout import Layout
from tasks.results import read_results
from tasks.standing import across_runs, standing
from tasks.store import open_store
from tasks.verify import verify
from tests.flows.conftest import PATIENCE_SECONDS


@pytest.mark.parametrize("kind", [pytest.param("folder", marks=pytest.mark.chaos), "bucket"])
def test_two_runs_of_one_manifest_at_once_are_exact(desk, request, kind):
    desk.clip("one", 1.0, "flute")
    desk.clip("other", 1.0, "drums")
    manifest = desk.manifest(
        [{"pair_id": f"p{n}", "content_uri": "one.wav", "style_uri": "other.wav", "seed": n} for n in range(6)],
        f"at-once-{kind}.parquet",
    )
    root = f"file://{desk.folder}/at-once" if kind == "folder" else f"{request.getfixturevalue('s3_server')}/at-once"
    runs = [desk.start("run", manifest, "--root", root, "--shard-pairs", "2") for _ in range(2)]
    for run in runs:
        out, err = run.communicate(timeout=PATIENCE_SECONDS)
        assert run.returncode == 0, out + err
    store, layout = open_store(root), Layout(root)
    assert list(verify(store, layout)) == []
    rows = read_results(store, layout)
    assert rows.run_id.nunique() == 2
    assert len(standing(root)) == len(across_runs(rows)) == 6
    assert rows.groupby("pair_key").samples_sha256.nunique().eq(1).all(), "the same pair gave the same bits"
