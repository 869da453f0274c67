"""`gramophone train` as it is typed, killed, gone on with and used; and the flow."""

import json
import os
import random
import signal
import time

import pandas as pd
import pytest

from flows.train import train, train_resume
from tasks.records.training import ResumeJob, TrainingJob, TrainingOptions
from tasks.training.session import carry_out, prepare
from tests.flows.conftest import QUICK, Desk
from tests.tasks.training.conftest import write

SMALL = ("--network-width", 16, "--network-blocks", 2, "--crop-frames", 32, "--every-steps", 10)


@pytest.fixture
def desk(tmp_path):
    """A desk with a style, sixteen contents, and no Prefect: training needs none."""
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in QUICK.items())
    (tmp_path / "gramophone.toml").write_text(settings + 'root = "root"\ndevice = "cpu"\nthreads = 1\n')
    for n in range(16):
        write(tmp_path / "corpus" / f"{n:02d}.wav", n)
    desk = Desk(tmp_path, dict(os.environ))
    desk.clip("style", kind="drums")
    return desk


def asked(desk, *more):
    return desk.ask("train", "style.wav", "--corpus", "corpus", *SMALL, *more)


def ends(desk):
    return {p.parent.name: json.loads(p.read_text()) for p in (desk.folder / "root").rglob("training/*/end.json")}


def training_of(desk):
    [path] = (desk.folder / "root" / "training").glob("*/training.json")
    return path.parent


def test_a_network_is_trained_found_by_the_next_command_and_drawn(desk):
    said = asked(desk, "--budget-steps", 20)
    assert said.code == 0, said.err
    assert "11 sources to train on, 5 kept for validation" in said.err
    assert "a step, at most 20 steps in" in said.err
    [(run_id, end)] = ends(desk).items()
    assert f"training {run_id}: 20 steps" in said.out
    assert "on 5 sources that it never saw the style loss is" in said.out
    restyled = desk.ask(
        "restyle", "corpus/00.wav", "style.wav", "-o", "out.flac", "--method", "feedforward", "--json",
        "--feedforward-refine-evaluations", 2,
    )  # fmt: skip
    assert restyled.code == 0, restyled.err
    assert restyled.json["evaluations"] == 2
    page = desk.ask("report", run_id)
    assert page.code == 0, page.err
    drawn = (desk.folder / "root" / "training" / run_id / "report.html").read_text()
    assert drawn.count("<polyline") == 2
    assert end["message"] in drawn


