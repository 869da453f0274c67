"""What the Prefect UI shows of a run beside its state and its logs: progress, failures, where the results are.

Written from a thread of its own: an API that is slow or away delays no shard.
"""

import json
import threading
from contextlib import suppress
from typing import Any

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from tasks.records.pair import Attempt
from tasks.records.reasons import named, remedy
from tasks.records.run import EndRecord
from tasks.report import PAGE
from tasks.results import rows_of
from tasks.submit import Submission

PROGRESS_EVERY_SECONDS = 5.0
SECONDS_AT_THE_END = 10.0
MOST_ROWS = 1_000
KEY = "gramophone-"


class Board:
    """The artifacts of one flow run. `flow_run_id` None: there is nobody to show anything to."""

    def __init__(self, submission: Submission, flow_run_id: Any) -> None:
        self._submission, self._flow_run_id = submission, flow_run_id
        self._done = self._failed = 0
        self._lock = threading.Lock()
        self._news, self._ended = threading.Event(), threading.Event()
        self._last: tuple[EndRecord, pd.DataFrame] | None = None
        self._thread = threading.Thread(target=self._write, name="board", daemon=True)

    def start(self) -> None:
        if self._flow_run_id is not None:
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
            name = _name(self._submission)
            client.update_flow_run(self._flow_run_id, name=name)
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
        total = len(self._submission.plan.pairs)
        percent = 100.0 * self._done / total if total else 100.0
        says = f"{self._done} of {total} pairs tried, {self._failed} of them failed"
        if artifact_id is not None:
            client.update_artifact(artifact_id, ArtifactUpdate(data=percent, description=says))
            return artifact_id
        return self._create(client, "progress", "progress", percent, says)

    def _verdict(self, client: SyncPrefectClient, end: EndRecord, frame: pd.DataFrame) -> None:
        submission, run = self._submission, self._submission.run
        left = frame[frame["status"] != "ok"]
        if len(left):
            rows = json.dumps(failure_rows(left, run.run_id, submission.root))
            again = f"gramophone rerun {run.run_id} --root {submission.root}"
            says = f"{len(left)} pairs of run `{run.run_id}` are not done. All of them again: `{again}`"
            if len(left) > MOST_ROWS:
                says += f". The first {MOST_ROWS}; `gramophone status {run.run_id} --root {submission.root}` has all"
            self._create(client, "failures", "table", rows, says)
        report = submission.layout.run(run.run_id, PAGE)
        where = "\n".join(
            [
                f"**{end.message}**",
                "",
                f"- results: `{submission.layout.results()}/night={run.night}/run={run.run_id}`",
                f"- audio: [{submission.layout.audio_folder(run.night, run.run_id)}]"
                f"({submission.layout.audio_folder(run.night, run.run_id)})",
                f"- report: [{report}]({report})",
                f"- ask: `gramophone status {run.run_id} --root {submission.root}`",
            ]
        )
        self._create(client, "results", "markdown", where, f"run {run.run_id}, exit code {end.exit_code}")

    def _create(self, client: SyncPrefectClient, name: str, kind: str, data: Any, says: str) -> Any:
        artifact = ArtifactCreate(key=KEY + name, type=kind, description=says, data=data, flow_run_id=self._flow_run_id)
        return client.create_artifact(artifact).id


def failure_rows(left: pd.DataFrame, run_id: str, root: str) -> list[dict[str, str]]:
    """A table for people: which pair, why, and what to type."""
    return [
        {
            "pair": row["pair_id"] or f"row {row['manifest_row']}",
            "reason": named(row),
            "message": row["message"] or "",
            "what to do": remedy(row["reason"], f"{run_id} --root {root}", row["quarantined"]) if row["reason"] else "",
        }
        for row in rows_of(left.head(MOST_ROWS))
    ]


def _name(submission: Submission) -> str:
    """The flow run's name: manifest and night, and that it is a rerun."""
    run = submission.run
    name = f"{run.manifest_uri.rsplit('/', 1)[-1]} {run.night}"
    return f"{name} rerun" if run.parent_run_id else name
