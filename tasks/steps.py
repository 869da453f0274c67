"""The Prefect tasks: one line over each plain function."""

import re
from typing import TypeVar, cast

from prefect import task
from prefect.assets import Asset, AssetProperties, materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run, task_run
from prefect.states import Completed
from prefect.types.names import MAX_ASSET_KEY_LENGTH
from prefect.utilities.annotations import quote

from tasks.plan import Shard
from tasks.records.run import EndRecord
from tasks.report import PAGE
from tasks.roots import bare
from tasks.shard import Bench, counted, run_shard
from tasks.submit import Submission, record

T = TypeVar("T")


def whole(value: T) -> T:
    """An argument that Prefect hands on as it is, and does not walk through in search of futures."""
    return cast(T, quote(value))


@task(name="record", task_run_name="record {what}", cache_policy=NO_CACHE, persist_result=False)
def record_step(what: str, submission: Submission) -> None:
    """Write what was asked; from here on the run exists."""
    record(submission)


# No tags: for a tag Prefect asks its API for a concurrency slot, and a run without its API would wait for minutes.
@task(name="shard", task_run_name="shard {number}: {what}", cache_policy=NO_CACHE, persist_result=False)
def shard_step(number: int, what: str, shard: Shard, bench: Bench) -> State[None]:
    """Compute and commit one shard; its state says how many pairs are done, and why the others are not."""
    ids = {"prefect_flow_run_id": flow_run.id, "prefect_task_run_id": task_run.id}
    return Completed(message=counted(shard, run_shard(bench, shard, ids)))


def materialize_results(submission: Submission, end: EndRecord, page: str | None) -> None:
    """Tell Prefect that a night's results were written, from which manifest, and how many.

    One asset for a night and none for a pair. The open-source server keeps it as events; `page`: where a browser
    finds the report.
    """
    run, layout = submission.run, submission.layout
    properties = AssetProperties(
        name=f"results of {run.night}",
        description=f"run {run.run_id}: {end.message}",
        **({"url": page} if page else {}),
    )
    results = Asset(key=asset_key(layout.night_results(run.night)), properties=properties)
    known = {"run_id": run.run_id, "report": layout.run(run.run_id, PAGE), "exit_code": end.exit_code, **end.counts}

    @materialize(
        results,
        by="gramophone",
        name="results",
        task_run_name=f"results: {end.counts['ok']} of {end.counts['pairs']} pairs",
        asset_deps=[asset_key(run.manifest_uri)],
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def results_step() -> None:
        results.add_metadata(known)

    results_step()


def asset_key(uri: str) -> str:
    """A URI as Prefect takes it for a key: without what it refuses, and no longer than it may be."""
    return re.sub(r"[\s#?&%\"'<>\[\]{}|\\^`]", "_", bare(uri))[:MAX_ASSET_KEY_LENGTH]
