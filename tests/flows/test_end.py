"""What the end of a run reads: its results for the verdict, whole rows of what is shown, and results for its events."""

from types import SimpleNamespace

from flows.carry_out import publish
from flows.outcome import conclude
from tasks.records.run import Stop
from tests.tasks.report.test_write import Night, done, failed
from tests.tasks.store.support import Watched


def test_the_end_of_a_run_reads_its_results_for_the_verdict_for_the_pairs_it_shows_and_for_its_events(tmp_path):
    store_root = f"file://{tmp_path}/root"
    night = Night(store_root, 200)
    night.commit([*(done(row, store_root) for row in range(199)), failed(199)])
    store = Watched()
    submission = SimpleNamespace(store=store, layout=night.layout, run=night.run)
    end, frame = conclude(submission, Stop.FINISHED)
    assert store.of_results() == [1, 1, 1, 1]
    publish(submission, end, frame)
    assert store.of_results() == [3, 3, 3, 3]
    assert end.message == "199 of 200 pairs done; 1 failed: 1 decode_error"
    assert len(night.parts()) == 200
    assert store.stat(night.layout.lineage(night.run.night, "r1"))
