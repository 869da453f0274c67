"""A style's network from its file to the results, and what is said where there is none or it is not as it should be."""

import re
from dataclasses import replace

import pandas as pd
import pytest
import soundfile
import torch
from safetensors.torch import save

from tasks import attempts, networks, single
from tasks.clips import synthesise
from tasks.layout import Layout
from tasks.lineage import code_version
from tasks.networks import find_network, publish
from tasks.overrides import checked, resolve
from tasks.records.pair import Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.records.run import Job
from tasks.rerun import _may_help
from tasks.store import AlreadyExists, open_store
from tasks.submit import prepare_nightly
from tasks.training.header import header_of, text_of
from tasks.transfer.feedforward import Architecture, Network
from tests.flows.conftest import QUICK
from tests.tasks.test_checkpoint import stylised

STYLE = "5" * 64
HEADER = {"style": {"sha256": STYLE}, "settings": {"sample_rate": 8_000, "n_fft": 512, "hop_length": 128}}
PASS = QUICK | {"method": "feedforward"}


@pytest.fixture(autouse=True)
def nothing_kept():
    networks._read.cache_clear()


def network(seed=0):
    found = Network(Architecture(257, 16, 2), seed)
    with torch.no_grad():  # as if trained: everything two thirds louder in the log
        found.direct[1] = 0.3
    return found


@pytest.fixture
def folder(tmp_path):
    for name, kind in (("a", "pluck"), ("s", "drums"), ("t", "bells")):
        soundfile.write(tmp_path / f"{name}.wav", synthesise(kind, 1.0, 8_000), 8_000)
    return tmp_path


def digest_of(path):
    return open_store(f"file://{path}").read(f"file://{path}").sha256


def published(folder, root, seed=0, name="default", style="s", **settings):
    header = HEADER | {"style": {"sha256": digest_of(folder / f"{style}.wav")}}
    header["settings"] = HEADER["settings"] | settings
    return publish(Layout(root), name, network(seed), header)


def restyled(folder, root, *params):
    return stylised(folder, root, *(checked(one) for one in params))


# --- the file -------------------------------------------------------------------------------------


def test_a_network_comes_back_as_it_was_written_with_a_header_that_others_can_read(any_root):
    uri, sha256 = publish(Layout(any_root), "default", network(), HEADER)
    assert uri == f"{any_root}/models/{STYLE}/default.safetensors"
    found = find_network(any_root, STYLE, "", "s.wav")
    assert (found.sha256, found.sample_rate, found.n_fft, found.hop_length) == (sha256, 8_000, 512, 128)
    ours, theirs = network().state_dict(), found.network.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert header_of(open_store(uri).read(uri).data)["style"]["sha256"] == STYLE


def test_a_name_is_given_once_and_the_same_network_may_be_written_again(store_root):
    first = publish(Layout(store_root), "default", network(), HEADER)
    assert publish(Layout(store_root), "default", network(), HEADER) == first
    with pytest.raises(AlreadyExists):
        publish(Layout(store_root), "default", network(seed=1), HEADER)


def test_the_newest_is_taken_unless_one_is_named(store_root):
    _, old = publish(Layout(store_root), "old", network(0), HEADER)
    _, new = publish(Layout(store_root), "a-new-one", network(1), HEADER)
    assert find_network(store_root, STYLE, "", "s.wav").sha256 == new
    assert find_network(store_root, STYLE, "old", "s.wav").sha256 == old


@pytest.mark.parametrize(("name", "told"), [("", "no network of the style"), ("other", "no network 'other' of")])
def test_where_there_is_none_the_command_that_trains_one_is_named(store_root, name, told):
    if name:
        publish(Layout(store_root), "default", network(), HEADER)
    with pytest.raises(PairError, match=told) as error:
        find_network(store_root, STYLE, name, "/music/s.wav")
    assert error.value.reason is Reason.CHECKPOINT_INVALID
    assert "gramophone train /music/s.wav --corpus MANIFEST_OR_DIR" in error.value.message
    assert (f"--name {name}" in error.value.message) == bool(name)


def damaged():
    weights, header = network().state_dict(), HEADER | {"format": 1}
    shape = {"bins": 257, "width": 16, "blocks": 2}
    yield "not safetensors", b"nothing of the kind", "is not a network"
    yield "without a header", save(weights), "its format is None"
    yield "of a later format", save(weights, text_of(header | {"format": 2})), "its format is 2"
    yield (
        "of other shapes",
        save(weights, text_of(header | {"architecture": shape | {"width": 8}})),
        "size mismatch|is not",
    )
    endless = weights | {"direct": torch.full((3, 257), float("nan"))}
    yield "not finite", save(endless, text_of(header | {"architecture": shape})), "not finite"
    short = {name: value for name, value in weights.items() if name != "direct"}
    yield "with a hole", save(short, text_of(header | {"architecture": shape})), "is not a network"


@pytest.mark.parametrize(("data", "told"), [pytest.param(d, t, id=n) for n, d, t in damaged()])
def test_a_file_that_is_no_network_is_told_and_runs_nothing(store_root, data, told):
    uri = Layout(store_root).model(STYLE, "default")
    open_store(uri).create(uri, data)
    with pytest.raises(PairError, match=told) as error:
        find_network(store_root, STYLE, "", "s.wav")
    assert error.value.reason is Reason.CHECKPOINT_INVALID
    assert "train another" in error.value.message


