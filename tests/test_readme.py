"""What the README promises, done: its questions in pandas, its generated parts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import COMMANDS

HOME = Path(__file__).resolve().parents[1]
README = (HOME / "README.md").read_text()


@pytest.fixture(scope="module")
def demo(tmp_path_factory, prefect_server):
    folder = tmp_path_factory.mktemp("readme")
    done = subprocess.run([sys.executable, "-m", "flows.cli", "demo"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_demo_shows_every_pair_and_what_to_type_next(demo):
    _, out = demo
    for words in ("explicit-gram-matrices", "broken-x-drums", "decode_error", "6 of 7 pairs done", "listen:", "next:"):
        assert words in out


def test_the_five_questions_are_answered_in_pandas(demo, monkeypatch):
    monkeypatch.chdir(demo[0])
    [snippet] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    found: dict = {}
    exec(snippet, found)
    assert len(found["worst"]) == 6
    assert found["worst"].style_loss.is_monotonic_decreasing
    assert found["reasons"]["size"].to_dict() == {"decode_error": 1}
    assert found["seconds"]["count"].sum() == 6
    assert found["styles"].notna().sum().sum() == 6
    assert len(found["both"]) == 7  # the demo is one run: the first is the last, and nothing has changed
    assert found["changed"].empty


def test_the_manifest_of_the_schema_page_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (HOME / "manifests" / "README.md").read_text()
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], {})
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "manifest", "validate", "manifest.parquet"], capture_output=True, text=True
    )
    assert "2 rows, none wrong" in done.stdout


def test_every_promise_names_a_test_that_is_there():
    section = README.split("## Promises")[1].split("\n## ")[0]
    promises = [line for line in section.splitlines() if line.startswith("| ") and "broken in" not in line]
    assert len(promises) == 10
    for promise in promises:
        named = re.findall(r"`(tests/\S+)::(\w+)`", promise)
        assert named, promise
        for path, name in named:
            assert f"def {name}(" in (HOME / path).read_text(), f"{path} has no {name}"


def test_every_command_is_in_the_readme():
    for name in COMMANDS:
        assert f"gramophone {name}" in README


def test_the_generated_parts_are_what_would_be_generated():
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "README.md", "manifests/README.md"], cwd=HOME, capture_output=True
    )
    assert done.returncode == 0, "run `make docs`"
