"""The nightly flow: a manifest becomes sound and metrics."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Failed

from flows import session
from flows.cancels import heeding_cancels
from flows.carry_out import carry_out, task_runner
from tasks.records.reasons import REFUSALS
from tasks.records.run import Job
from tasks.records.texts import night_of
from tasks.submit import prepare_nightly


def _name() -> str:
    job = Job.model_validate(flow_run.parameters["job"])
    night = job.night or night_of(flow_run.scheduled_start_time, job.options.timezone)
    return f"{job.manifest.rsplit('/', 1)[-1].replace('{night}', str(night))} {night}"


@flow(name="nightly", flow_run_name=_name, task_runner=task_runner, persist_result=False)
def nightly(job: Job = Job()) -> State[Any]:  # noqa: B008 - the default is what the form shows
    """Restyle every pair of a manifest that is not done yet."""
    here = session.current()
    return heeding_cancels(here, lambda: _nightly(job, here))


def _nightly(job: Job, here: session.Session) -> State[Any]:
    tell = get_run_logger().warning
    try:
        submission = here.prepared or prepare_nightly(job, flow_run.scheduled_start_time, tell)
    except REFUSALS as error:
        return Failed(message=str(error))
    return carry_out(submission, here)
