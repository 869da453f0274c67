"""Prepare a run, without writing anything, and record it, with which it begins to exist."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.done import Done, Served, read_done
from tasks.layout import Layout
from tasks.lineage import code_version
from tasks.look_up import look_up
from tasks.manifest import Manifest, await_manifest
from tasks.manifest.pairs import Pairs
from tasks.overrides import ParamsInvalid, checked
from tasks.plan import Plan, make_plan
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, UsageError
from tasks.records.run import Job, Options, RunRecord, new_run_id
from tasks.records.texts import next_time, night_of, seconds_of
from tasks.roots import Roots, place
from tasks.store import Store, open_store
from tasks.store.probe import probe
from tasks.stored import parquet_bytes
from tasks.withdrawn import read_withdrawn


@dataclass(frozen=True)
class Submission:
    """A run that is planned: what will be computed, what is skipped, and what serves a pair by its key."""

    root: str
    run: RunRecord
    manifest: pa.Table
    plan: Plan
    done: Done

    @property
    def store(self) -> Store:
        return open_store(self.root)

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    def lookup(self, keys: list[str]) -> dict[str, Served]:
        """Earlier `ok` rows with one of these pair_keys, whose audio is still there."""
        return self.done.by_key(keys, partial(is_there, self.store))


@dataclass(frozen=True)
class Request:
    """What both kinds of run have in common before they are planned."""

    root: str
    manifest_uri: str
    manifest_sha256: str
    table: pa.Table
    pairs: Pairs
    parameters: Parameters
    options: Options
    roots: Roots
    night: str
    scheduled: datetime
    parent: RunRecord | None = None


def allowed_roots(folder: str, root: str, options: Options) -> Roots:
    """Where inputs may come from (promise 8): resolved now, links included. `folder` is the manifest's."""
    uris = [place(uri) for uri in options.allow]
    if options.allow_defaults:
        uris += [folder, root]
        if folder.startswith("file://"):
            uris.append(place("."))
    return Roots.resolve(uris)


def prepare_nightly(
    job: Job, scheduled: datetime | None = None, tell: Callable[[str], None] = lambda text: None
) -> Submission:
    """Plan a run over a manifest. Raises UsageError where the manifest as a whole is wrong; writes nothing.

    `scheduled` dates the night (now, where nobody has scheduled the run); `tell` hears what is waited for, and what
    the parameters warn of.
    """
    scheduled = scheduled or datetime.now(UTC)
    night = job.night or str(night_of(scheduled, job.options.timezone))
    root, uri = place(job.root), place(job.manifest.replace("{night}", night))
    manifest = await_manifest(open_store(uri), uri, job.parameters, seconds_of(job.wait), tell, job.options)
    planned = submission(request_of(manifest, root, job.parameters, job.options, night, scheduled))
    for text in _warnings(manifest, planned.plan.pairs):
        tell(text)
    return planned


def _warnings(manifest: Manifest, pairs: Pairs) -> list[str]:
    """What a person should know before anything is computed."""
    texts = [params.warning for params in pairs.each_parameters()]
    if not len(manifest):
        texts.append(f"{manifest.uri} has no rows: there is nothing to do.")
    same = pc.fill_null(pc.equal(manifest.table["style_uri"], manifest.table["content_uri"]), False)
    alike = pairs.only(pairs.numbers[np.asarray(same)[pairs.numbers]])
    if alike:
        texts.append(
            f"content and style are the same file in {len(alike)} of {len(pairs)} pairs; the first: {alike[0].name}"
        )
    return [text for text in dict.fromkeys(texts) if text]


def request_of(
    manifest: Manifest, root: str, parameters: Parameters, options: Options, night: str, scheduled: datetime
) -> Request:
    return Request(
        root=root,
        manifest_uri=manifest.uri,
        manifest_sha256=manifest.sha256,
        table=manifest.table,
        pairs=manifest.pairs(parameters),
        parameters=parameters,
        options=options,
        roots=allowed_roots(manifest.folder, root, options),
        night=night,
        scheduled=scheduled,
    )


def submission(request: Request) -> Submission:
    """Look up the inputs, skip what is done, cut shards, and name the run."""
    options, store = request.options, open_store(request.root)
    withdrawn = read_withdrawn(store, Layout(request.root))
    pairs = look_up(request.pairs, request.roots, withdrawn)
    done = read_done(store, Layout(request.root), withdrawn, pairs.table["content_uri"])
    plan = make_plan(pairs, None if options.force else done, options.shard_pairs, partial(is_there, store))
    run_id = new_run_id()
    run = RunRecord(
        run_id=run_id,
        parent_run_id=request.parent.run_id if request.parent else None,
        root_run_id=request.parent.root_run_id if request.parent else run_id,
        night=request.night,
        closes_at=next_time(options.until, request.scheduled, options.timezone),
        created_at=datetime.now(UTC),
        manifest_uri=request.manifest_uri,
        manifest_sha256=request.manifest_sha256,
        pairs=len(pairs),
        skipped=len(plan.skipped),
        shards=len(plan.shards),
        parameters=request.parameters,
        options=options,
        allowed=request.roots.uris,
        code_version=code_version(),
        host=platform.node(),
    )
    return Submission(request.root, run, request.table, plan, done)


def is_there(store: Store, uri: str) -> bool:
    """Whether an output is there to serve a pair. One that cannot be looked at is not: it is computed again."""
    try:
        return store.stat(uri) is not None
    except PairError:
        return False


def record(submission: Submission) -> None:
    """Write manifest.parquet, skipped.parquet and last run.json: from now on the run exists.

    Raises OutOfReach where the store is not one to entrust results to.
    """
    store, layout, run = submission.store, submission.layout, submission.run
    if submission.plan.shards:
        probe(store, submission.root)
    store.create(layout.run(run.run_id, "manifest.parquet"), parquet_bytes(submission.manifest))
    store.create(layout.run(run.run_id, "skipped.parquet"), parquet_bytes(submission.plan.skipped))
    store.create(layout.run(run.run_id, "run.json"), run.model_dump_json(indent=2).encode())


def check_overrides(values: Mapping[str, Any]) -> None:
    """Raises UsageError for a `--set` of something that is no parameter."""
    try:
        checked({**Parameters().model_dump(mode="json"), **values})
    except ParamsInvalid as error:
        raise UsageError(f"--set {error}") from error
