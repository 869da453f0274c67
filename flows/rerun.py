"""The rerun flow: the failed and open pairs of a run and its reruns, and nothing else."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import session
from flows.carry_out import carry_out, task_runner
from tasks.rerun import RerunJob, Selection, prepare_rerun


@flow(name="rerun", task_runner=task_runner, persist_result=False)
def rerun(job: RerunJob = RerunJob()) -> State[Any]:  # noqa: B008 - the default is what the form shows
    """Compute what a run and its reruns have left."""
    here = session.current()
    selection: Selection = here.prepared or prepare_rerun(job)
    withheld = len(selection.withheld)
    if selection.submission is not None:
        return carry_out(selection.submission, here, withheld)
    if withheld:
        return Failed(message=f"{withheld} pairs not tried again, since nothing about them has changed")
    return Completed(message="nothing to do: every pair is done")
