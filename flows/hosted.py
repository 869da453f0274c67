"""Run a flow inside the command line: progress, verdict, and an end even when the Prefect API is gone."""

import os
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd

from flows.cli.show import Meter, say
from flows.deadline import Deadline
from flows.local_server import prefect_api
from flows.session import SECONDS_AFTER_VERDICT, Session, hosting
from tasks.records.reasons import OutOfReach, PairError, UsageError
from tasks.records.run import EndRecord, RunRecord
from tasks.records.words import amount, at_root
from tasks.roots import shown
from tasks.submit import Submission


def run_hosted(
    call: Callable[[], Any], prepared: Any, submission: Submission, tell: Callable[[EndRecord, pd.DataFrame], None]
) -> EndRecord:
    """Call a flow with its plan at hand; returns its verdict, which no fault of the Prefect API can change.

    `tell` shows the verdict and the pairs of the run. Raises what kept the flow from a verdict: OutOfReach where the
    API was not there at the start, or storage is not one to entrust results to.
    """
    verdicts: list[tuple[EndRecord, pd.DataFrame]] = []
    meter = Meter(len(submission.plan.pairs), "pairs")
    meter.note("Prefect begins the flow")
    begun = False

    def on_start(run: RunRecord) -> None:
        nonlocal begun
        begun = True
        meter.note("starting workers")

    def on_verdict(end: EndRecord, frame: pd.DataFrame) -> None:
        verdicts.append((end, frame))
        deadline.arm(SECONDS_AFTER_VERDICT, end.exit_code)

    def before_leaving() -> None:
        say("the Prefect API does not answer; leaving with the verdict of the results")
        _show(tell, *verdicts[0])

    deadline = Deadline(before_leaving)
    session = Session(
        prepared=prepared,
        on_start=on_start,
        on_attempt=lambda attempt: meter.advance(note=""),
        on_work=lambda stage, rows: meter.note(f"{stage}, {amount(len(rows), 'pair')} in hand"),
        on_verdict=on_verdict,
        on_fault=_tell_fault,
        on_signal=lambda: say("\nstopping: what is done is committed, the rest waits for `rerun`"),
    )
    failure: BaseException | None = None
    try:
        with prefect_api(), hosting(session), meter:
            state = call()
            if not verdicts:
                failure = _failure_of(state)
    except BaseException as error:
        failure = error
    deadline.call_off()
    if not verdicts:
        if isinstance(failure, KeyboardInterrupt):
            raise KeyboardInterrupt(_left_behind(submission, begun)) from failure
        raise _explained(failure) from failure
    _show(tell, *verdicts[0])
    return verdicts[0][0]


def _show(tell: Callable[[EndRecord, pd.DataFrame], None], end: EndRecord, frame: pd.DataFrame) -> None:
    """Tell the verdict; that nobody reads it any more changes nothing about it."""
    try:
        tell(end, frame)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_fault(error: Exception) -> None:
    why = f"{error.message} ({error.reason})" if isinstance(error, PairError) else str(error)
    say(f"a shard could not be committed, its pairs are left: {why}")


def _failure_of(state: Any) -> BaseException:
    data = getattr(state.data, "result", state.data)  # a record of what was raised, or that itself
    if isinstance(data, BaseException):
        return data
    return RuntimeError(state.message or "the flow ended without a verdict")


def _left_behind(submission: Submission, begun: bool) -> str:
    """What an interrupt before the verdict has left."""
    run_id = submission.run.run_id
    if not begun:
        return f"run {run_id} had not begun: nothing was written"
    return f"what is done is committed; `gramophone rerun {run_id} {at_root(submission.root)}` does the rest"


def _explained(failure: BaseException | None) -> BaseException:
    """The failure in words that say what to do, where it is one that we know."""
    if failure is None or isinstance(failure, UsageError | OutOfReach):
        return failure or RuntimeError("the flow ended without a verdict")
    if getattr(getattr(failure, "response", None), "status_code", None) in (401, 403):
        return OutOfReach(
            f"the Prefect API at {_address()} does not let us in; set PREFECT_API_AUTH_STRING=user:password to what it "
            "asks for."
        )
    if "Failed to reach API" in str(failure) or type(failure).__name__ in ("ConnectError", "ConnectTimeout"):
        return OutOfReach(
            f"the Prefect API at {_address()} does not answer; "
            "start it with `prefect server start`, or unset PREFECT_API_URL to use a local one."
        )
    return failure


def _address() -> str:
    return shown(os.environ.get("PREFECT_API_URL", "its configured address"))
