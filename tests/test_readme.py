"""What README and CONTRIBUTING promise, done: questions in pandas, a worked change, paths, generated parts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import COMMANDS
from tasks.plots import figures
from tasks.records import schema
from tasks.report import facts
from tasks.transfer import quality
from tests.tasks.transfer import test_quality

HOME = Path(__file__).resolve().parents[1]
README = (HOME / "README.md").read_text()
CONTRIBUTING = (HOME / "CONTRIBUTING.md").read_text()


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


def test_the_change_of_contributing_passes_its_own_test(monkeypatch):
    proof, figure, column, value = re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)
    found = dict(vars(quality))
    exec(figure, found)
    monkeypatch.setattr(quality, "crest_db", found["crest_db"], raising=False)
    proving = dict(vars(test_quality))
    exec(proof, proving)
    proving["test_a_sine_has_a_crest_of_three_decibels_and_a_click_one_of_many"]()
    added = eval(column.strip().rstrip(","), dict(vars(schema)))
    assert added.name not in {column.name for column in schema.RESULTS_COLUMNS}, "there by now: take another example"
    [where] = re.findall(r"its column, among `(\w+)`", CONTRIBUTING)
    assert {column.name for column in getattr(schema, where)} <= figures.FIGURES.keys() & facts.FIGURES.keys()
    measured = eval(f"{{{value}}}", {"quality": quality, "mono": test_quality.tone(440)})
    assert list(measured) == [added.name]


def test_what_contributing_names_is_there():
    named = set(
        re.findall(r"`((?:flows|tasks|tests|manifests|infra|\.ci)/[\w./*-]*|\w+\.(?:md|lock|toml))`", CONTRIBUTING)
    )
    assert len(named) > 15
    assert not [path for path in named if not list(HOME.glob(path))]
    typed = re.findall(r"\bpytest (tests.*?)(?:  |$)", CONTRIBUTING, re.MULTILINE)
    assert typed
    assert not [path for line in typed for path in line.split() if not (HOME / path).exists()]
    targets = set(re.findall(r"\bmake ([a-z-]+)`?", re.sub(r"(?m)#.*$", "", CONTRIBUTING)))
    makefile = (HOME / "Makefile").read_text()
    assert {"setup", "test", "docs", "lint", "bench"} <= targets
    assert not [target for target in targets if f"\n{target}:" not in makefile]
    modules = re.findall(r"python -m (tests\.[\w.]+)(?: (bench_\w+))?", CONTRIBUTING)
    assert not [name for name, _ in modules if not list(HOME.glob(f"{name.replace('.', '/')}*"))]
    assert "CONTRIBUTING.md" in README
