"""What happens to a shard in its worker, called as plain functions."""

import numpy as np
import pytest
import soundfile
import torch

from tasks import attempts, stylise
from tasks.clips import synthesise
from tasks.decoding import DecodePool
from tasks.layout import Layout
from tasks.overrides import checked
from tasks.records.pair import Input, Pair
from tasks.records.run import Options, RunRecord
from tasks.roots import Roots
from tasks.store import open_store
from tasks.stylise import batch
from tasks.transfer import quality
from tasks.transfer.pipeline import Outcome
from tests.flows.conftest import QUICK

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool():
    pool = DecodePool(1)
    yield pool
    pool.close()


@pytest.fixture
def folder(tmp_path):
    for name, kind, seconds in (("a", "pluck", 1.0), ("b", "flute", 1.01), ("s", "drums", 1.0)):
        soundfile.write(tmp_path / f"{name}.wav", synthesise(kind, seconds, 8_000), 8_000)
    return tmp_path


def pair(folder, row, content="a", **params):
    inputs = tuple(Input(role, f"file://{folder}/{name}.wav") for role, name in (("content", content), ("style", "s")))
    return Pair(row, f"p{row}", inputs, "optimise", checked(QUICK | params))


@pytest.fixture
def stylist(folder, store_root, pool):
    from datetime import UTC, datetime

    def _stylist(lookup=lambda keys: {}, stopping=lambda: False, **options):
        run = RunRecord(
            run_id="r", root_run_id="r", night="2026-01-01", created_at=datetime.now(UTC), manifest_uri="m",
            manifest_sha256="m", pairs=1, skipped=0, shards=1, parameters=checked(QUICK), options=Options(**options),
            allowed=Roots.resolve([f"file://{folder}"]).uris, code_version="1", host="h",
        )  # fmt: skip
        emitted = []
        made = stylise.Stylist(
            open_store(store_root),
            Layout(store_root),
            run,
            CPU,
            pool,
            lookup,
            emitted.append,
            lambda *_: None,
            stopping,
        )
        return made, emitted

    return _stylist


def by_row(emitted):
    return {a.manifest_row: a.values for a in sorted(emitted, key=lambda a: a.manifest_row)}


def test_every_pair_ends_in_one_attempt_with_its_audio_stored(stylist, folder, store_root):
    made, emitted = stylist()
    made.stylise([pair(folder, 0), pair(folder, 1, "b"), pair(folder, 2, "nothing")])
    values = by_row(emitted)
    assert [v["status"] for v in values.values()] == ["ok", "ok", "failed"]
    assert values[2]["reason"] == "input_missing"
    assert "content" in values[2]["message"]
    for row in (0, 1):
        blob = open_store(store_root).read(values[row]["audio_uri"])
        assert blob.sha256 == values[row]["audio_sha256"]
        assert blob.sha256[:12] in values[row]["audio_uri"]


def test_the_written_audio_is_as_long_and_as_loud_as_the_content(stylist, folder):
    content, _ = soundfile.read(folder / "a.wav", dtype="float32")
    content *= 0.1  # so that no peak stands in the way of its loudness
    soundfile.write(folder / "quiet.wav", content, 8_000, subtype="FLOAT")
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "quiet")])
    values = by_row(emitted)[0]
    written, rate = soundfile.read(values["audio_uri"].removeprefix("file://"), dtype="float32")
    assert (len(written), rate) == (len(content), 8_000)
    lufs = quality.loudness_lufs(torch.from_numpy(content), 8_000)
    assert abs(values["loudness_lufs"] - lufs) < 0.1  # 24 bits, and the meter's own gate


def test_the_true_peak_is_guarded_at_the_cost_of_loudness(stylist, folder):
    made, emitted = stylist()
    made.stylise([pair(folder, 0, peak_limit_dbtp=-20.0)])
    values = by_row(emitted)[0]
    assert values["peak_dbtp"] == pytest.approx(-20.0, abs=0.05)
    assert values["loudness_lufs"] < -20


def test_the_losses_are_those_of_the_written_file(stylist, folder):
    made, emitted = stylist()
    one = pair(folder, 0)
    made.stylise([one])
    values = by_row(emitted)[0]
    written, _ = soundfile.read(values["audio_uri"].removeprefix("file://"), dtype="float32")
    level = torch.from_numpy(written) * 10 ** (-values["gain_db"] / 20)
    loaded = stylise.load(one, Roots((f"file://{folder}",)), made.pool)
    again = quality.relative_losses(level, loaded.content.samples, loaded.style.samples, loaded.settings)
    assert again == pytest.approx((values["content_loss"], values["style_loss"]), rel=1e-5)  # float32, one rounding


