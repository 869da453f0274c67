"""What is planned stays what it was: manifests and inputs that are replaced before, between and during runs."""

import pandas as pd

from tasks.layout import Layout
from tasks.look_up import look_up
from tasks.records import schema
from tasks.records.run import Job, Options
from tasks.rerun import RerunJob, prepare_rerun
from tasks.roots import Roots
from tasks.shard import Bench, run_shard
from tasks.standing import family_of, of_family
from tasks.store import open_store
from tasks.stored import read_table
from tasks.submit import prepare_nightly, record
from tasks.worker import Worker
from tests.tasks.pairs import pairs_of, row
from tests.tasks.test_shard import poisoned

NAMES = ["first", "second", "third", "left"]


def test_a_manifest_that_changes_in_mid_run_changes_nothing(tmp_path, store_root):
    manifest = tmp_path / "manifest.parquet"
    rows = [{"pair_id": name, "content_uri": f"{name}.wav", "style_uri": "s.wav"} for name in NAMES]
    pd.DataFrame(rows).to_parquet(manifest)
    planned = prepare_nightly(Job(manifest=str(manifest), root=store_root, options=Options(shard_pairs=1)))
    record(planned)
    bench = Bench(planned.root, planned.run, planned.lookup, [Worker("test:submit", 1, poisoned)])
    others = pd.DataFrame([row | {"pair_id": f"other-{n}"} for n, row in enumerate(rows)])
    changes = [lambda: others.to_parquet(manifest), lambda: manifest.write_bytes(b"noise"), manifest.unlink]
    for shard, change in zip(planned.plan.shards, changes, strict=False):
        run_shard(bench, shard, {})
        change()
    bench.close()
    store, layout = open_store(store_root), Layout(store_root)
    stood = of_family(store, layout, family_of(store, layout, planned.run.run_id)).set_index("pair_id")
    assert stood["status"].to_dict() == dict.fromkeys(NAMES[:3], "ok") | {"left": "open"}
    own = read_table(store, layout.run(planned.run.run_id, "manifest.parquet"), schema.MANIFEST)
    assert own["content_uri"].to_pylist() == [f"file://{tmp_path}/{name}.wav" for name in NAMES]
    [again] = prepare_rerun(RerunJob(root=store_root)).submission.plan.pairs
    assert (again.pair_id, again.content.uri) == ("left", f"file://{tmp_path}/left.wav")


def test_an_input_that_is_replaced_between_runs_makes_another_pair(any_root):
    store, uri = open_store(any_root), f"{any_root}/a.wav"
    pairs = pairs_of(row(0, content_uri=uri, style_uri=uri, style_start=1.0))

    def planned():
        [found] = look_up(pairs, Roots((any_root,)))
        return found.plan_key()

    store.replace(uri, b"one sound")
    before = planned()
    assert planned() == before
    store.replace(uri, b"two sound")
    assert planned() not in (before, None)
