"""The deployments of infra/prefect.yaml, a Prefect worker for them, and what a person does with them in the UI."""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId
from prefect.states import Cancelling, Scheduled

from tests.flows.processes import wait_for
from tests.infra.commands import INFRA, REPOSITORY
from tests.servers import stop

FILE = "infra/prefect.yaml"
SCHEDULED = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
SETTINGS = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_LEVEL": "INFO"}


class Server:
    """What a person does in the UI, through the same API."""

    def __init__(self, client):
        self.client = client

    def start(self, deployment, job, scheduled=SCHEDULED):
        found = self.client.read_deployment_by_name(f"{deployment}/{deployment}")
        state = Scheduled(scheduled_time=scheduled)
        return self.client.create_flow_run_from_deployment(found.id, parameters={"job": job}, state=state).id

    def cancel(self, run_id):
        self.client.set_flow_run_state(run_id, Cancelling())

    def state(self, run_id):
        return self.client.read_flow_run(run_id).state

    def end_of(self, run_id, seconds=240):
        return wait_for(lambda: (s := self.state(run_id)).is_final() and s, f"the end of {run_id}", seconds)

    @property
    def ui(self):
        return str(self.client.api_url).removesuffix("/").removesuffix("/api")

    def artifacts(self, run_id):
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        return {a.key: a for a in self.client.read_artifacts(artifact_filter=wanted)}

    def assets(self, run_id):
        """What was told of assets in a run, by the key of each."""
        asked = {"event": {"prefix": ["prefect.asset."]}, "related": {"id": [f"prefect.flow-run.{run_id}"]}}
        found = self.client.request("POST", "/events/filter", json={"filter": asked}).json()["events"]
        return {event["resource"]["prefect.resource.id"]: event for event in found}

    def logs(self, run_id):
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        return [log.message for log in self.client.read_logs(log_filter=wanted)]


def of_compose(service):
    """The command of a service of infra/compose.yaml."""
    return yaml.safe_load((INFRA / "compose.yaml").read_text())["services"][service]["command"]


def typed(desk, command):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = desk.environment | {"PATH": path}
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def deployed(desk):
    """The Prefect server, with the pool and the deployments of infra/prefect.yaml."""
    for command in (of_compose("pool"), ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", FILE]):
        typed(desk, command)
    with get_client(sync_client=True) as client:
        yield Server(client)


@contextmanager
def working(desk, log, **environment):
    """A Prefect worker of the pool."""
    with log.open("ab") as sink:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "gramophone"]
        worker = subprocess.Popen(
            command, env=desk.environment | SETTINGS | environment, cwd=desk.folder, stdout=sink,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield worker
    finally:
        stop(worker, 40)