def test_a_dry_run_says_what_and_how_long_and_writes_nothing(desk):
    said = asked(desk, "--dry-run", "--budget-seconds", 60)
    assert said.code == 0, said.err
    assert "in 1.0 minutes" in said.err
    assert not (desk.folder / "root").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name the STYLE and its --corpus"),
        (("style.wav",), "--corpus"),
        (("style.wav", "--corpus", "nowhere"), "no corpus at"),
        (("style.wav", "--corpus", "corpus", "--name", "a/b"), "name 'a/b'"),
        (("style.wav", "--corpus", "corpus", "--features", "conv", "--widths", "8"), "features kernel"),
        (("style.wav", "--resume", "r"), "leave them out"),
        (("--resume", "20260101T000000000-0000"), "no training"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_2(desk, arguments, told):
    said = desk.ask("train", *arguments)
    assert said.code == 2
    assert told in said.err


def test_a_rate_that_diverges_ends_with_the_reason_and_what_to_try(desk):
    said = asked(desk, "--budget-steps", 60, "--learning-rate", 1, "--network-blocks", 16, "--no-augment")
    if said.code == 0:  # it was survived: then by going back, or at no harm
        [end] = ends(desk).values()
        assert end["validation_style"] < 2 * end["untouched_style"]
    else:
        assert (said.code, "diverged" in said.err) == (1, True)
        assert "--learning-rate" in said.err


def test_a_learning_curve_says_whether_more_sources_would_help(desk):
    said = asked(desk, "--learning-curve", 10, "--json")
    assert said.code == 0, said.err
    assert [point["sources"] for point in said.json["curve"]] == [3, 6, 11]
    assert "twice the sources took the validation loss from" in said.json["advice"]
    assert not (desk.folder / "root").exists()


def killed(desk, process, random):
    """SIGKILL at a random moment after the next checkpoint."""
    checkpoint, begun = training_of_when_there(desk, process) / "checkpoint.safetensors", None
    while process.poll() is None:
        found = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        begun = begun or (found or 1)
        if found is not None and found != begun:
            time.sleep(random.uniform(0, 0.3))
            break
        time.sleep(0.01)
    assert process.poll() is None, f"it ended before it could be killed: {process.communicate()}"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def training_of_when_there(desk, process):
    while process.poll() is None:
        found = list((desk.folder / "root" / "training").glob("*/training.json"))
        if found:
            return found[0].parent
        time.sleep(0.02)
    raise AssertionError(process.communicate())


@pytest.mark.chaos
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(3))
def test_killed_three_times_at_random_and_resumed_it_ends_with_the_losses_of_an_unbroken_one(desk, seed):
    steps = ("--budget-steps", 250)
    process = desk.start("train", "style.wav", "--corpus", "corpus", *SMALL, *steps)
    for _ in range(3):
        killed(desk, process, random.Random(seed))
        run_id = training_of(desk).name
        process = desk.start("train", "--resume", run_id)
    _, err = process.communicate()
    assert process.returncode == 0, err
    [broken] = ends(desk).values()
    assert asked(desk, *steps, "--name", "unbroken").code == 0
    whole = next(end for name, end in ends(desk).items() if name != run_id)
    for name in ("steps", "best_step", "training_total", "validation_total", "validation_style"):
        assert broken[name] == whole[name], name
    curves = [pd.read_parquet(end["curves_uri"]).drop(columns=["seconds", "run_id"]) for end in (broken, whole)]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


@pytest.mark.slow
def test_killed_once_and_resumed_it_ends_with_the_losses_of_an_unbroken_one(desk):
    steps = ("--budget-steps", 200)
    process = desk.start("train", "style.wav", "--corpus", "corpus", *SMALL, *steps)
    killed(desk, process, random.Random(0))
    resumed = desk.ask("train", "--resume", training_of(desk).name, "--json")
    assert resumed.code == 0, resumed.err
    whole = asked(desk, *steps, "--name", "unbroken", "--json")
    for name in ("steps", "best_step", "training_total", "validation_total"):
        assert resumed.json[name] == whole.json[name], name


def small_job(desk, steps=10):
    return TrainingJob(
        style=f"{desk.folder}/style.wav",
        corpus=f"{desk.folder}/corpus",
        root=f"{desk.folder}/root",
        parameters={**QUICK, "widths": tuple(QUICK["widths"])},
        training=TrainingOptions(
            network_width=16, network_blocks=2, crop_frames=32, every_steps=10, budget_steps=steps
        ),
    )


def test_the_flow_trains_and_shows_the_network(desk, prefect_server):
    from prefect.client.orchestration import get_client

    state = train(small_job(desk), return_state=True)
    assert state.is_completed(), state.message
    assert "10 steps" in state.message
    with get_client(sync_client=True) as client:
        keys = {artifact.key for artifact in client.read_artifacts() if artifact.key}
    assert {"gramophone-training", "gramophone-network"} <= keys
    refused = train(small_job(desk), return_state=True)
    assert refused.is_failed()
    assert "choose another --name" in refused.message


def test_the_flow_goes_on_with_the_latest_training_that_has_no_end(desk, prefect_server):
    stopped = prepare(small_job(desk, steps=20))
    begun = [record.step for record in carry_out(stopped, stopping=lambda: True)]
    assert len(begun) < 20
    root = ResumeJob(root=f"{desk.folder}/root")
    state = train_resume(root, return_state=True)
    assert state.is_completed(), state.message
    assert "20 steps" in state.message
    assert list(ends(desk)) == [stopped.record.run_id]
    refused = train_resume(root, return_state=True)
    assert refused.is_failed()
    assert "has ended" in refused.message
