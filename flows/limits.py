"""When a run should give up: too many failed pairs, storage that fails for good, or nobody to work."""

import threading

from flows.session import Session
from tasks.records.pair import Attempt
from tasks.records.reasons import NoWorkers, Reason
from tasks.records.run import RunRecord, Stop

STORAGE_FAULTS_IN_A_ROW = 3
_STORAGE = {Reason.STORAGE.value, Reason.DISK_FULL.value}


class Limits:
    """Counts failures as they come in and asks the session to stop. Safe to call from several threads.

    Storage fails for good with three faults in a row, each after all its retries: of pairs, with none done between
    them, or of shards' commits, with none committed between them (pairs are done also where only results are refused).
    """

    def __init__(self, run: RunRecord, session: Session) -> None:
        self._allowed = allowed_failures(run.options.max_failures, run.pairs)
        self._session = session
        self._failed = 0
        self._of_pairs: set[str] = set()
        self._of_shards = 0
        self._lock = threading.Lock()

    def finished(self, attempt: Attempt) -> None:
        with self._lock:
            self._failed += not attempt.ok
            if attempt.ok:
                self._of_pairs.clear()
            elif attempt.values["reason"] in _STORAGE:
                self._of_pairs.add(attempt.values["message"])  # one damaged object of many pairs is one fault
            if self._allowed is not None and self._failed > self._allowed:
                self._session.ask_to_stop(Stop.MAX_FAILURES)
            self._look_at_storage()
        self._session.on_attempt(attempt)

    def shard_committed(self) -> None:
        with self._lock:
            self._of_shards = 0

    def shard_failed(self, error: Exception) -> None:
        with self._lock:
            if isinstance(error, NoWorkers):
                self._session.ask_to_stop(Stop.NO_WORKERS)
            else:
                self._of_shards += 1
                self._look_at_storage()
        self._session.on_fault(error)

    def _look_at_storage(self) -> None:
        if len(self._of_pairs) + self._of_shards >= STORAGE_FAULTS_IN_A_ROW:
            self._session.ask_to_stop(Stop.STORAGE)


def allowed_failures(text: str, pairs: int) -> float | None:
    """How many pairs may fail: "12" is a number, "5%" a share of `pairs`, "" is no limit."""
    if not text:
        return None
    return float(text[:-1]) / 100 * pairs if text.endswith("%") else float(text)
