"""What a shell completes."""

import pytest
from click.shell_completion import ShellComplete

from flows.cli import cli


def completed(*typed):
    *before, incomplete = typed
    found = ShellComplete(cli, {}, "gramophone", "_GRAMOPHONE_COMPLETE").get_completions(list(before), incomplete)
    return [item.value for item in found]


@pytest.fixture
def root(tmp_path):
    for name in ("runs/20260101-a/run.json", "runs/20260102-b/run.json", "training/20260103-c/training.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("spelled", ["{}", "file://{}"])
def test_a_run_is_completed_from_what_lies_under_the_root_the_latest_first(root, spelled):
    place = ("--root", spelled.format(root))
    assert completed("report", *place, "2026") == ["20260103-c", "20260102-b", "20260101-a"]
    assert completed("run", *place, "--like", "20260102") == ["20260102-b"]
    assert completed("rerun", *place, "2027") == []


def test_of_a_bucket_no_run_is_asked_for(monkeypatch):
    monkeypatch.setenv("GRAMOPHONE_S3_ENDPOINT", "http://127.0.0.1:9")  # where nobody answers
    assert completed("rerun", "--root", "s3://bucket/prefix", "2026") == []


def test_a_reason_is_completed():
    assert completed("rerun", "--reason", "input_too") == ["input_too_short", "input_too_long"]
