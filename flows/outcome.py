"""The verdict of a run: exit code, sentence, Prefect state."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pandas as pd
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.records.reasons import QUARANTINED, PairError
from tasks.records.run import EndRecord, RunRecord, Stop
from tasks.records.words import at_root
from tasks.standing import OPEN, Family, counts, family_of, left_by, of_family, reasons
from tasks.store import AlreadyExists
from tasks.submit import Submission

ExitCode = Literal[0, 1, 3, 4, 130]
EXIT_CODES: dict[Stop, ExitCode] = {
    Stop.CANCELLED: 130,
    Stop.PREEMPTED: 130,
    Stop.MAX_FAILURES: 3,
    Stop.STORAGE: 4,
    Stop.NO_WORKERS: 4,
}
STOPPED = {
    Stop.CANCELLED: "interrupted",
    Stop.PREEMPTED: "ended by SIGTERM",
    Stop.MAX_FAILURES: "stopped: more pairs failed than --max-failures allows",
    Stop.STORAGE: "stopped: storage failed for good",
    Stop.NO_WORKERS: "stopped: there was no worker any more",
    Stop.UNTIL: "stopped at the time of --until",
}


def conclude(submission: Submission, stop: Stop, besides: Sequence[str] = ()) -> tuple[EndRecord, pd.DataFrame]:
    """Judge a run by its results and write end.json; also returns its pairs.

    `besides` says what a rerun has not tried again: it keeps it from ending green.
    """
    store, layout, run = submission.store, submission.layout, submission.run
    frame = of_family(store, layout, Family((run,)), brief=True)
    if run.parent_run_id is not None:  # what failed too often did so in the runs before as well
        stood = of_family(store, layout, family_of(store, layout, run.run_id), brief=True)
        frame["quarantined"] = frame["pair_id"].isin(stood.loc[stood["quarantined"], "pair_id"])
    frame.loc[frame["status"] == OPEN, "reason"] = left_by(stop).value
    found, why = counts(frame), reasons(frame)
    if found["open"] == 0 and stop in (Stop.CANCELLED, Stop.PREEMPTED, Stop.UNTIL):
        stop = Stop.FINISHED  # all was done when the signal came
    done = found["ok"] == found["pairs"] and not besides
    end = EndRecord(
        run_id=run.run_id,
        stop=stop,
        exit_code=EXIT_CODES.get(stop, 0 if done else 1),
        message=sentence(found, why, stop, besides, int(frame["quarantined"].sum())),
        counts=found,
        reasons=why,
        ended_at=datetime.now(UTC),
    )
    try:
        store.create(layout.run(run.run_id, "end.json"), end.model_dump_json(indent=2).encode())
    except AlreadyExists:
        pass
    except PairError as error:  # it is told all the same
        told = f"{end.message}; this verdict could not be stored: {error.message}"
        end = end.model_copy(update={"exit_code": 4, "message": told})
    return end, frame


def sentence(
    found: dict[str, int], why: dict[str, int], stop: Stop, besides: Sequence[str] = (), quarantined: int = 0
) -> str:
    """For instance "37 of 40 pairs done; 3 failed: 2 decode_error, 1 input_missing"."""
    parts = [f"{found['ok']} of {found['pairs']} pairs done"]
    if found["skipped"]:
        parts[0] += f" ({found['skipped']} of them before)"
    if found["failed"]:
        named = {r: n for r, n in why.items() if r not in _OPEN_REASONS}
        parts.append(f"{found['failed']} failed: " + ", ".join(f"{n} {r}" for r, n in named.items()))
    if quarantined:
        parts.append(f"{quarantined} of them {QUARANTINED}")
    if found["open"]:
        parts.append(f"{found['open']} not reached")
    parts += besides
    if stop in STOPPED:
        parts.append(STOPPED[stop])
    return "; ".join(parts)


_OPEN_REASONS = {"lost", "preempted", "cancelled"}


def state_of(run: RunRecord, end: EndRecord, root: str) -> State[Any]:
    """Completed only with exit code 0; else the message, which notifications repeat, says what to type."""
    if end.exit_code == 0:
        return Completed(message=end.message)
    return Failed(message=f"{end.message}. Next: `{next_command(run, end, root)}`")


def next_command(run: RunRecord, end: EndRecord, root: str) -> str:
    """What a person types next."""
    if end.exit_code == 0:
        return f"gramophone metrics --run {run.run_id} {at_root(root)}"
    return f"gramophone rerun {run.run_id} {at_root(root)}"