def test_a_quiet_copy_of_an_input_gives_the_same_sound_at_its_own_level(stylist, folder):
    content, _ = soundfile.read(folder / "a.wav", dtype="float32")
    soundfile.write(folder / "quiet.wav", 0.01 * content, 8_000, subtype="FLOAT")
    soundfile.write(folder / "loud.wav", 0.1 * content, 8_000, subtype="FLOAT")
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "loud"), pair(folder, 1, "quiet")])
    values = by_row(emitted)
    assert values[1]["loudness_lufs"] == pytest.approx(values[0]["loudness_lufs"] - 20, abs=0.2)
    assert values[1]["style_loss"] == pytest.approx(values[0]["style_loss"], rel=0.05)  # float32 rounding, optimised


def test_a_pair_whose_key_is_done_is_served_and_not_computed(stylist, folder):
    made, emitted = stylist()
    made.stylise([pair(folder, 0)])
    row = dict.fromkeys(attempts.COPIED) | by_row(emitted)[0]
    row |= {"run_id": "old", "manifest_row": 0, "served_by": None}
    served, again = stylist(lookup=lambda keys: {key: row for key in keys if key == row["pair_key"]})
    served.stylise([pair(folder, 0), pair(folder, 1, seed=3)])
    values = by_row(again)
    assert values[0]["served_by"] == "old/0"
    assert values[0]["audio_uri"] == row["audio_uri"]
    assert values[0]["style_loss"] == row["style_loss"]
    assert values[1].get("served_by") is None
    forced, computed = stylist(lookup=lambda keys: dict.fromkeys(keys, row), force=True)
    forced.stylise([pair(folder, 0)])
    assert "served_by" not in by_row(computed)[0]


def test_an_input_replaced_since_planning_is_input_changed(stylist, folder):
    from dataclasses import replace

    one = pair(folder, 0)
    stale = replace(one, inputs=(replace(one.inputs[0], etag="1-1"), one.inputs[1]))
    made, emitted = stylist()
    made.stylise([stale])
    assert by_row(emitted)[0]["reason"] == "input_changed"


def test_too_long_an_input_fails_clearly(stylist, folder):
    made, emitted = stylist()
    made.stylise([pair(folder, 0, max_seconds=0.5)])
    values = by_row(emitted)[0]
    assert values["reason"] == "input_too_long"
    assert "max_seconds" in values["message"]


def test_asked_to_stop_it_stops_between_evaluations_and_what_was_emitted_stays(stylist, folder):
    asked = iter([False] * 6 + [True] * 100)
    made, emitted = stylist(stopping=lambda: next(asked))
    with pytest.raises(stylise.Stopped):
        made.stylise([pair(folder, 0, "nothing"), pair(folder, 1)])
    assert [a.manifest_row for a in emitted] == [0]


@pytest.fixture
def loaded(folder, store_root, pool):
    roots = Roots.resolve([f"file://{folder}"])
    return [stylise.load(pair(folder, n), roots, pool) for n in range(8)]


def test_out_of_memory_halves_the_batch_and_goes_on(loaded, monkeypatch):
    sizes = []
    real = batch._drain

    def tight(some, device, on_step):
        sizes.append(len(some))
        if len(some) > 3:
            raise torch.OutOfMemoryError("tried to allocate")
        return real(some, device, on_step)

    monkeypatch.setattr(batch, "_drain", tight)
    found = stylise.transfer_batch(loaded, CPU, lambda step: None)
    assert all(isinstance(outcome, Outcome) for outcome in found)
    assert sizes == [8, 4, 2, 2, 4, 2, 2]


def test_a_pair_too_large_alone_and_a_pair_that_raises_fail_alone(loaded, monkeypatch):
    real = batch._drain

    def poisoned(some, device, on_step):
        if any(one.pair.manifest_row == 2 for one in some):
            raise torch.OutOfMemoryError("tried to allocate")
        if any(one.pair.manifest_row == 5 for one in some):
            raise KeyError("a mistake")
        return real(some, device, on_step)

    monkeypatch.setattr(batch, "_drain", poisoned)
    found = stylise.transfer_batch(loaded, CPU, lambda step: None)
    assert [isinstance(o, Outcome) for o in found] == [True, True, False, True, True, False, True, True]
    assert found[2].reason == "oom"
    assert "s of audio alone" in found[2].message
    assert isinstance(found[5], KeyError)


def test_batches_hold_pairs_of_one_bucket_and_as_many_as_memory_allows(loaded):
    assert [len(b) for b in stylise.batches(loaded, 4_000)] == [8]
    assert all(len(b) == 1 for b in stylise.batches(loaded, 0.001))


@pytest.mark.parametrize("audio_format", ["flac", "wav", "ogg", "mp3"])
def test_every_format_is_written_and_measured(stylist, folder, audio_format):
    made, emitted = stylist()
    made.stylise([pair(folder, 0, audio_format=audio_format)])
    values = by_row(emitted)[0]
    assert values["status"] == "ok", values.get("message")
    assert values["audio_uri"].endswith(audio_format)
    assert np.isfinite(values["style_loss"])
