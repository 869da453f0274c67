"""What the Prefect UI shows of a run beside its state and its logs: progress, failures, where the results are.

Written from a thread of its own: an API that is slow or away delays no shard.
"""

import threading
import time
from contextlib import suppress
from typing import Any

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from flows import notices
from tasks.records.pair import Attempt
from tasks.records.run import EndRecord
from tasks.submit import Submission

PROGRESS_EVERY_SECONDS = 5.0
SECONDS_AT_THE_END = 10.0
KEY = "gramophone-"


class Board:
    """The artifacts of one flow run. `flow_run_id` None: there is nobody to show anything to."""

    def __init__(self, submission: Submission, flow_run_id: Any) -> None:
        self._submission, self._flow_run_id = submission, flow_run_id
        self._done = self._failed = 0
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._news, self._ended = threading.Event(), threading.Event()
        self._last: tuple[EndRecord, pd.DataFrame] | None = None
        self._thread = threading.Thread(target=self._write, name="board", daemon=True)

    def start(self) -> None:
        if self._flow_run_id is not None:
            self._news.set()  # that nothing is done yet
            self._thread.start()

    def count(self, attempt: Attempt) -> None:
        with self._lock:
            self._done += 1
            self._failed += not attempt.ok
        self._news.set()

    def close(self, end: EndRecord, frame: pd.DataFrame) -> None:
        """Show how it ended; waits a few seconds for that, and no longer. `frame`: the pairs of the run."""
        self._last = (end, frame)
        self._ended.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(SECONDS_AT_THE_END)

    def _write(self) -> None:
        with suppress(Exception), get_client(sync_client=True) as client:
            client.update_flow_run(self._flow_run_id, name=notices.name_of(self._submission))
        progress = None
        while True:
            self._news.wait()
            self._news.clear()
            last = self._last
            with suppress(Exception), get_client(sync_client=True) as client:  # an API that is away: the next time
                progress = self._progress(client, progress)
            if last is not None:
                with suppress(Exception), get_client(sync_client=True) as client:
                    self._verdict(client, *last)
                return
            self._ended.wait(PROGRESS_EVERY_SECONDS)

    def _progress(self, client: SyncPrefectClient, artifact_id: Any) -> Any:
        seconds = time.monotonic() - self._begun
        percent, says = notices.progress(self._submission, self._done, self._failed, seconds)
        if artifact_id is not None:
            client.update_artifact(artifact_id, ArtifactUpdate(data=percent, description=says))
            return artifact_id
        return self._create(client, "progress", "progress", percent, says)

    def _verdict(self, client: SyncPrefectClient, end: EndRecord, frame: pd.DataFrame) -> None:
        submission = self._submission
        left = frame[frame["status"] != "ok"]
        if len(left):
            self._create(client, "failures", "table", notices.failure_rows(left), notices.failures(left, submission))
        says = f"run {submission.run.run_id}, exit code {end.exit_code}"
        self._create(client, "results", "markdown", notices.results(submission, end), says)

    def _create(self, client: SyncPrefectClient, name: str, kind: str, data: Any, says: str) -> Any:
        artifact = ArtifactCreate(key=KEY + name, type=kind, description=says, data=data, flow_run_id=self._flow_run_id)
        return client.create_artifact(artifact).id
