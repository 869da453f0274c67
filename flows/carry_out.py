"""Carry out a planned run: record it, fan out its shards, judge it. What nightly and rerun have in common."""

from contextlib import closing
from typing import Any

from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows.fanout import fan_out
from flows.limits import Limits
from flows.outcome import conclude, state_of
from flows.session import Session
from tasks.shard import Bench
from tasks.standing import at_work
from tasks.steps import record_step, whole
from tasks.submit import Submission
from tasks.worker import Worker, devices

MAX_DEVICES = 64
task_runner: Any = ThreadPoolTaskRunner(max_workers=MAX_DEVICES)


def carry_out(submission: Submission, session: Session, withheld: int = 0) -> State[Any]:
    run = submission.run
    workers = [Worker(device, run.options.threads) for device in devices(run.options.device)]
    limits = Limits(run, session)
    bench = Bench(
        root=submission.root,
        run=run,
        lookup=submission.lookup,
        finished=limits.finished,
        working=session.on_work,
        shard_failed=limits.shard_failed,
        stopping=session.stopping,
        workers=workers,
    )
    with session.catching_signals(), at_work(run.run_id), closing(bench):
        record_step(whole(submission))
        session.on_start(run)
        fan_out(submission.plan.shards, bench, limit=len(workers))
    end = conclude(submission, session.stop, withheld)
    session.on_verdict(end)
    return state_of(end)
