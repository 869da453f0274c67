"""`gramophone lineage` as it is typed: what it says, and its exit codes."""

import json
import os
import shlex

import pytest

from tests.flows.conftest import Desk
from tests.tasks.lineage.support import Library


@pytest.fixture
def library(tmp_path):
    """A pair that was made from clips in a folder."""
    library = Library(f"file://{tmp_path}/root")
    run = library.started("1", 1)
    library.commit(run, library.made(run, library.pair(0, library.clip("tune"), library.clip("rain"), strength=0.5)))
    return library


@pytest.fixture
def ask(library, tmp_path):
    """Type a command about it."""
    desk = Desk(tmp_path, dict(os.environ))
    return lambda *arguments: desk.ask(*arguments, "--root", library.root)


def test_an_output_and_an_input_are_told_of_in_both_directions(ask, library):
    said = ask("lineage", "p0")
    assert said.code == 0
    for text in ("what 1/0 was made from", "clips/rain", "strength", "0.5", "file:///m.parquet"):
        assert text in said.out
    derived = ask("lineage", "root/clips/rain")
    assert "1 output was made from root/clips/rain" in derived.out
    found = ask("lineage", "root/clips/rain", "--json").json
    assert [one["role"] for one in found["derived"]] == ["style"]
    assert found["made"] == []


def test_what_cannot_be_asked_is_refused(ask):
    assert ask("lineage").code == 2
    assert ask("lineage", "p0", "--stale").code == 2
    nobody = ask("lineage", "nobody", "--json")
    assert (nobody.code, nobody.out) == (2, "")
    assert "pair_id or pair_key of an output" in nobody.err


def test_what_is_stale_ends_with_1_and_the_command_that_makes_it_anew(ask, library):
    assert ask("lineage", "--stale").code == 0
    library.clip("rain", b"other rain")
    said = ask("lineage", "--stale")
    assert said.code == 1
    assert "changed" in said.out
    command = f"gramophone run --like 1 --root {library.root}"
    assert command in said.out
    found = ask("lineage", "--stale", "--json")
    assert (found.code, found.json["exit_code"], found.json["commands"]) == (1, 1, [command])
    assert found.json["stale"][0]["inputs"] == {f"{library.root}/clips/rain": "changed"}


def test_the_command_makes_what_is_stale_anew_with_its_parameters_and_nothing_else(desk):
    desk.clip("tune", 1.0, "marimba")
    desk.clip("rain", 1.0, "bells")
    desk.clip("wind", 1.0, "organ")
    rows = [{"pair_id": name, "content_uri": "tune.wav", "style_uri": f"{name}.wav"} for name in ("rain", "wind")]
    first = desk.ask("run", desk.manifest(rows), "--refine-evaluations", "2", "--json").json
    assert desk.ask("lineage", "--stale").code == 0
    desk.clip("rain", 1.5, "pluck")
    [command] = desk.ask("lineage", "--stale", "--json").json["commands"]
    said = desk.ask(*shlex.split(command)[1:], "--json")
    assert said.code == 0, said.err
    assert said.json["counts"] == first["counts"] | {"skipped": 1}, "the neighbour is done"
    assert desk.ask("lineage", "--stale").code == 0
    made = [row for row in desk.ask("metrics", "--json").json if row["run_id"] == said.json["run_id"]]
    assert [(row["pair_id"], json.loads(row["params"])["refine_evaluations"]) for row in made] == [("rain", 2)]


def test_a_run_like_another_takes_flags_that_are_given_and_no_manifest_beside(desk):
    assert desk.ask("run", "m.parquet", "--like", "1").code == 2
    assert desk.ask("run").code == 2
    assert "no run nobody" in desk.ask("run", "--like", "nobody").err
    run = desk.ask("status", "--latest", "--json").json["runs"][-1]["run_id"]
    plan = desk.ask("run", "--like", run, "--strength", "0.5", "--dry-run", "--json").json
    assert (sorted(plan["compute"]), plan["skip"]) == (["rain", "wind"], [])
