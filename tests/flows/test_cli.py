"""The command line as people meet it: help, wrong flags, one pair from two files."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import soundfile

import flows
import tasks
from flows.cli import COMMANDS
from flows.cli.reference import commands, help_of
from flows.config import FIELDS

GOLDEN = Path(__file__).parent / "golden"


def imported_by(code):
    """Modules that a fresh Python has imported after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def test_help_imports_neither_prefect_nor_torch():
    code = "from flows.cli import cli\ntry: cli(['--help'])\nexcept SystemExit: pass"
    assert not imported_by(code) & {"prefect", "torch", "pandas", "pyarrow", "pydantic", "rich", "matplotlib"}


def test_the_help_of_run_imports_neither_prefect_nor_torch():
    code = "from flows.cli import cli\ntry: cli(['run', '--help'])\nexcept SystemExit: pass"
    assert not imported_by(code) & {"prefect", "torch"}


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_help_is_the_golden_one(name, command):
    """After a wanted change: python -m tests.flows.golden"""
    golden = (GOLDEN / f"{name.replace(' ', '-')}.txt").read_text()
    assert help_of(name, command) + "\n" == golden


def test_the_list_of_commands_says_what_their_help_says():
    for name, (where, short) in COMMANDS.items():
        module, attribute = where.split(":")
        command = getattr(__import__(module, fromlist=[attribute]), attribute)
        assert command.help.splitlines()[0].rstrip(".") in (short.rstrip("."), command.help.splitlines()[0].rstrip("."))
        assert command.name == name


def test_our_packages_are_ours_and_no_others_of_the_same_name():
    here = Path(__file__).resolve().parents[2]
    assert Path(flows.__file__).is_relative_to(here)
    assert Path(tasks.__file__).is_relative_to(here)
    assert version("gramophone")


@pytest.mark.parametrize("entrypoint", ["flows.nightly.nightly", "flows.rerun.rerun"])
def test_every_entrypoint_loads_without_a_placeholder(entrypoint):
    from prefect.flows import load_flow_from_entrypoint

    flow = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    assert flow.name == entrypoint.rsplit(".", 1)[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["restyl"], "did you mean 'restyle'?"),
        (["run"], "name a MANIFEST, or a run with --like RUN_ID"),
        (["run", "none.parquet"], "gramophone manifest build"),
        (["run", "none.parquet", "--content-wieght", "1"], "--content-weight"),
        (["run", "none.parquet", "--content-weight", "-1"], "greater than or equal to 0"),
        (["run", "none.parquet", "--root", "ftp://there"], "ftp"),
        (["run", "none.parquet", "--wait", "1s"], "Waited 1 s for it"),
        (["run", "none.parquet", "--wait", "soon"], "90s, 30m or 2h"),
        (["run", "none.parquet", "--until", "6"], "06:00"),
        (["status", "--night", "yesterday"], "say `today`, or a date"),
        (["status", "--latest", "--s3-endpoint", "https://me:secret@there"], "it holds no credentials"),
        (["status"], "`gramophone status --latest`"),
        (["status", "--latest", "--manifest", "m"], "`gramophone status --night today --manifest URI`"),
        (["rerun"], "`gramophone rerun --latest`"),
        (["metrics", "--votes", "--failed"], "--failed is about attempts"),
        (["status", "--latest", "--root", "empty"], "no runs under"),
        (["rerun", "--latest", "--reason", "bad_luck"], "is not one of 'row_invalid'"),
        (["rerun", "--latest", "--set", "content_weight"], "NAME=VALUE"),
        (["restyle", "a.wav", "b.wav", "-o", "out.aac"], ".flac, .wav, .ogg, .mp3"),
        (["manifest", "build", "empty", "nowhere"], "no audio in"),
        (["manifest", "build", "empty", "empty", "--sweep", "strength"], "NAME=VALUE,VALUE"),
        (["manifest", "build", "empty", "empty", "--sweep", "strenght=1"], "did you mean 'strength'?"),
        (["manifest", "build", "empty", "empty", "--sweep", "strength=0.5,2"], "strength 2: "),
    ],
)
def test_what_is_typed_wrong_ends_with_2_and_a_word_that_helps(desk, arguments, words):
    (desk.folder / "empty").mkdir(exist_ok=True)
    said = desk.ask(*arguments)
    assert said.code == 2, said.out + said.err
    assert words in said.err


