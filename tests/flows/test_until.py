"""A night whose time is over while it works: what was handed out is finished, the rest waits for a rerun."""

from datetime import UTC, datetime

from flows import carry_out
from flows.nightly import nightly
from tasks.layout import Layout
from tasks.records.parameters import Parameters
from tasks.records.run import Job, Options
from tasks.results import read_end, read_results, read_runs
from tasks.roots import place
from tasks.standing import family_of, of_family
from tasks.store import open_store
from tests.flows.conftest import QUICK


def test_no_shard_begins_after_the_time_and_the_one_in_hand_is_finished(desk, monkeypatch):
    desk.clip("tune")
    desk.clip("texture", kind="drums")
    manifest = desk.manifest(
        [{"pair_id": f"p{n}", "content_uri": "tune.wav", "style_uri": "texture.wav", "seed": n} for n in range(4)],
        "until.parquet",
    )
    root = f"file://{desk.folder}/until"
    store, layout = open_store(root), Layout(root)
    # The clock of the test: the time comes with the first committed shard.
    monkeypatch.setattr(carry_out, "is_closed", lambda run: len(read_results(store, layout)) > 0)
    options = Options(shard_pairs=2, threads=1, until="06:00")
    job = Job(manifest=str(desk.folder / manifest), root=root, parameters=Parameters(**QUICK), options=options)
    state = nightly(job, return_state=True)
    assert state.message == "2 of 4 pairs done; 2 not reached; stopped at the time of --until"
    [run] = read_runs(store, layout)
    assert run.closes_at > datetime.now(UTC)
    end = read_end(store, layout, run.run_id)
    assert (end.exit_code, end.reasons) == (1, {"preempted": 2})
    frame = of_family(store, layout, family_of(store, layout, None))
    assert list(frame.reason.dropna()) == ["preempted"] * 2
    again = desk.type("rerun", "--latest", "--root", place(root), "--json")
    assert again.json["counts"]["ok"] == 2, again.err
