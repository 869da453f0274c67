import json
import shutil

import pandas as pd
import pytest
import torch

from tasks.layout import Layout
from tasks.networks import find_network
from tasks.records.reasons import PairError, UsageError
from tasks.records.run import Options
from tasks.store import open_store
from tasks.training.header import header_of
from tasks.training.learning_curve import learning_curve
from tasks.training.problem import StyleProblem
from tasks.training.session import carry_out, prepare, resume
from tests.tasks.training.conftest import SMALL, write


def done(prepared, until=None):
    """(end, records) of a training that is driven to its end, or asked to stop after the step `until`."""
    records = []
    work = carry_out(prepared, lambda: until is not None and bool(records) and records[-1].step >= until)
    while True:
        try:
            records.append(next(work))
        except StopIteration as end:
            return end.value, records


def test_a_training_ends_in_a_network_below_its_styles_digest_and_in_curves_that_pandas_reads(job, folder):
    prepared = prepare(job())
    end, records = done(prepared)
    assert [r.step for r in records] == list(range(1, 41))
    [path] = (folder / "root" / "models").rglob("*.safetensors")
    assert path.parent.name == prepared.record.style_sha256
    assert path.name == "default.safetensors"
    header = header_of(path.read_bytes())
    assert header["style"]["sha256"] == prepared.record.style_sha256
    assert (len(header["split"]["training"]), len(header["split"]["validation"])) == (11, 5)
    assert header["losses"]["validation_style"] == end.validation_style < end.untouched_style
    frame = pd.read_parquet(folder / "root" / "training" / end.run_id / "curves.parquet")
    assert list(frame["step"]) == list(range(1, 41))
    assert list(frame.loc[frame["validation_total"].notna(), "step"]) == [10, 20, 30, 40]
    assert frame["style"].iloc[-5:].mean() < frame["style"].iloc[:5].mean()
    found = find_network(f"file://{folder}/root", prepared.record.style_sha256, "", "style.wav")
    assert (found.sha256, found.sample_rate, found.n_fft, found.hop_length) == (end.network_sha256, 8_000, 256, 64)


def test_a_training_that_was_stopped_goes_on_to_the_same_network(job, folder):
    whole, _ = done(prepare(job(name="whole")))
    prepared = prepare(job(name="broken"))
    for stop in (13, 24, 37):
        end, _ = done(prepared, until=stop)
        assert end is None
        prepared = resume(str(folder / "root"), prepared.record.run_id)
        assert prepared.state.step == stop // 10 * 10
    end, _ = done(prepared)
    assert (end.training_total, end.validation_total) == (whole.training_total, whole.validation_total)
    layout = Layout(f"file://{folder}/root")
    ours, theirs = (find_network(layout.root, prepared.record.style_sha256, name, "") for name in ("whole", "broken"))
    a, b = (one.network.state_dict() for one in (ours, theirs))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_network_that_was_written_before_the_kill_is_ours_when_the_training_goes_on(job, folder):
    end, _ = done(prepare(job()))
    (folder / "root" / "training" / end.run_id / "end.json").unlink()
    again, _ = done(resume(str(folder / "root"), end.run_id))
    assert again.network_sha256 == end.network_sha256


def test_what_has_ended_does_not_go_on_and_a_name_is_given_once(job, folder):
    end, _ = done(prepare(job(budget_steps=2)))
    with pytest.raises(UsageError, match=f"gramophone report {end.run_id}"):
        resume(str(folder / "root"), end.run_id)
    with pytest.raises(UsageError, match="choose another --name"):
        prepare(job())
    with pytest.raises(UsageError, match="no training nothing"):
        resume(str(folder / "root"), "nothing")


def test_a_corpus_that_changed_is_not_gone_on_with(job, folder):
    prepared = prepare(job())
    done(prepared, until=12)
    write(folder / "corpus" / "new.wav", 99)
    with pytest.raises(UsageError, match="corpus changed since it began"):
        resume(str(folder / "root"), prepared.record.run_id)


