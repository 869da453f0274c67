"""Carry out a planned run: record it, fan out its shards, judge it. What nightly and rerun have in common."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.board import Board
from flows.fanout import fan_out
from flows.limits import Limits
from flows.notices import web_address
from flows.outcome import conclude, state_of
from flows.session import Session
from tasks.at_work import at_work
from tasks.engines import MAX_WORKERS, workers_for
from tasks.records.pair import Attempt
from tasks.records.run import EndRecord, RunRecord, Stop
from tasks.records.words import amount, pair_name
from tasks.report import PAGE, write_report
from tasks.roots import bare
from tasks.shard import Bench
from tasks.steps import materialize_results, record_step, whole
from tasks.submit import Submission
from tasks.uncollected import set_aside
from tasks.worker import AnyWorker

task_runner: Any = ThreadPoolTaskRunner(max_workers=MAX_WORKERS)


def carry_out(submission: Submission, session: Session, besides: Sequence[str] = ()) -> State[Any]:
    with workers_for(submission.run.options) as workers:
        return _carry_out(submission, session, workers, besides)


def _carry_out(
    submission: Submission, session: Session, workers: list[AnyWorker], besides: Sequence[str]
) -> State[Any]:
    run, log, at_once = submission.run, get_run_logger(), len(workers)
    limits, board = Limits(run, session), Board(submission, flow_run.id)
    set_aside()

    def finished(shard: int, attempt: Attempt) -> None:
        tell(run, shard, attempt)
        board.count(attempt)
        limits.finished(attempt)

    bench = Bench(
        root=submission.root,
        run=run,
        lookup=submission.lookup,
        finished=finished,
        working=session.on_work,
        shard_failed=limits.shard_failed,
        shard_committed=limits.shard_committed,
        stopping=session.stopping,
        workers=workers,
    )
    pairs, shards = amount(run.pairs - run.skipped, "pair"), amount(run.shards, "shard")
    log.info(
        "run %s: %s of %s in %s, %d skipped, night %s",
        run.run_id, pairs, run.manifest_uri, shards, run.skipped, run.night,
    )  # fmt: skip
    with session.catching_signals(), at_work(run.run_id), closing(bench):
        record_step(f"{pairs} in {shards}", whole(submission))
        session.on_start(run)
        board.start()
        if not fan_out(submission.plan.shards, bench, limit=at_once, closed=lambda: is_closed(run)):
            session.ask_to_stop(Stop.UNTIL)  # unless it stopped for another reason, which stands
        end, frame = conclude(submission, session.stop, besides)
        publish(submission, end, frame)
    session.on_verdict(end, frame)
    log.log(logging.INFO if end.exit_code == 0 else logging.WARNING, "run %s: %s", run.run_id, end.message)
    tell_assets(submission, end)
    board.close(end, frame)
    return state_of(run, end, submission.root)


def publish(submission: Submission, end: EndRecord, frame: pd.DataFrame) -> None:
    """Write what is derived from the results, which hold: what keeps it from being written changes no verdict."""
    from tasks.lineage.events import write_events  # a third of a second

    store, layout, run = submission.store, submission.layout, submission.run
    derived: dict[str, Callable[[], str]] = {
        "report": lambda: write_report(store, layout, run.run_id, stood=frame),
        "OpenLineage events": lambda: write_events(store, layout, run, end),
    }
    for what, write in derived.items():
        try:
            write()
        except Exception as error:
            get_run_logger().warning("the %s of run %s failed: %s", what, run.run_id, bare(str(error)))


def tell_assets(submission: Submission, end: EndRecord) -> None:
    """Let Prefect know of the night's results as an asset. The verdict has been told: a fault here changes nothing."""
    if not end.counts["ok"] - end.counts["skipped"] + end.counts["failed"]:
        return  # nothing was written
    try:
        materialize_results(submission, end, web_address(submission.layout.run(end.run_id, PAGE), submission.root))
    except Exception as error:
        get_run_logger().warning("the results of run %s are no asset in Prefect: %s", end.run_id, error)


def is_closed(run: RunRecord) -> bool:
    """Whether the time has come after which no shard begins."""
    return run.closes_at is not None and datetime.now(UTC) >= run.closes_at


def tell(run: RunRecord, shard: int, attempt: Attempt) -> None:
    """One line in the log for an attempt; called in the thread of its shard's task."""
    log, where = get_run_logger(), (run.run_id, shard, pair_name(attempt.values["pair_id"], attempt.manifest_row))
    if attempt.ok:
        log.debug("run %s shard %d pair %s: ok", *where)
    else:
        log.warning("run %s shard %d pair %s: %s: %s", *where, attempt.values["reason"], attempt.values["message"])
