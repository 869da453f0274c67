"""OpenLineage events of a run and its shards, from its results (openlineage.io, spec 2)."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from importlib.metadata import version
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

import openlineage.client
import pandas as pd
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    error_message_run,
    nominal_time_run,
    parent_run,
    processing_engine_run,
)
from openlineage.client.generated.lineage import LineageDatasetFacet, LineageDatasetInput, LineageTransformation
from openlineage.client.serde import Serde

from tasks.hush import hush
from tasks.layout import Layout
from tasks.records.reasons import OutOfReach
from tasks.records.run import EndRecord, RunRecord
from tasks.results import read_results, rows_of
from tasks.store import Store

NAMESPACE = "gramophone"
RUN_JOB, SHARD_JOB = Job(NAMESPACE, "run"), Job(NAMESPACE, "run.shard")
CONFIGURED_BY = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
hush(openlineage.client)  # it logs the backend's address with its password


def write_events(store: Store, layout: Layout, run: RunRecord, end: EndRecord) -> str:
    """Write the events of a run that has ended as lines of JSON, and send them where OpenLineage is configured
    (OPENLINEAGE_URL, OPENLINEAGE_API_KEY or a file, as its own client reads them). Returns their URI.

    Events of shards and not of pairs: those of a million pairs would be ten gigabytes. Raises PairError (storage),
    OutOfReach where they are written but not sent.
    """
    found = list(events(layout, run, end, read_results(store, layout, {run.run_id})))
    uri = layout.lineage(run.night, run.run_id)
    lines = [json.dumps(Serde.to_dict(event), separators=(",", ":")) for event in found]
    store.replace(uri, ("\n".join(lines) + "\n").encode())
    if any(os.environ.get(name) for name in CONFIGURED_BY):
        _send(found, uri)
    return uri


def _send(found: Iterable[RunEvent], uri: str) -> None:
    try:
        client = OpenLineageClient()
        for event in found:
            client.emit(event)
        client.close()
    except Exception as error:  # which may quote the backend's address with its password, or the key
        raise OutOfReach(f"they are in {uri}; the backend that they were sent to is at fault: {_why(error)}") from None


def _why(error: BaseException) -> str:
    """Of what a request failed, in words that hold nothing of it: the status, the system's error, or its kind."""
    answer, kind = getattr(error, "response", None), type(error).__name__
    if answer is not None:
        return f"it answered {answer.status_code}"
    while error.__context__ and not getattr(error, "strerror", None):
        error = error.__context__
    return getattr(error, "strerror", None) or kind


def events(layout: Layout, run: RunRecord, end: EndRecord, rows: pd.DataFrame) -> Iterator[RunEvent]:
    """What began and ended: the run, and within it each shard that was committed, with its inputs and outputs."""
    manifest = InputDataset(*_named(run.manifest_uri), facets=_version(run.manifest_sha256))
    whole = _run(run.run_id, _of_run(run, end, rows))
    yield _event(RunState.START, run.created_at, whole, RUN_JOB, [manifest])
    for number, shard in rows.groupby("shard"):
        within = _run(f"{run.run_id}/{number}", {"parent": parent_run.ParentRunFacet(_parent(run.run_id), _JOB_OF_RUN)})
        inputs, outputs = _datasets(shard)
        committed = shard["committed_at"].iloc[0].to_pydatetime()
        yield _event(RunState.START, shard["started_at"].min().to_pydatetime(), within, SHARD_JOB, inputs)
        yield _event(RunState.COMPLETE, committed, within, SHARD_JOB, inputs, outputs)
    results = OutputDataset(*_named(f"{layout.results()}/night={run.night}/run={run.run_id}"))
    state = RunState.COMPLETE if end.exit_code == 0 else RunState.ABORT if end.exit_code == 130 else RunState.FAIL
    yield _event(state, end.ended_at, whole, RUN_JOB, [manifest], [results])


def _of_run(run: RunRecord, end: EndRecord, rows: pd.DataFrame) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(_midnight(run).isoformat()),
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(run.code_version, "gramophone"),
    }
    if end.exit_code != 0:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(end.message, "python")
    above = next(iter(rows["prefect_flow_run_id"].dropna()), None)
    if above is not None:
        facets["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(str(UUID(above))), parent_run.Job("prefect", "rerun" if run.parent_run_id else "nightly")
        )
    return facets


def _midnight(run: RunRecord) -> datetime:
    """When the date begins that the night is called by, where it is dated."""
    return datetime.combine(date.fromisoformat(run.night), time.min, ZoneInfo(run.options.timezone))


def _datasets(rows: pd.DataFrame) -> tuple[list[InputDataset], list[OutputDataset]]:
    """What a shard read, each once, and what it wrote, each with what it was made of."""
    inputs: dict[tuple[str, str | None], InputDataset] = {}
    outputs = []
    for row in rows_of(rows):
        of_pair = list(row["inputs"]) if row["inputs"] is not None else []
        for one in of_pair:
            if one["sha256"]:
                inputs[one["uri"], one["sha256"]] = InputDataset(*_named(one["uri"]), facets=_version(one["sha256"]))
        if row["status"] == "ok":
            facets = _version(row["audio_sha256"]) | {"lineage": LineageDatasetFacet(inputs=list(map(_edge, of_pair)))}
            outputs.append(OutputDataset(*_named(row["audio_uri"]), facets=facets))
    return list(inputs.values()), outputs


def _edge(one: Mapping[str, Any]) -> LineageDatasetInput:
    """That an output was made of this input, as its content or its style."""
    role = LineageTransformation("DIRECT", one["role"].upper())
    return LineageDatasetInput(*_named(one["uri"]), "DATASET", None, [role])


def _named(uri: str) -> tuple[str, str]:
    """A dataset's namespace and name (spec, Naming): a bucket and its key, or this kind of file and its path."""
    scheme, rest = uri.split("://", 1)
    place, _, path = rest.partition("/")
    return (f"s3://{place}", path) if scheme == "s3" else ("file", f"/{path}")


def _version(sha256: str) -> dict[str, Any]:
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(f"sha256:{sha256}")}


def _id(name: str) -> str:
    """A run's UUID there: the same whenever its events are made."""
    return str(uuid5(NAMESPACE_URL, f"gramophone:{quote(name)}"))


def _run(name: str, facets: dict[str, Any]) -> Run:
    return Run(_id(name), facets)


_JOB_OF_RUN = parent_run.Job(RUN_JOB.namespace, RUN_JOB.name)


def _parent(name: str) -> parent_run.Run:
    return parent_run.Run(_id(name))


def _event(
    state: RunState,
    at: datetime,
    run: Run,
    job: Job,
    inputs: list[InputDataset],
    outputs: Sequence[OutputDataset] = (),
) -> RunEvent:
    producer = f"urn:gramophone:{version('gramophone')}"
    return RunEvent(
        eventTime=at.isoformat(),
        producer=producer,
        run=run,
        job=job,
        eventType=state,
        inputs=inputs,
        outputs=list(outputs),
    )
