"""A file of trained weights from where it lies to the results, and what is said of one that is not as it should be."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import save, save_file

from flows.cli.restyle import restyle
from tasks import attempts, checkpoint, single, stylise
from tasks.checkpoint import read_vgg
from tasks.clips import synthesise
from tasks.decoding import DecodePool
from tasks.layout import Layout
from tasks.lineage import code_version
from tasks.overrides import checked
from tasks.records.pair import Input, Pair, plan_key_of_row
from tasks.records.reasons import PairError, Reason
from tasks.records.run import Job, Options, RunRecord
from tasks.rerun import _may_help
from tasks.roots import Roots
from tasks.store import LocalStore, open_store
from tasks.submit import prepare_nightly
from tasks.transfer.features.vgg import SHAPES
from tests.flows.conftest import QUICK


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file in torchvision's layout, with the classifier that it has as well."""
    path = tmp_path_factory.mktemp("weights") / "vgg19.safetensors"
    generator = torch.Generator().manual_seed(0)
    one = 0.05 * torch.randn(2**18, generator=generator)
    tensors = {
        key: one.repeat(-(-size(shape) // len(one)))[: size(shape)].reshape(shape) for key, shape in SHAPES.items()
    }
    save_file(tensors | {"classifier.6.bias": torch.zeros(1_000)}, path)
    return path


def size(shape):
    return int(np.prod(shape))


@pytest.fixture(autouse=True)
def nothing_kept():
    checkpoint._read.cache_clear()


def params(path, **changes):
    return checked(QUICK | {"features": "vgg", "vgg_weights": str(path), **changes})


def beside(path):
    return Roots.resolve([f"file://{path.parent}"])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(path, **changes):
    with pytest.raises(PairError) as caught:
        read_vgg(params(path, **changes), beside(path))
    return caught.value


def test_the_convolutions_are_read_with_the_digest_of_their_file(weights):
    found = read_vgg(params(weights, vgg_sha256=digest(weights)), beside(weights))
    assert found.sha256 == digest(weights)
    assert {key: tuple(tensor.shape) for key, tensor in found.weights.items()} == SHAPES
    assert {tensor.dtype for tensor in found.weights.values()} == {torch.float32}


def test_a_file_is_read_once_until_it_is_another(weights, tmp_path, monkeypatch):
    path, reads, real = tmp_path / "w.safetensors", [], LocalStore._read
    path.write_bytes(weights.read_bytes())
    monkeypatch.setattr(LocalStore, "_read", lambda self, uri, *rest: reads.append(uri) or real(self, uri, *rest))
    one = read_vgg(params(path), beside(path))
    assert read_vgg(params(path, seed=9), beside(path)) is one
    assert len(reads) == 1
    path.write_bytes(save({key: torch.zeros(shape, dtype=torch.bfloat16) for key, shape in SHAPES.items()}))
    assert read_vgg(params(path), beside(path)).sha256 != one.sha256
    assert len(reads) == 2


def test_a_file_with_another_digest_is_refused_and_both_are_named(weights):
    error = refused(weights, vgg_sha256="0" * 64)
    assert error.reason is Reason.CHECKPOINT_INVALID
    assert digest(weights) in error.message
    assert "0" * 64 in error.message
    assert "vgg19.safetensors" in error.message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a safetensors file"),
        (save({key: torch.zeros(1) for key in SHAPES if key != "features.16.weight"}), "features.16.weight"),  # VGG-16
    ],
)
def test_what_is_no_file_of_vgg_19_is_refused_with_what_is_wrong_and_what_to_do(tmp_path, data, said):
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    error = refused(path)
    assert error.reason is Reason.CHECKPOINT_INVALID
    assert said in error.message
    assert "w.safetensors" in error.message
    assert "manifests/README.md" in error.message


def test_a_folder_in_place_of_a_file_and_a_file_that_is_too_large_are_refused(tmp_path, weights, monkeypatch):
    assert refused(tmp_path).reason is Reason.CHECKPOINT_INVALID
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 1_000)
    assert refused(weights).reason is Reason.CHECKPOINT_INVALID


def test_weights_are_read_from_the_allowed_places_only(weights, tmp_path, monkeypatch):
    with pytest.raises(PairError, match="--allow") as caught:
        read_vgg(params(weights), Roots.resolve([f"file://{tmp_path}"]))
    assert caught.value.reason is Reason.INPUT_FORBIDDEN
    (tmp_path / "link").symlink_to(weights)
    with pytest.raises(PairError) as caught:
        read_vgg(params(tmp_path / "link"), Roots.resolve([f"file://{tmp_path}"]))
    assert caught.value.reason is Reason.INPUT_FORBIDDEN
    read_vgg(params(weights), beside(weights))
    monkeypatch.setattr(LocalStore, "stat", lambda *_: pytest.fail("a place that is not allowed was looked at"))
    with pytest.raises(PairError):  # what is kept from before is no way around
        read_vgg(params(weights), Roots.resolve([f"file://{tmp_path}"]))


def test_weights_that_are_not_there_are_missing(tmp_path):
    assert refused(tmp_path / "nothing").reason is Reason.INPUT_MISSING


# --- identity -------------------------------------------------------------------------------------

INPUTS = (Input("content", "file:///a", etag="1", sha256="aa"), Input("style", "file:///b", etag="2", sha256="bb"))


def planned(**changes):
    return Pair(0, "p", INPUTS, "optimise", params("/w", **changes))


