"""The rerun flow: the failed and open pairs of a run and its reruns, and nothing else."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import session
from flows.cancels import heeding_cancels
from flows.carry_out import carry_out, task_runner
from tasks.records.reasons import REFUSALS
from tasks.records.words import at_root
from tasks.rerun import RerunJob, Selection, prepare_rerun
from tasks.roots import place


def _asked() -> str:
    return RerunJob.model_validate(flow_run.parameters["job"]).run_id or "the latest run"


@flow(name="rerun", flow_run_name=lambda: f"rerun of {_asked()}", task_runner=task_runner, persist_result=False)
def rerun(job: RerunJob = RerunJob()) -> State[Any]:  # noqa: B008 - the default is what the form shows
    """Compute what a run and its reruns have left."""
    here = session.current()
    return heeding_cancels(here, lambda: _rerun(job, here))


def _rerun(job: RerunJob, here: session.Session) -> State[Any]:
    try:
        selection: Selection = here.prepared or prepare_rerun(job, flow_run.scheduled_start_time)
    except REFUSALS as error:
        return Failed(message=str(error))
    besides = selection.besides()
    if selection.submission is not None:
        return carry_out(selection.submission, here, besides)
    if besides:
        named = f"gramophone status {selection.family.last.run_id} {at_root(place(job.root))}"
        return Failed(message=f"{'; '.join(besides)}: `{named}`")
    return Completed(message="nothing to do: every pair is done")
