"""The Prefect tasks: one line over each plain function."""

from typing import TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run
from prefect.utilities.annotations import quote

from tasks.plan import Shard
from tasks.shard import Bench, run_shard
from tasks.submit import Submission, record

T = TypeVar("T")


def whole(value: T) -> T:
    """An argument that Prefect hands on as it is, and does not walk through in search of futures."""
    return cast(T, quote(value))


@task(name="record", cache_policy=NO_CACHE, persist_result=False)
def record_step(submission: Submission) -> None:
    """Write what was asked; from here on the run exists."""
    record(submission)


# No tags: for a tag Prefect asks its API for a concurrency slot, and a run without its API would wait for minutes.
@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False)
def shard_step(number: int, shard: Shard, bench: Bench) -> dict[str, int]:
    """Compute and commit one shard; returns counts only."""
    ids = {"prefect_flow_run_id": flow_run.id, "prefect_task_run_id": task_run.id}
    attempts = run_shard(bench, shard, ids)
    ok = sum(attempt.ok for attempt in attempts)
    return {"shard": number, "ok": ok, "failed": len(attempts) - ok}
