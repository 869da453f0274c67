"""infra/prefect.yaml: its flows are there and take its parameters (tests/flows/test_deployed.py runs it)."""

import pytest
import yaml

from tests.infra.commands import INFRA

DEPLOYMENTS = {d["name"]: d for d in yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"]}
each = pytest.mark.parametrize("name", DEPLOYMENTS)


def flow_of(name):
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(DEPLOYMENTS[name]["entrypoint"], use_placeholder_flow=False)


@each
def test_a_deployment_s_flow_takes_its_parameters(name):
    assert flow_of(name).validate_parameters(DEPLOYMENTS[name]["parameters"])


@each
def test_a_parameter_that_the_flow_does_not_know_is_refused(name):
    job = DEPLOYMENTS[name]["parameters"]["job"] | {"rot": "s3://music/gramophone"}
    with pytest.raises(Exception, match="rot"):
        flow_of(name).validate_parameters({"job": job})


def test_one_pool_that_compose_and_kubernetes_make_and_their_workers_ask():
    [pool] = {d["work_pool"]["name"] for d in DEPLOYMENTS.values()}
    files = [
        INFRA / "compose.yaml",
        *(INFRA / "kubernetes").glob("*/worker.yaml"),
        INFRA / "kubernetes/base/deploy.yaml",
    ]
    assert len(files) == 4
    for file in files:
        text = file.read_text()
        assert f"--pool, {pool}," in text or f"create {pool} " in text, file