@pytest.mark.parametrize("clips", [16, pytest.param(100, marks=pytest.mark.slow)])
def test_every_clip_a_second_time_under_another_name_changes_nothing(job, folder, clips):
    for n in range(16, clips):
        write(folder / "corpus" / f"{n:02d}.wav", n)
    plain = prepare(job())
    shutil.copytree(folder / "corpus", folder / "corpus" / "copies")
    doubled = prepare(job(name="doubled"))
    assert doubled.split == plain.split
    assert doubled.corpus.sha256 == plain.corpus.sha256
    assert [len(source.uris) for source in doubled.corpus.sources] == [2] * clips
    first, second = (done(prepared)[0] for prepared in (plain, doubled))
    assert (first.validation_total, first.training_total) == (second.validation_total, second.training_total)


def test_the_contents_of_a_manifest_are_a_corpus_too_slices_and_all(job, folder):
    rows = [
        {"pair_id": f"p{n}", "content_uri": f"corpus/{n % 16:02d}.wav", "style_uri": "style.wav",
         "content_start": 0.5 * (n // 16), "content_seconds": 0.5}
        for n in range(32)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "manifest.parquet")
    prepared = prepare(job("manifest.parquet"))
    assert len(prepared.corpus.sources) == 16
    assert all([len(sound) for sound in source.sounds] == [4_000, 4_000] for source in prepared.corpus.sources)
    assert not set(prepared.split.training) & set(prepared.split.validation)


def test_a_small_corpus_trains_without_a_validation_loss_and_says_why(job, folder):
    for n in range(10, 16):
        (folder / "corpus" / f"{n}.wav").unlink()
    end, records = done(prepare(job(budget_steps=5)))
    assert end.validation_total is None
    assert "of 10 sources, 5 cannot be set aside" in end.message
    assert not any(r.validated for r in records)
    with pytest.raises(UsageError, match="cannot be set aside"):
        next(learning_curve(prepare(job(name="other")), 5))


def test_what_cannot_be_read_is_left_out_and_named(job, folder):
    (folder / "corpus" / "broken.wav").write_bytes(b"no sound")
    prepared = prepare(job())
    [(uri, why)] = prepared.corpus.left_out
    assert uri.endswith("broken.wav")
    assert why
    shutil.rmtree(folder / "corpus")
    with pytest.raises(UsageError, match="no corpus at"):
        prepare(job())


def test_inputs_come_from_the_allowed_places_alone(job, folder):
    closed = job().model_copy(update={"options": Options(allow_defaults=False)})
    with pytest.raises(PairError, match="outside the places"):
        prepare(closed)


def test_features_that_are_not_trained_for_are_refused(job):
    with pytest.raises(UsageError, match="features kernel"):
        prepare(job(parameters=SMALL.model_copy(update={"features": "conv", "widths": (8,)})))


def test_the_estimate_leaves_the_training_as_it_is(job):
    prepared = prepare(job())
    before = prepared.state.to_bytes()
    assert prepared.estimate.seconds_step > 0
    assert prepared.state.to_bytes() == before


def test_nothing_is_written_before_it_is_carried_out(job, folder):
    prepare(job())
    assert not (folder / "root").exists()


def test_what_was_asked_is_kept_with_the_training(job, folder):
    prepared = prepare(job())
    done(prepared, until=1)
    told = json.loads((folder / "root" / "training" / prepared.record.run_id / "training.json").read_text())
    assert told["job"]["training"]["network_width"] == 16
    assert open_store(f"file://{folder}/root").stat(prepared.uri("training.json"))


def test_a_network_that_does_worse_than_none_is_not_written(job, folder, monkeypatch):
    monkeypatch.setattr(
        StyleProblem, "validate", lambda self, network: (float(network.direct.detach().abs().sum()), 0.0, 0.0)
    )
    with pytest.raises(PairError, match="no network did better than none"):
        done(prepare(job(budget_steps=10)))
    assert not (folder / "root" / "models").exists()
