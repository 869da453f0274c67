import signal
import threading

import pytest

from flows.limits import Limits, allowed_failures
from flows.outcome import sentence
from flows.session import Session
from tasks.records.pair import Attempt
from tasks.records.parameters import Parameters
from tasks.records.reasons import NoWorkers
from tasks.records.run import Options, RunRecord, Stop


def run(**options):
    return RunRecord(
        run_id="r", root_run_id="r", night="2026-01-01", created_at="2026-01-01T00:00:00Z", manifest_uri="m",
        manifest_sha256="m", pairs=40, skipped=0, shards=5, parameters=Parameters(), options=Options(**options),
        allowed=(), code_version="1", host="h",
    )  # fmt: skip


def attempt(reason=None, message=None):
    return Attempt(0, {"status": "failed" if reason else "ok", "reason": reason, "message": message})


def test_the_sentence_counts_and_names_the_reasons():
    counts = {"pairs": 40, "ok": 37, "failed": 3, "open": 0, "skipped": 0}
    text = sentence(counts, {"decode_error": 2, "input_missing": 1}, Stop.FINISHED)
    assert text == "37 of 40 pairs done; 3 failed: 2 decode_error, 1 input_missing"


def test_the_sentence_says_what_was_not_reached_and_why():
    counts = {"pairs": 4, "ok": 1, "failed": 0, "open": 3, "skipped": 1}
    text = sentence(counts, {"cancelled": 3}, Stop.CANCELLED)
    assert text == "1 of 4 pairs done (1 of them before); 3 not reached; interrupted"


@pytest.mark.parametrize(("text", "allowed"), [("", None), ("3", 3), ("5%", 2.0), ("0", 0)])
def test_allowed_failures_are_a_number_or_a_share(text, allowed):
    assert allowed_failures(text, 40) == allowed


def test_more_failures_than_allowed_stop_a_run():
    session = Session()
    limits = Limits(run(max_failures="1"), session)
    limits.finished(attempt("decode_error"))
    assert not session.stopping()
    limits.finished(attempt("decode_error"))
    assert (session.stopping(), session.stop) == (True, Stop.MAX_FAILURES)


def test_three_storage_faults_in_a_row_stop_a_run_and_two_do_not():
    session = Session()
    limits = Limits(run(), session)
    for number, reason in enumerate(("storage", "disk_full", None, "storage", "storage")):
        limits.finished(attempt(reason, f"object {number} is out of reach"))
    assert not session.stopping()
    limits.shard_failed(OSError("gone"))
    assert session.stop is Stop.STORAGE


def test_a_pair_that_failed_by_itself_does_not_make_storage_well():
    session = Session()
    limits = Limits(run(), session)
    for number, reason in enumerate(("storage", "input_forbidden", "storage", "decode_error", "storage")):
        limits.finished(attempt(reason, f"object {number} is out of reach"))
    assert session.stop is Stop.STORAGE


def test_one_object_that_many_pairs_cannot_read_stops_no_run():
    session = Session()
    limits = Limits(run(), session)
    for _ in range(5):
        limits.finished(attempt("storage", "style.wav is not what was stored"))
    assert not session.stopping()


def test_results_that_are_refused_stop_a_run_whose_audio_is_not():
    session = Session()
    limits = Limits(run(), session)
    for shard in ("refused", "refused", "committed", "refused", "refused", "refused"):
        assert not session.stopping()
        limits.finished(attempt())
        limits.shard_committed() if shard == "committed" else limits.shard_failed(OSError("refused"))
    assert session.stop is Stop.STORAGE


def test_a_run_for_which_nobody_works_any_more_stops_at_once():
    session = Session()
    Limits(run(), session).shard_failed(NoWorkers("the cluster is gone"))
    assert session.stop is Stop.NO_WORKERS


def test_the_first_reason_to_stop_stands():
    session = Session()
    session.ask_to_stop(Stop.PREEMPTED)
    session.ask_to_stop(Stop.CANCELLED)
    assert session.stop is Stop.PREEMPTED


def test_the_second_ctrl_c_leaves_at_once_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    session = Session()
    with session.catching_signals():
        signal.raise_signal(signal.SIGINT)
        assert session.stop is Stop.CANCELLED
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_left_alone_outside_the_main_thread():
    entered = []

    def enter():
        with Session().catching_signals():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]
