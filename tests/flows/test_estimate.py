"""`gramophone estimate` as it is typed: before there is any result, and after some."""

from hashlib import sha256

import pytest

from tasks import attempts
from tasks.overrides import checked
from tasks.records.pair import Attempt, Input, Pair
from tasks.results import commit_shard
from tasks.worker import device_columns
from tests.flows.conftest import QUICK
from tests.tasks.test_standing import History


def test_hours_storage_and_money_by_what_earlier_pairs_took(desk):
    for name in ("tune", "texture"):
        desk.clip(name, seconds=2.0)
    rows = [{"pair_id": f"p{n}", "content_uri": "tune.wav", "style_uri": "texture.wav", "seed": n} for n in range(90)]
    rows.append({"pair_id": "gone", "content_uri": "gone.wav", "style_uri": "texture.wav", "seed": 0})
    manifest = desk.manifest(rows)
    before = desk.ask("estimate", manifest)
    assert before.code == 0, before.err
    assert "90 pairs to compute, 0 to skip, 1 would fail; nothing was written" in before.out
    assert "3.0 minutes of audio" in before.out
    assert "tells how long these take on" in before.out
    assert not (desk.folder / "root").exists()

    history = History(desk.root)
    inputs = tuple(
        Input(role, f"file:///{role}.wav", sha256=sha256(role.encode()).hexdigest()) for role in ("content", "style")
    )
    pair = Pair(0, "past", inputs, "optimise", checked(QUICK))
    values = attempts.of_pair(pair) | {
        "status": "ok", "audio_uri": "x.flac", "audio_frames": 80_000, "audio_rate": 8_000, "audio_bytes": 5_000_000,
        "seconds_total": 200.0,
    }  # fmt: skip
    run = history.run("1", ["past"])
    commit_shard(history.store, history.layout, run, 0, [Attempt(0, values)], device_columns("cpu") | {"threads": 1})
    after = desk.ask("estimate", manifest, "--hour-price", "2.5", "--json").json
    assert (after["pairs"], after["past_pairs"], after["alike"], after["opened"]) == (90, 1, 90, 1)
    hours = 180 * 20 / 3600
    assert after["device_hours"] == {"low": hours, "mean": hours, "high": hours}
    assert after["money"]["mean"] == 2.5 * hours
    assert after["audio_bytes"]["mean"] == 180 * 500_000
    shared = desk.ask("estimate", manifest, "--workers-per-device", "2", "--json").json
    assert shared["device_hours"]["mean"] == pytest.approx(hours / 2), "two pairs at a time"
    told = desk.ask("estimate", manifest, "--hour-price", "2.5").out
    assert "time goes by 1 earlier pair on such a device" in told