def test_an_error_is_told_on_stderr_without_a_traceback(desk):
    said = desk.type("status", "--latest", "--root", "empty", "--json")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: no runs under file:///")
    assert len(said.err.splitlines()) == 1


def test_every_setting_is_shown_with_its_origin(desk):
    said = desk.ask("config", "show", "--root", "elsewhere", "--json", GRAMOPHONE_STRENGTH="0.7")
    found = {row["name"]: (row["value"], row["origin"]) for row in said.json}
    assert found.keys() == FIELDS.keys()
    assert found["strength"] == (0.7, "environment")
    assert found["root"] == ("elsewhere", "flag")
    assert found["shard_pairs"] == (4, "gramophone.toml")
    assert found["limiter_db"] == (6.0, "default")
    told = desk.ask("config", "show", "--changed").out
    assert "shard_pairs" in told
    assert "limiter_db" not in told


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gramophone re", ["restyle", "rerun", "report"]), ("gramophone run --max-f", ["--max-failures"]),
        ("gramophone run man", ["file,man"]), ("gramophone status --root mu", ["file,mu"]),
    ],
)  # fmt: skip
def test_a_shell_completes_commands_flags_and_places(desk, words, offered):
    asked = {"_GRAMOPHONE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    program = Path(sys.executable).with_name("gramophone")
    said = subprocess.run([program], env=desk.environment | asked, capture_output=True, text=True, check=True).stdout
    assert [line.removeprefix("plain,") for line in said.splitlines()] == offered


def test_a_pair_of_files_is_restyled_without_a_manifest(desk):
    desk.clip("tune", 1.5, "pluck", 11_025, "flac")
    desk.clip("rain", 1.2, "drums", 48_000, "ogg")
    done = desk.type("restyle", "tune.flac", "rain.ogg", "-o", "out.flac", "--json")
    assert done.code == 0, done.err
    assert done.json["style_loss"] > 0
    info = soundfile.info(desk.folder / "out.flac")
    assert (info.frames, info.samplerate) == (12_000, 8_000)
    again = desk.ask("restyle", "tune.flac", "rain.ogg", "-o", "out.flac")
    assert again.code == 2
    assert "--overwrite" in again.err


def test_a_broken_file_is_told_in_one_line(desk):
    desk.clip("tune")
    (desk.folder / "page.wav").write_text("<!doctype html><html>not sound</html>")
    done = desk.type("restyle", "tune.wav", "page.wav", "-o", "none.flac")
    assert done.code == 1
    assert "style file://" in done.err
    assert "decode_error" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (desk.folder / "none.flac").exists()


FULL = """
import os, resource, sys
import flows.cli.restyle  # while we may still read it
from flows.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # no file grows further, as on a disk that is full
if sys.argv[1] == "nobody" and os.geteuid() == 0:
    os.setuid(65534)
sys.argv = ["gramophone", *sys.argv[2:]]
main()
"""


@pytest.mark.parametrize(
    "command", ["manifest build tunes-of-few tunes-of-few -o few.parquet", "restyle a.wav a.wav -o a.flac"]
)
def test_an_output_for_which_there_is_no_room_ends_with_4_and_the_old_one_is_as_it_was(desk, command):
    (desk.folder / "tunes-of-few").mkdir(exist_ok=True)
    desk.clip("tunes-of-few/a")
    desk.clip("a")
    out = desk.folder / command.split()[-1]
    out.write_bytes(b"old")
    before = set(desk.folder.iterdir())
    arguments = [sys.executable, "-c", FULL, "somebody", *command.split(), "--overwrite"]
    done = subprocess.run(arguments, cwd=desk.folder, env=desk.environment, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert f"there is no room for 'file://{out}'" in done.stderr
    assert out.read_bytes() == b"old"
    assert set(desk.folder.iterdir()) == before


def test_a_folder_that_may_not_be_written_to_is_said_before_anything_is_computed(desk):
    arguments = [sys.executable, "-c", FULL, "nobody", *["restyle", "none.wav", "none.wav", "-o", "/a.flac"]]
    done = subprocess.run(arguments, cwd="/", env=desk.environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: / may not be written to; choose another folder.\n")


def test_a_manifest_is_built_of_two_folders_and_validated(desk):
    for folder, kinds in (("tunes", ["pluck", "flute"]), ("textures", ["drums", "bells"])):
        (desk.folder / folder).mkdir()
        for kind in kinds:
            desk.clip(f"{folder}/{kind} no. 1 [100%]", 1.0, kind)
    built = desk.ask("manifest", "build", "tunes", "textures", "--pair", "product", "-o", "built.parquet")
    assert built.code == 0, built.err
    frame = pd.read_parquet(desk.folder / "built.parquet")
    assert len(frame) == 4
    assert frame.content_uri[0] == "tunes/flute no. 1 [100%].wav"
    assert frame.pair_id.is_unique
    good = desk.ask("manifest", "validate", "built.parquet", "--probe", "--json")
    assert good.code == 0, good.out
    assert len(good.json["audio"]) == 4
    zipped = desk.ask("manifest", "build", "tunes", "textures", "--pair", "zip", "-o", "zip.parquet")
    assert len(pd.read_parquet(desk.folder / "zip.parquet")) == 2, zipped.err


def test_a_sweep_is_a_manifest_with_a_row_for_every_combination(desk):
    for folder, kind in (("melody", "pluck"), ("weather", "drums")):
        (desk.folder / folder).mkdir()
        desk.clip(f"{folder}/{kind}", 1.0, kind)
    sweeps = ("--sweep", "strength=0.25,1", "--sweep", "widths=11,2+8+32")
    built = desk.ask("manifest", "build", "melody", "weather", *sweeps, "-o", "swept.parquet")
    assert built.code == 0, built.err
    frame = pd.read_parquet(desk.folder / "swept.parquet")
    assert [json.loads(text) for text in frame.params] == [
        {"strength": 0.25, "widths": [11]},
        {"strength": 0.25, "widths": [2, 8, 32]},
        {"strength": 1, "widths": [11]},
        {"strength": 1, "widths": [2, 8, 32]},
    ]
    assert frame.pair_id[1] == "pluck-x-drums-strength0.25-widths2.8.32"
    good = desk.ask("manifest", "validate", "swept.parquet", "--json")
    assert good.code == 0, good.out


def test_probing_names_every_file_that_will_fail(desk):
    desk.clip("whole", 1.0)
    data = (desk.folder / "whole.wav").read_bytes()
    (desk.folder / "half.wav").write_bytes(data[: len(data) // 2])
    rows = [
        {"pair_id": "half", "content_uri": "half.wav", "style_uri": "whole.wav", "content_seconds": None},
        {"pair_id": "gone", "content_uri": "gone.wav", "style_uri": "whole.wav", "content_seconds": None},
        {"pair_id": "slice", "content_uri": "whole.wav", "style_uri": "whole.wav", "content_seconds": 9.0},
        {"pair_id": "good", "content_uri": "whole.wav", "style_uri": "whole.wav", "content_seconds": 0.9},
    ]
    desk.manifest(rows, "faults.parquet")
    found = desk.ask("manifest", "validate", "faults.parquet", "--probe", "--json")
    assert found.code == 1
    reasons = {fault["row"]: fault["reason"] for fault in found.json["faults"]}
    assert reasons == {0: "decode_error", 1: "input_missing", 2: "input_too_short"}


def test_a_dry_run_looks_for_the_device(desk):
    desk.clip("tune")
    manifest = desk.manifest([{"pair_id": "p", "content_uri": "tune.wav", "style_uri": "tune.wav"}], "device.parquet")
    said = desk.ask("run", manifest, "--dry-run", "--device", "cuda:63")
    assert said.code == 4
    assert "no device cuda:63 on this machine" in said.err
