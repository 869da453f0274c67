"""The nightly flow: a manifest becomes sound and metrics."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows import session
from flows.carry_out import carry_out, task_runner
from tasks.records.run import Job
from tasks.submit import prepare_nightly


def _name() -> str:
    job = Job.model_validate(flow_run.parameters["job"])
    return f"{job.manifest.rsplit('/', 1)[-1]} {flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"


@flow(name="nightly", flow_run_name=_name, task_runner=task_runner, persist_result=False)
def nightly(job: Job = Job()) -> State[Any]:  # noqa: B008 - the default is what the form shows
    """Restyle every pair of a manifest that is not done yet."""
    here = session.current()
    return carry_out(here.prepared or prepare_nightly(job, flow_run.scheduled_start_time), here)
