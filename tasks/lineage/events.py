"""OpenLineage events of a run and its shards, from its results (openlineage.io, spec 2)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import chain, islice
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    error_message_run,
    nominal_time_run,
    parent_run,
    processing_engine_run,
)
from openlineage.client.generated.lineage import LineageDatasetFacet, LineageDatasetInput, LineageTransformation

from tasks.in_threads import in_threads
from tasks.layout import Layout
from tasks.lineage.backend import Backend
from tasks.records import schema
from tasks.records.run import EndRecord, RunRecord
from tasks.store import Store
from tasks.stored import parquet_files, read_table

NAMESPACE = "gramophone"
RUN_JOB, SHARD_JOB = Job(NAMESPACE, "run"), Job(NAMESPACE, "run.shard")
FILE_BYTES = 16 << 20
"""Of events in one file, or a little more: so much is held at once, however large the run."""
FILES_AHEAD = 16
REPEATED = 1_024
"""Inputs that are kept for the pairs that follow: few styles serve many."""
NEEDED = schema.some(
    schema.RESULTS, "shard", "status", "inputs", "audio_uri", "audio_sha256", "prefect_flow_run_id", "started_at",
    "committed_at",
)  # fmt: skip
Shard = Sequence[Mapping[str, Any]]
"""The rows of one results file, as far as they are NEEDED."""


def write_events(store: Store, layout: Layout, run: RunRecord, end: EndRecord) -> str:
    """Write the events of a run that has ended as lines of JSON, and send them where OpenLineage is configured
    (OPENLINEAGE_URL, OPENLINEAGE_API_KEY or a file, as its own client reads them). Returns the URI of the first file.

    Events of shards and not of pairs: those of a million pairs would be ten gigabytes. Raises PairError (storage),
    OutOfReach for a results file that cannot be read, and where they are written but not sent.
    """
    first = layout.lineage(run.night, run.run_id)
    with Backend(first) as backend:
        made = events(layout, run, end, shards(store, layout, run))
        for number, lines in enumerate(_files(backend.sent(made))):
            store.replace(layout.lineage(run.night, run.run_id, number), lines)
    return first


def _files(found: Iterable[RunEvent]) -> Iterator[bytes]:
    """The events as lines, as many together as one file holds."""
    lines: list[bytes] = []
    size = 0
    for event in found:
        lines.append(line(event))
        size += len(lines[-1])
        if size >= FILE_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def line(event: RunEvent) -> bytes:
    """What the library's own Serde makes of an event, in a third of its time."""
    return json.dumps(event, default=_plain, separators=(",", ":")).encode() + b"\n"


def _plain(part: Any) -> Any:
    if isinstance(part, Enum):
        return part.value
    names = (field.name for field in part.__attrs_attrs__)
    return {name: value for name in names if (value := getattr(part, name)) is not None}


def shards(store: Store, layout: Layout, run: RunRecord) -> Iterator[Shard]:
    """The shards of a run that were committed, in their order, a few files in hand."""
    # As they were committed: a compacted part holds those of many runs, and a night is compacted later.
    uris = sorted(parquet_files(store, layout.run_results(run.night, run.run_id)), key=lambda uri: (len(uri), uri))
    for table in in_threads(lambda uri: read_table(store, uri, NEEDED), uris, each=1, ahead=FILES_AHEAD):
        if table.num_rows:
            yield table.to_pylist()


def events(layout: Layout, run: RunRecord, end: EndRecord, found: Iterable[Shard]) -> Iterator[RunEvent]:
    """What began and ended: the run, and within it each shard that was committed, with its inputs and outputs."""
    found = iter(found)
    first = list(islice(found, 1))
    manifest = InputDataset(*_named(run.manifest_uri), facets=_version(run.manifest_sha256))
    whole = _run(run.run_id, _of_run(run, end, first))
    yield _event(RunState.START, run.created_at, whole, RUN_JOB, [manifest])
    for rows in chain(first, found):
        name = f"{run.run_id}/{rows[0]['shard']}"
        within = _run(name, {"parent": parent_run.ParentRunFacet(_parent(run.run_id), _JOB_OF_RUN)})
        inputs, outputs = _datasets(rows)
        begun = min((row["started_at"] for row in rows if row["started_at"]), default=rows[0]["committed_at"])
        yield _event(RunState.START, begun, within, SHARD_JOB, inputs)
        yield _event(RunState.COMPLETE, rows[0]["committed_at"], within, SHARD_JOB, inputs, outputs)
    results = OutputDataset(*_named(layout.run_results(run.night, run.run_id)))
    state = RunState.COMPLETE if end.exit_code == 0 else RunState.ABORT if end.exit_code == 130 else RunState.FAIL
    yield _event(state, end.ended_at, whole, RUN_JOB, [manifest], [results])


def _of_run(run: RunRecord, end: EndRecord, first: Iterable[Shard]) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(_midnight(run).isoformat()),
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(run.code_version, "gramophone"),
    }
    if end.exit_code != 0:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(end.message, "python")
    above = next((row["prefect_flow_run_id"] for rows in first for row in rows), None)  # one for all of a run
    if above is not None:
        facets["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(str(UUID(above))), parent_run.Job("prefect", "rerun" if run.parent_run_id else "nightly")
        )
    return facets


def _midnight(run: RunRecord) -> datetime:
    """When the date begins that the night is called by, where it is dated."""
    return datetime.combine(date.fromisoformat(run.night), time.min, ZoneInfo(run.options.timezone))


def _datasets(rows: Shard) -> tuple[list[InputDataset], list[OutputDataset]]:
    """What a shard read, each once, and what it wrote, each with what it was made of."""
    inputs: dict[tuple[str, str | None], InputDataset] = {}
    outputs = []
    for row in rows:
        of_pair = row["inputs"] or []
        for one in of_pair:
            if one["sha256"]:
                inputs[one["uri"], one["sha256"]] = _input(one["uri"], one["sha256"])
        if row["status"] == "ok":
            edges: list[Any] = [_edge(one["uri"], one["role"]) for one in of_pair]
            facets = _version(row["audio_sha256"]) | {"lineage": LineageDatasetFacet(inputs=edges)}
            outputs.append(OutputDataset(*_named(row["audio_uri"]), facets=facets))
    return list(inputs.values()), outputs


@lru_cache(REPEATED)
def _input(uri: str, sha256: str) -> InputDataset:
    return InputDataset(*_named(uri), facets=_version(sha256))


@lru_cache(REPEATED)
def _edge(uri: str, role: str) -> LineageDatasetInput:
    """That an output was made of this input, as its content or its style."""
    return LineageDatasetInput(*_named(uri), "DATASET", None, [LineageTransformation("DIRECT", role.upper())])


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
    return RunEvent(
        eventTime=at.isoformat(),
        producer=_producer(),
        run=run,
        job=job,
        eventType=state,
        inputs=inputs,
        outputs=list(outputs),
    )


@cache
def _producer() -> str:
    return f"urn:gramophone:{version('gramophone')}"
