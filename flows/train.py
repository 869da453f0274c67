"""The train flow, and the one that goes on with a training: a network for one style, progress as an artifact."""

from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import session
from flows.board import KEY, PROGRESS_EVERY_SECONDS
from flows.cancels import heeding_cancels
from tasks.records.reasons import REFUSALS
from tasks.records.training import ResumeJob, TrainingJob
from tasks.records.words import at_root
from tasks.training.session import Prepared, carry_out, prepare, resume


def _name() -> str:
    job = TrainingJob.model_validate(flow_run.parameters["job"])
    return f"{job.style.rsplit('/', 1)[-1]} {job.training.name}"


def _asked() -> str:
    return f"{ResumeJob.model_validate(flow_run.parameters['job']).run_id or 'the latest training'} goes on"


@flow(name="train", flow_run_name=_name, persist_result=False)
def train(job: TrainingJob) -> State[Any]:
    """Train a network for one style on a corpus of contents."""
    here = session.current()
    return heeding_cancels(here, lambda: _carried_out(lambda: prepare(job), here))


@flow(name="train-resume", flow_run_name=_asked, persist_result=False)
def train_resume(job: ResumeJob = ResumeJob()) -> State[Any]:  # noqa: B008 - the default is what the form shows
    """Go on with a training that was stopped or killed, from its last checkpoint."""
    here = session.current()
    return heeding_cancels(here, lambda: _carried_out(lambda: resume(job.root, job.run_id), here))


def _carried_out(read: Callable[[], Prepared], here: session.Session) -> State[Any]:
    log = get_run_logger()
    with here.catching_signals():
        try:
            prepared = read()
            steps = prepared.estimate.steps_within(prepared.budget)
            log.info("training %s: at most %d steps", prepared.record.run_id, steps)
            end = _shown(prepared, steps, here)
        except REFUSALS as error:
            return Failed(message=str(error))
    if end is None:
        again = f"gramophone train --resume {prepared.record.run_id} {at_root(prepared.job.root)}"
        return Failed(message=f"stopped; go on with `{again}`")
    with suppress(Exception):
        create_markdown_artifact(f"**{end.message}**\n\n- network: `{end.network_uri}`", KEY + "network")
    return Completed(message=end.message)


def _shown(prepared: Prepared, steps: int, here: session.Session) -> Any:
    """Carry it out; an API that is away delays nothing but a moment, and changes nothing."""
    work, artifact, said = carry_out(prepared, here.stopping), None, 0.0
    while True:
        try:
            record = next(work)
        except StopIteration as end:
            return end.value
        if monotonic() - said < PROGRESS_EVERY_SECONDS and record.step < steps:
            continue
        said, percent = monotonic(), min(100.0, 100.0 * record.step / steps)
        told = f"step {record.step} of at most {steps}, loss {record.total:.4f}"
        with suppress(Exception):
            if artifact is None:
                artifact = create_progress_artifact(percent, KEY + "training", told)
            else:
                update_progress_artifact(artifact, percent, told)  # type: ignore[arg-type]
