"""`gramophone plot` and the example notebook, over a run that was really made."""

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).parents[2] / "manifests" / "listening.ipynb"


@pytest.fixture(scope="module")
def made(desk):
    """A sweep over strength of one content with two styles, and a pair that fails."""
    for name, kind in (("tune", "pluck"), ("rain", "drums"), ("bells", "bells")):
        desk.clip(name, kind=kind)
    (desk.folder / "broken.wav").write_bytes(b"RIFF")
    rows = [
        {"pair_id": f"{style}-{strength}", "content_uri": "tune.wav", "style_uri": f"{style}.wav",
         "params": json.dumps({"strength": strength})}
        for style in ("rain", "bells") for strength in (0.5, 1.0)
    ]  # fmt: skip
    rows.append({"pair_id": "broken", "content_uri": "broken.wav", "style_uri": "rain.wav", "params": None})
    done = desk.ask("run", desk.manifest(rows))
    assert done.code == 1, done.out + done.err
    return desk


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("spectrograms", ["--pair", "rain-1.0"]), ("losses", ["--latest"]), ("sweep", []), ("by-style", [])],
)
def test_each_picture_is_written_as_a_file_and_told_as_numbers(made, kind, arguments):
    said = made.ask("plot", kind, *arguments, "-o", f"{kind}.png")
    assert (said.code, said.out) == (0, f"{kind}.png\n"), said.err
    with Image.open(made.folder / f"{kind}.png") as image:
        assert image.width == 1600
    numbers = made.ask("plot", kind, *arguments, "--json").json
    assert numbers["path"] is None
    assert len(numbers["drawn"]) > 0


def test_what_is_drawn_is_what_the_results_say(made):
    results = {row["pair_id"]: row for row in made.ask("metrics", "--json").json}
    [half, whole] = [one for one in made.ask("plot", "sweep", "--json").json["drawn"] if one["style"] == "rain"]
    assert (half["value"], half["style_loss"]) == (0.5, results["rain-0.5"]["style_loss"])
    assert (whole["value"], whole["style_loss"]) == (1.0, results["rain-1.0"]["style_loss"])
    drawn = made.ask("plot", "by-style", "--figure", "gain_db", "--json", "-o", "both.svg").json
    assert drawn["path"] == "both.svg"
    assert {one["pair_id"]: one["gain_db"] for one in drawn["drawn"]} == {
        name: row["gain_db"] for name, row in results.items() if row["status"] == "ok"
    }
    assert b"<svg" in (made.folder / "both.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["losses"], "-o FILE.png"),
        (["losses", "-o", "a.gif"], "has to end in .png, .svg, .pdf"),
        (["losses", "-o", "gramophone.toml.png/a.png"], "is not a folder"),
        (["losses", "r1", "--latest", "--json"], "not both"),
        (["losses", "r1", "--json"], "no run r1 under"),
        (["losses", "--pair", "rain-1", "--json"], "did you mean 'rain-1.0'"),
        (["spectrograms", "--pair", "broken", "--json"], "broken: it is not done (decode_error)"),
        (["sweep", "--over", "seed", "--json"], "seed is 0 in all 4 pairs"),
        (["sweep", "--over", "sed", "--json"], "did you mean 'seed'"),
        (["by-style", "--figure", "style_los", "--json"], "did you mean 'style_loss'"),
        (["by-style", "--root", "nowhere", "--json"], "no runs under"),
    ],
)
def test_what_cannot_be_drawn_ends_with_2_and_a_word_that_helps(made, arguments, words):
    said = made.ask("plot", *arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert not (made.folder / "a.gif").exists()


def test_a_file_that_is_there_is_replaced_only_when_asked(made):
    (made.folder / "mine.png").write_text("mine")
    assert "say --overwrite" in made.ask("plot", "by-style", "-o", "mine.png").err
    assert (made.folder / "mine.png").read_text() == "mine"
    assert made.ask("plot", "by-style", "-o", "mine.png", "--overwrite").code == 0
    assert (made.folder / "mine.png").read_bytes().startswith(b"\x89PNG")


def test_the_notebook_runs_from_its_first_cell_to_its_last_and_shows_everything(made, tmp_path, monkeypatch):
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("GRAMOPHONE_ROOT", made.root)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    shown = {cell["id"]: cell["outputs"][-1]["data"] for cell in notebook.cells if cell.get("outputs")}
    for name in ("spectrograms", "losses", "by-style", "sweep"):
        assert "image/png" in shown[name], shown[name]["text/plain"]
    assert shown["show"]["text/html"].count("<audio ") == 3
    assert shown["failed"]["text/html"].count("<audio ") == 2
    assert "decode_error" in shown["failed"]["text/html"]
    assert "bells-0.5" in shown["heldout"]["text/plain"]
    assert "seconds_refine" in shown["stages"]["text/plain"]


def test_the_notebook_is_kept_without_outputs_and_begins_at_the_demo():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)
    assert 'os.environ.get("GRAMOPHONE_ROOT", "../demo/data")' in code[0].source
    assert os.path.getsize(NOTEBOOK) < 10_000