def test_the_digest_of_the_weights_is_part_of_the_key_and_their_place_is_not():
    here, there = (replace(planned(vgg_weights=uri), model_sha256="cc") for uri in ("/w", "/v"))
    assert here.key() == there.key()
    assert here.key() == replace(planned(vgg_sha256="c" * 64), model_sha256="cc").key()
    assert here.key() != replace(here, model_sha256="dd").key()
    assert here.key() != planned(vgg_weights="").key()


def test_planning_skips_where_the_digest_is_demanded_and_looks_where_it_is_not():
    wanted = "c" * 64
    for one, known in ((planned(vgg_sha256=wanted), True), (planned(), False), (planned(vgg_weights=""), True)):
        model = wanted if one.params.vgg_weights else None
        row = attempts.of_pair(replace(one, model_sha256=model)) | {"manifest_row": 0}
        assert row["model_sha256"] == model
        assert (one.plan_key() is not None) == known
        assert not known or plan_key_of_row(row) == one.plan_key()
        assert one.plan_key() is None or one.plan_key() != planned(vgg_sha256="d" * 64).plan_key()


def test_a_rerun_looks_at_the_weights_again_since_nobody_sees_them_change():
    for one, again in ((planned(), True), (planned(features="kernel"), False)):
        row = attempts.failed(one, PairError(Reason.CHECKPOINT_INVALID, "no")).values | {"code_version": code_version()}
        assert _may_help(one, row) == again


# --- through the worker ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name, kind in (("a", "pluck"), ("s", "drums")):
        soundfile.write(tmp_path / f"{name}.wav", synthesise(kind, 1.0, 8_000), 8_000)
    return tmp_path


def stylised(folder, store_root, *given):
    inputs = tuple(
        Input(role, f"file://{folder}/{name}.wav", seconds=0.2) for role, name in (("content", "a"), ("style", "s"))
    )
    run = RunRecord(
        run_id="r", root_run_id="r", night="2026-01-01", created_at=pd.Timestamp.now("UTC"), manifest_uri="m",
        manifest_sha256="m", pairs=1, skipped=0, shards=1, parameters=checked(QUICK), options=Options(),
        allowed=Roots.resolve([f"file://{folder}"]).uris, code_version="1", host="h",
    )  # fmt: skip
    pool, emitted = DecodePool(1), []
    made = stylise.Stylist(
        open_store(store_root), Layout(store_root), run, torch.device("cpu"), pool, lambda keys: {}, emitted.append,
        lambda *_: None, lambda: False,
    )  # fmt: skip
    try:
        made.stylise([Pair(row, f"p{row}", inputs, one.method, one) for row, one in enumerate(given)])
    finally:
        pool.close()
    return [attempt.values for attempt in sorted(emitted, key=lambda attempt: attempt.manifest_row)]


SMALL = {"n_fft": 256, "hop_length": 64, "spectrogram_evaluations": 2, "refine_evaluations": 1}


def test_a_pair_is_restyled_by_trained_weights_and_by_drawn_ones(folder, store_root, weights):
    here = folder / "vgg19.safetensors"
    here.symlink_to(weights)
    copied = folder / "copy.safetensors"
    copied.write_bytes(weights.read_bytes())
    trained, drawn, linked = stylised(
        folder, store_root, params(copied, **SMALL), params("", **SMALL), params(here, **SMALL)
    )
    assert trained["status"] == "ok", trained.get("message")
    assert trained["model_sha256"] == digest(weights)
    assert trained["style_loss_spectrogram"] < trained["style_loss_start"]
    assert drawn["status"] == "ok", drawn.get("message")
    assert drawn["model_sha256"] is None
    assert drawn["style_loss_start"] != trained["style_loss_start"]
    assert linked["reason"] == "input_forbidden"
    assert linked["message"].startswith("vgg_weights: ")


def test_restyle_reads_the_weights_that_a_person_names_wherever_they_lie(folder, weights):
    inputs = [Input(role, str(folder / f"{n}.wav"), seconds=0.2) for role, n in (("content", "a"), ("style", "s"))]
    wanted = params(weights, **SMALL | {"spectrogram_evaluations": 1, "refine_evaluations": 0})
    assert single.restyle_files(inputs, wanted, "cpu", lambda stage, done: None).values["status"] == "ok"


# --- the warning ----------------------------------------------------------------------------------


def test_a_run_warns_once_of_weights_that_are_drawn(folder):
    rows = {"pair_id": ["a", "b"], "content_uri": ["a.wav"] * 2, "style_uri": ["s.wav"] * 2}
    pd.DataFrame(rows).to_parquet(folder / "m.parquet")
    for given, count in ((params(""), 1), (params("w"), 0), (checked(QUICK), 0)):
        told = []
        prepare_nightly(Job(manifest=f"{folder}/m.parquet", root=f"{folder}/r", parameters=given), tell=told.append)
        assert len([text for text in told if "drawn at random" in text]) == count


def test_restyle_warns_of_weights_that_are_drawn(folder, monkeypatch):
    def refuse(*_):
        raise PairError(Reason.BUG, "far enough")

    monkeypatch.setattr(single, "restyle_files", refuse)
    given = [str(folder / "a.wav"), str(folder / "s.wav"), "-o", str(folder / "out.wav"), "--features"]
    said = [CliRunner().invoke(restyle, [*given, kind]).stderr for kind in ("vgg", "kernel")]
    assert "drawn at random" in said[0]
    assert "drawn at random" not in said[1]
