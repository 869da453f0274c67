"""A training from what was asked to the network in its place: prepared, carried out, gone on with after a kill.

training/<run_id>/training.json             what was asked: the training exists once this does
training/<run_id>/checkpoint.safetensors    the last good state, replaced as a whole
training/<run_id>/curves.parquet, end.json  at the end, after the network
"""

import platform
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import torch

from tasks.decoding import DecodePool
from tasks.layout import Layout
from tasks.lineage import code_version
from tasks.lineage.trainings import read_trainings
from tasks.networks import publish
from tasks.records import schema
from tasks.records.pair import Input
from tasks.records.reasons import OutOfReach, PairError, Reason, UsageError
from tasks.records.run import new_run_id
from tasks.records.training import CHECKPOINT, CURVES, TrainedOn, TrainingEnd, TrainingJob, TrainingRecord
from tasks.records.words import at_root
from tasks.roots import Roots, place, shown
from tasks.store import AlreadyExists, Store, open_store
from tasks.store.probe import probe
from tasks.stored import parquet_bytes, read_record
from tasks.stylise.inputs import Reader, at_working_level, settings_of
from tasks.training import loop
from tasks.training.augment import NOTHING, Augmentation
from tasks.training.corpus import Corpus, Source, contents_of, read_corpus
from tasks.training.problem import StyleProblem
from tasks.training.split import Split, split
from tasks.training.state import Record, State, with_weights
from tasks.transfer.buckets import minimum_samples
from tasks.transfer.feedforward import Architecture, Network
from tasks.transfer.feedforward.objective import Objective
from tasks.transfer.settings import Settings
from tasks.withdrawn import read_withdrawn
from tasks.worker import devices


@dataclass(frozen=True)
class Prepared:
    """A training whose sounds are read. `state`: where it begins, or goes on."""

    record: TrainingRecord
    settings: Settings
    corpus: Corpus
    split: Split
    problem: StyleProblem
    state: State

    @property
    def job(self) -> TrainingJob:
        return self.record.job

    @property
    def store(self) -> Store:
        return open_store(self.job.root)

    @property
    def layout(self) -> Layout:
        return Layout(self.job.root)

    @property
    def budget(self) -> loop.Budget:
        told = self.job.training
        return loop.Budget(
            told.budget_steps, told.budget_seconds, told.every_steps, told.patience, self.job.parameters.seed
        )

    @cached_property
    def estimate(self) -> loop.Estimate:
        return loop.estimate(self.problem, self.state, self.budget)

    def uri(self, name: str) -> str:
        return self.layout.training(self.record.run_id, name)


def prepare(job: TrainingJob) -> Prepared:
    """Read the style and the corpus of a new training; writes nothing.

    Raises UsageError, OutOfReach, or the PairError of the style.
    """
    job = job.model_copy(update={"style": place(job.style), "corpus": place(job.corpus), "root": place(job.root)})
    options = job.options
    uris = [place(uri) for uri in options.allow]
    if options.allow_defaults:
        folder = job.corpus.rsplit("/", 1)[0] if job.corpus.endswith(".parquet") else job.corpus
        uris += [job.style, folder, job.root]
    record = TrainingRecord(
        run_id=new_run_id(),
        created_at=datetime.now(UTC),
        job=job,
        style_sha256="",
        corpus_sha256="",
        allowed=Roots.resolve(uris).uris,
        code_version=code_version(),
        host=platform.node(),
    )
    return _read(record, None)


def resume(root: str, run_id: str = "") -> Prepared:
    """A training that was begun (the latest without an end), at its last checkpoint.

    Raises UsageError where there is none, or it has ended.
    """
    root = place(root)
    store, layout = open_store(root), Layout(root)
    if not run_id:
        open_ones = [one.record.run_id for one in read_trainings(store, layout) if one.end is None]
        if not open_ones:
            raise UsageError(f"every training below {layout.trainings()} has ended.")
        run_id = open_ones[-1]
    record = read_record(store, layout.training(run_id, "training.json"), TrainingRecord)
    if record is None:
        raise UsageError(f"no training {run_id} below {layout.trainings()}.")
    if read_record(store, layout.training(run_id, "end.json"), TrainingEnd) is not None:
        raise UsageError(f"training {run_id} has ended; `gramophone report {run_id} {at_root(root)}` shows it.")
    uri = layout.training(run_id, CHECKPOINT)
    data = store.read(uri).data if store.stat(uri) else None
    try:
        # The folder may have moved: it is where it was found.
        record = record.model_copy(update={"job": record.job.model_copy(update={"root": root})})
        return _read(record, data)
    except (ValueError, KeyError, RuntimeError) as error:
        raise OutOfReach(f"{uri} is no checkpoint ({error}); move it away to begin anew.") from error