def test_it_is_read_once_for_all_pairs(store_root, monkeypatch):
    publish(Layout(store_root), "default", network(), HEADER)
    first = find_network(store_root, STYLE, "", "s.wav")
    assert find_network(store_root, STYLE, "", "s.wav").network is first.network


# --- through the worker ---------------------------------------------------------------------------


def test_a_pair_is_restyled_by_its_network_with_all_its_columns(folder, store_root):
    _, sha256 = published(folder, store_root)
    plain, refined = restyled(folder, store_root, PASS, PASS | {"feedforward_refine_evaluations": 6})
    for row in (plain, refined):
        assert row["status"] == "ok", row.get("message")
        assert (row["method"], row["model_sha256"]) == ("feedforward", sha256)
        assert row["style_loss_heldout"] is not None
        assert row["content_loss_spectrogram"] > row["content_loss_start"]
    assert (plain["evaluations"], refined["evaluations"]) == (0, 6)
    assert refined["style_loss"] < plain["style_loss"]
    assert plain["pair_key"] != refined["pair_key"]


def test_pairs_without_a_network_fail_alone_and_their_neighbours_are_done(folder, store_root):
    missing, done = restyled(folder, store_root, PASS, QUICK)
    assert missing["reason"] == "checkpoint_invalid"
    assert "gramophone train" in missing["message"]
    assert done["status"] == "ok"


def test_a_network_for_other_spectrograms_says_what_to_set(folder, store_root):
    published(folder, store_root, sample_rate=22_050)
    [row] = restyled(folder, store_root, PASS)
    assert row["reason"] == "params_invalid"
    assert "set sample_rate=22050" in row["message"]


def test_an_untrained_network_leaves_the_content_as_it_is(folder, store_root):
    header = HEADER | {"style": {"sha256": digest_of(folder / "s.wav")}}
    publish(Layout(store_root), "default", Network(Architecture(257, 16, 2)), header)
    [row] = restyled(folder, store_root, PASS)
    assert row["content_loss"] < 1e-3
    assert row["style_loss"] == pytest.approx(row["style_loss_start"], rel=0.02)


def test_restyle_finds_the_network_below_the_root_it_is_told(folder, store_root):
    published(folder, store_root)
    inputs = [Input(role, str(folder / f"{n}.wav")) for role, n in (("content", "a"), ("style", "s"))]
    with pytest.raises(PairError, match="--root"):
        single.restyle_files(inputs, checked(PASS), "cpu", lambda *_: None)
    values = single.restyle_files(inputs, checked(PASS), "cpu", lambda *_: None, store_root).values
    assert values["status"] == "ok"


# --- identity -------------------------------------------------------------------------------------


def pair(**changes):
    params = Parameters(method="feedforward", **changes)
    inputs = tuple(Input(role, f"/{role}.wav", etag="e", sha256=role) for role in ("content", "style"))
    return Pair(0, "p", inputs, params.method, params, model_sha256="aa")


def test_the_digest_of_the_network_is_part_of_the_key_and_its_name_is_not():
    assert pair().key() != replace(pair(), model_sha256="bb").key()
    assert pair().key() == pair(network="other").key()
    optimised = [replace(pair(feedforward_refine_evaluations=n), method="optimise") for n in (0, 8)]
    assert optimised[0].key() == optimised[1].key() != pair().key()
    assert pair().key() != pair(feedforward_refine_evaluations=8).key()
    assert pair().plan_key() is None  # nobody has looked for the network yet


def test_the_method_does_not_change_the_key_of_a_pair_that_is_optimised():
    """Where it is named makes no difference: in the parameters, or in the column of its own."""
    by_column = resolve(Parameters(), None, None, "feedforward")
    by_params = resolve(Parameters(), '{"method": "feedforward"}', None)
    assert by_column == by_params == resolve(Parameters(method="feedforward"), None, None)
    assert resolve(Parameters(method="feedforward"), None, None, "optimise") == Parameters()
    assert resolve(Parameters(), '{"method": "optimise"}', None, "feedforward") == Parameters()  # as --set does


def test_rows_and_runs_name_the_method(folder):
    rows = {"pair_id": ["a", "b"], "content_uri": ["a.wav"] * 2, "style_uri": ["s.wav"] * 2}
    pd.DataFrame(rows | {"method": ["optimise", None]}).to_parquet(folder / "m.parquet")
    job = Job(manifest=f"{folder}/m.parquet", root=f"{folder}/r", parameters=checked(PASS))
    pairs = prepare_nightly(job).plan.pairs
    assert [(p.method, p.params.method) for p in pairs] == [("optimise",) * 2, ("feedforward",) * 2]


def test_a_method_that_nobody_knows_is_a_fault_that_names_those_that_are_known(folder):
    rows = {"pair_id": ["a"], "content_uri": ["a.wav"], "style_uri": ["s.wav"], "method": ["magic"]}
    pd.DataFrame(rows).to_parquet(folder / "m.parquet")
    [one] = prepare_nightly(Job(manifest=f"{folder}/m.parquet", root=f"{folder}/r")).plan.pairs
    assert re.search("use optimise or feedforward", one.error().message)


def test_a_rerun_looks_again_whether_the_network_has_been_trained():
    for method, again in (("feedforward", True), ("optimise", False)):
        one = replace(pair(), method=method)
        row = attempts.failed(one, PairError(Reason.CHECKPOINT_INVALID, "no")).values | {"code_version": code_version()}
        assert _may_help(one, row) == again
