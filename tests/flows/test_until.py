"""A night whose time is over while it works, and one that loses its slot in Prefect: what was begun is finished."""

import ctypes
import threading
from datetime import UTC, datetime

from prefect._internal.concurrency.cancellation import CancelledError

from flows import carry_out
from flows.nightly import nightly
from flows.rerun import rerun
from tasks.layout import Layout
from tasks.records.parameters import Parameters
from tasks.records.run import Job, Options
from tasks.rerun import RerunJob
from tasks.results import read_end, read_results, read_runs
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
    options = Options(shard_pairs=2, device="cpu", threads=1, until="06:00")
    job = Job(manifest=str(desk.folder / manifest), root=root, parameters=Parameters(**QUICK), options=options)
    state = nightly(job, return_state=True)
    [run] = read_runs(store, layout)
    assert state.message == (
        "2 of 4 pairs done; 2 not reached; stopped at the time of --until. "
        f"Next: `gramophone rerun {run.run_id} --root {root}`"
    )
    assert run.closes_at > datetime.now(UTC)
    end = read_end(store, layout, run.run_id)
    assert (end.exit_code, end.reasons) == (1, {"preempted": 2})
    frame = of_family(store, layout, family_of(store, layout, None))
    assert list(frame.reason.dropna()) == ["preempted"] * 2
    monkeypatch.undo()
    assert rerun(RerunJob(root=root), return_state=True).message == "2 of 2 pairs done"


def test_a_run_that_loses_its_slot_in_prefect_goes_on(desk):
    """Prefect then breaks into the flow's thread; here in its way, at the time of the test."""
    desk.clip("tune")
    desk.clip("texture", kind="drums")
    manifest = desk.manifest(
        [{"pair_id": f"p{n}", "content_uri": "tune.wav", "style_uri": "texture.wav", "seed": 50 + n} for n in range(4)],
        "slot.parquet",
    )
    root = f"file://{desk.folder}/slot"
    store, layout = open_store(root), Layout(root)
    flow, ended = threading.get_ident(), threading.Event()

    def break_in():
        while not len(read_results(store, layout)):
            if ended.wait(0.05):
                return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_long(flow), ctypes.py_object(CancelledError))

    breaker = threading.Thread(target=break_in)
    job = Job(
        manifest=str(desk.folder / manifest), root=root, parameters=Parameters(**QUICK),
        options=Options(shard_pairs=1, device="cpu", threads=1),
    )  # fmt: skip
    breaker.start()
    try:
        state = nightly(job, return_state=True)
    finally:
        ended.set()
        breaker.join()
    assert state.message == "4 of 4 pairs done"