def _read(record: TrainingRecord, checkpoint: bytes | None) -> Prepared:
    job, told = record.job, record.job.training
    params = job.parameters
    if params.features != "kernel":
        raise UsageError(f"a network is trained with features kernel, and not {params.features}.")
    pool, store = DecodePool(2), open_store(job.root)
    try:
        withdrawn = read_withdrawn(store, Layout(job.root))
        reader = Reader(Roots(record.allowed), pool, params, job.options)
        style, clip = reader.read(Input("style", job.style), sample_rate=params.sample_rate or None)
        withdrawn.check([style])
        settings = settings_of(params, clip.sample_rate)
        _check_length(clip.samples.shape[-1], settings, job.style)
        contents = contents_of(job.corpus, params, job.options)
        corpus = read_corpus(contents, reader, settings.sample_rate, told.source_seconds_max, withdrawn)
    finally:
        pool.close()
    is_new = not record.style_sha256
    record = _with_digests(record, style.sha256 or "", corpus)
    if is_new and store.stat(Layout(job.root).model(record.style_sha256, told.name)):
        raise UsageError(f"the style has a network {told.name!r} already; choose another --name.")
    device = torch.device(devices(job.options.device)[0])
    sides = split((source.sha256 for source in corpus.sources), params.seed)
    sound, _ = at_working_level(torch.from_numpy(clip.samples), settings.sample_rate)
    problem = StyleProblem(
        Objective.of(sound, settings, device),
        sources_of(corpus, sides.training),
        sources_of(corpus, sides.validation),
        Augmentation() if told.augment else NOTHING,
        max(told.crop_frames, 2 * max(settings.widths)),
        told.batch_items,
        round(params.segment_seconds * settings.sample_rate),
        device,
    )
    state = State.from_bytes(checkpoint, device) if checkpoint else begun(settings, job, device)
    return Prepared(record, settings, corpus, sides, problem, state)


def _with_digests(record: TrainingRecord, style_sha256: str, corpus: Corpus) -> TrainingRecord:
    """The record of what was read. Raises UsageError where that is not what the training began with, or is nothing."""
    if not corpus.sources:
        uri, why = corpus.left_out[0] if corpus.left_out else (record.job.corpus, "it has no contents")
        raise UsageError(f"nothing in {record.job.corpus} can be trained on; {shown(uri)}: {why}.")
    found = {"style_sha256": style_sha256, "corpus_sha256": corpus.sha256}
    began = {name: getattr(record, name) for name in found}
    if record.style_sha256 and began != found:
        changed = [name.removesuffix("_sha256") for name in found if began[name] != found[name]]
        raise UsageError(
            f"training {record.run_id} cannot go on: {' and '.join(changed)} changed since it began; train anew."
        )
    sources = tuple(TrainedOn(sha256=source.sha256, uris=source.uris) for source in corpus.sources)
    return record.model_copy(update={**found, "sources": sources})


