"""A pair that has failed too often is left alone, and every place that lists it says so and what to do."""

import json

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.nightly import nightly
from flows.rerun import rerun
from tasks.records.parameters import Parameters
from tasks.records.run import Job, Options
from tasks.rerun import RerunJob
from tests.flows.conftest import QUICK


@pytest.fixture(scope="module")
def night(desk):
    """What each command of a night said in which one input was broken, and was tried twice, of two times."""
    desk.clip("good")
    (desk.folder / "broken.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    rows = [
        {"pair_id": name, "content_uri": f"{name}.wav", "style_uri": "good.wav"}
        for name in ("good", "broken", "absent")
    ]
    root = f"file://{desk.folder}/quarantined"
    job = Job(
        manifest=str(desk.folder / desk.manifest(rows, "quarantined.parquet")), root=root,
        parameters=Parameters(**QUICK), options=Options(device="cpu", threads=1, max_attempts=2),
    )  # fmt: skip
    said = {"root": root, "run": nightly(job, return_state=True)}
    again = RerunJob(root=root, reasons=("decode_error",), force=True)
    said["forced"] = rerun(again, return_state=True)
    said["artifact"] = _failures(root, _latest(desk, root))
    said["flow"] = rerun(RerunJob(root=root), return_state=True)
    at = ["--latest", "--root", root]
    said["status"] = desk.ask("status", *at)
    said["status json"] = desk.ask("status", *at, "--json")
    said["rerun"] = desk.ask("rerun", *at)
    said["rerun json"] = desk.ask("rerun", *at, "--json")
    said["once more"] = desk.ask("rerun", *at, "--force", "--dry-run", "--json")
    said["a higher cap"] = desk.ask("rerun", *at, "--max-attempts", "3", "--json")
    said["other parameters"] = desk.ask("rerun", *at, "--set", "seed=5", "--dry-run", "--json")
    desk.clip("broken")
    said["mended"] = desk.ask("rerun", *at, "--dry-run", "--json")
    return said


def _failures(root, run_id):
    """The failures of a run as its page in Prefect has them: the table's rows, and what is said above them."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["gramophone-failures"]))
        )
    [artifact] = [artifact for artifact in found if f"{run_id} --root {root}`" in artifact.description]
    return json.loads(artifact.data), artifact.description


def _latest(desk, root):
    return desk.ask("status", "--latest", "--root", root, "--json").json["runs"][-1]["run_id"]


def test_the_verdict_of_the_last_try_says_that_it_was_the_last(night):
    assert night["run"].message.startswith("1 of 3 pairs done; 2 failed: 1 decode_error, 1 input_missing. Next:")
    assert night["forced"].message.startswith("0 of 1 pairs done; 1 failed: 1 decode_error; 1 of them quarantined.")


def test_a_rerun_lists_it_and_computes_nothing(night):
    found = night["rerun json"]
    assert found.code == 1
    assert found.json == {"chosen": [], "withheld": ["absent"], "quarantined": ["broken"], "exit_code": 1}
    assert "quarantined: failed too often (--force computes them) (1)" in night["rerun"].out
    assert "1 quarantined, since they have failed too often: `gramophone status" in night["flow"].message


def test_status_lists_it_and_says_what_to_do(night):
    said = night["status"].out
    assert "quarantined (decode_error)" in said
    assert "--reason decode_error --force`" in said
    assert "1 of 3 pairs ok, 2 failed, 1 of the failed quarantined" in said
    pairs = {pair["pair_id"]: pair for pair in night["status json"].json["pairs"]}
    assert (pairs["broken"]["attempts"], pairs["broken"]["quarantined"]) == (2, True)
    assert not pairs["absent"]["quarantined"]


def test_the_table_in_prefect_says_so_too(night):
    rows, says = night["artifact"]
    assert {row["pair"]: row["reason"] for row in rows} == {"broken": "quarantined (decode_error)"}
    assert "- 1 quarantined (decode_error): change its input" in says
    assert "--reason decode_error --force`" in says


def test_force_computes_it_once_more(night):
    assert set(night["once more"].json["chosen"]) == {"broken", "absent"}


def test_under_a_higher_cap_it_is_a_failure_of_which_nothing_has_changed(night):
    assert set(night["a higher cap"].json["withheld"]) == {"broken", "absent"}


def test_a_pair_whose_input_or_parameters_have_changed_is_another(night):
    assert "broken" in night["other parameters"].json["chosen"]
    assert night["mended"].json["chosen"] == ["broken"]