def begun(settings: Settings, job: TrainingJob, device: torch.device) -> State:
    told = job.training
    shape = Architecture(settings.n_fft // 2 + 1, told.network_width, told.network_blocks)
    return State(Network(shape, job.parameters.seed).to(device), told.learning_rate)


def sources_of(corpus: Corpus, digests: tuple[str, ...]) -> list[Source]:
    by_digest = {source.sha256: source for source in corpus.sources}
    return [by_digest[digest] for digest in digests]


def _check_length(samples: int, settings: Settings, uri: str) -> None:
    needed = minimum_samples(settings)
    if samples < needed:
        rate = settings.sample_rate
        raise PairError(
            Reason.INPUT_TOO_SHORT,
            f"the style {shown(uri)} lasts {samples / rate:.4g} s, but these parameters need {needed / rate:.4g} s",
        )


# --- carried out ----------------------------------------------------------------------------------


def carry_out(
    prepared: Prepared, stopping: Callable[[], bool] = lambda: False
) -> Generator[Record, None, TrainingEnd | None]:
    """Train, and publish the network. Yields a record for each step; None is returned where it was asked to stop.

    Raises PairError: diverged, storage; OutOfReach where the root cannot be written to.
    """
    store, job = prepared.store, prepared.job
    if store.stat(prepared.uri("training.json")) is None:
        probe(store, job.root)
        store.create(prepared.uri("training.json"), prepared.record.model_dump_json(indent=2).encode())
    work, answer = loop.train(prepared.problem, prepared.state, prepared.budget), None
    while True:
        try:
            step = work.send(answer)
        except StopIteration as end:
            state, why = end.value
            break
        if step.good is not None:
            store.replace(prepared.uri(CHECKPOINT), step.good)
        yield step.record
        answer = stopping() or None
    return None if why == "stopped" else _published(prepared, state, why)


def _published(prepared: Prepared, state: State, why: Any) -> TrainingEnd:
    store, record, job = prepared.store, prepared.record, prepared.job
    if not state.best_step:
        raise PairError(
            Reason.DIVERGED,
            f"after {state.step:,} steps no network did better than none on the sources "
            "that are kept for validation; try a smaller --learning-rate, or more steps",
        )
    best = next((r for r in reversed(state.records) if r.step == state.best_step), state.records[-1])
    late = state.records[-prepared.budget.every :]
    losses = {
        "training_total": sum(r.total for r in late) / len(late),
        "training_style": sum(r.style for r in late) / len(late),
        "validation_total": best.validation_total if best.validated else None,
        "validation_style": best.validation_style if best.validated else None,
        "untouched_style": prepared.problem.untouched(),
    }
    header = {
        "run_id": record.run_id,
        "style": {"uri": job.style, "sha256": record.style_sha256},
        "settings": {name: getattr(prepared.settings, name) for name in ("sample_rate", "n_fft", "hop_length")},
        "parameters": job.parameters.model_dump(mode="json"),
        "training": job.training.model_dump(mode="json"),
        "code_version": code_version(),
        "corpus_sha256": record.corpus_sha256,
        "split": asdict(prepared.split),
        "losses": losses,
        "steps": state.step,
        "best_step": state.best_step,
    }
    try:
        network = with_weights(state.network, state.best)
        uri, sha256 = publish(prepared.layout, job.training.name, network, header)
    except AlreadyExists as error:
        raise UsageError(
            f"{error} was written by another training meanwhile; "
            f"its checkpoint is kept: give that network another name and resume {record.run_id}."
        ) from error
    table = schema.table_of(rows_of(record.run_id, state), schema.TRAINING)
    store.replace(prepared.uri(CURVES), parquet_bytes(table))
    end = TrainingEnd(
        run_id=record.run_id,
        why=why,
        message=_message(state, why, losses, prepared.split),
        network_uri=uri,
        network_sha256=sha256,
        curves_uri=prepared.uri(CURVES),
        steps=state.step,
        best_step=state.best_step,
        seconds=state.seconds,
        validation_refusal=prepared.split.refusal,
        ended_at=datetime.now(UTC),
        **losses,
    )
    store.create(prepared.uri("end.json"), end.model_dump_json(indent=2).encode())
    return end


def rows_of(run_id: str, state: State) -> list[dict[str, Any]]:
    """The curves of a state; null where nothing was validated."""
    return [
        {"schema_version": schema.SCHEMA_VERSION, "run_id": run_id}
        | {name: None if value != value else value for name, value in asdict(record).items()}
        for record in state.records
    ]


WHY = {
    "steps": "its steps were done",
    "seconds": "its time was used up",
    "early": "validation became no better",
}


def _message(state: State, why: str, losses: dict[str, float | None], sides: Split) -> str:
    told = f"{state.step:,} steps in {state.seconds:,.0f} s, ended because {WHY[why]}"
    after, before = losses["validation_style"], losses["untouched_style"]
    if after is None or not before:
        return f"{told}; training style loss {losses['training_style']:.4f}; {sides.refusal}"
    kept = f"the network of step {state.best_step:,} is kept"
    return (
        f"{told}, {kept}: on {len(sides.validation)} sources that it never saw the style loss is {after:.4f}, "
        f"{after / before:.2f} of the untouched {before:.4f}"
    )
