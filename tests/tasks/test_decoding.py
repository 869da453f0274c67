"""A decoder that dies, hangs or asks for more memory than there is takes no other file with it.

The processes are real, and so is what happens to them; that it happens at some file is the test's doing.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from tasks import stylise
from tasks.audio import decode
from tasks.clips import synthesise
from tasks.decoding import MEMORY_LIMIT, DecodePool
from tasks.layout import Layout
from tasks.manifest import read_manifest
from tasks.manifest.build import probe_audio
from tasks.overrides import checked
from tasks.records.pair import Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.records.run import Options, RunRecord
from tasks.roots import Roots
from tasks.store import open_store
from tests.flows.conftest import QUICK
from tests.tasks.hostile import hostile, hostile_probe
from tests.tasks.test_audio import flac_of_constants, music, written

BOMB_SECONDS = 13_000
assert BOMB_SECONDS * 44_100 * 8 * 4 > 16 << 30 > MEMORY_LIMIT
WANTED = {"sample_rate": 44_100, "max_seconds": 36_000}


@pytest.fixture(scope="module")
def bomb():
    """A FLAC of half a megabyte that is sixteen gigabytes of samples."""
    made = flac_of_constants(BOMB_SECONDS, 8)
    assert len(made) < 1 << 20
    return made


@pytest.fixture
def pool():
    made = DecodePool(2, hostile, hostile_probe)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("bad", "reason", "words"),
    [
        (b"crash", Reason.WORKER_LOST, "ended its decoder twice"),
        (b"hang", Reason.TIMEOUT, "could not be decoded in 1 s"),
        ("bomb", Reason.INPUT_TOO_LONG, "needs more memory than there is"),
    ],
)
def test_what_one_file_does_to_its_decoder_reaches_no_other(pool, bomb, bad, reason, words):
    sounds = [written(music(0.2 + 0.1 * n)) for n in range(4)]
    with ThreadPoolExecutor(5) as threads:
        fails = threads.submit(
            pool.decode, bomb if bad == "bomb" else bad, time_limit=1.0 if bad == b"hang" else 60.0, mix=False, **WANTED
        )
        clips = list(threads.map(lambda data: pool.decode(data, **WANTED), sounds))
        with pytest.raises(PairError) as caught:
            fails.result()
    assert caught.value.reason is reason
    assert words in caught.value.message
    for clip, data in zip(clips, sounds, strict=True):
        assert np.array_equal(clip.samples, decode(data, **WANTED).samples)
    assert pool.decode(sounds[0], **WANTED).source_frames  # and the pool goes on


def test_the_pairs_beside_come_out_as_they_would_without(tmp_path, store_root, pool, bomb):
    for name, kind in (("a", "pluck"), ("b", "flute"), ("s", "drums")):
        soundfile.write(tmp_path / f"{name}.wav", synthesise(kind, 1.0, 8_000), 8_000)
    for name in ("crash", "hang"):
        (tmp_path / f"{name}.wav").write_bytes(name.encode())
    (tmp_path / "bomb.flac").write_bytes(bomb)
    names = ["a.wav", "crash.wav", "hang.wav", "bomb.flac", "b.wav"]
    found = attempts_of(tmp_path, store_root, pool, names)
    assert [values.get("reason") for values in found] == [None, "worker_lost", "timeout", "input_too_long", None]
    assert all(f"content file://{tmp_path}/{names[row]} " in found[row]["message"] for row in (1, 2, 3))
    alone = attempts_of(tmp_path, store_root, pool, ["a.wav", "b.wav"])
    assert [found[row]["audio_sha256"] for row in (0, 4)] == [values["audio_sha256"] for values in alone]


def test_what_a_file_does_to_its_decoder_while_a_manifest_is_probed_hurts_its_row_alone(tmp_path, pool):
    for name, kind in (("a", "pluck"), ("b", "flute"), ("s", "drums")):
        soundfile.write(tmp_path / f"{name}.wav", synthesise(kind, 1.0, 8_000), 8_000)
    for name in ("crash", "hang", "bug"):
        (tmp_path / f"{name}.wav").write_bytes(name.encode())
    names = ["a", "crash", "hang", "bug", "b"]
    rows = [{"pair_id": name, "content_uri": f"{name}.wav", "style_uri": "s.wav"} for name in names]
    pd.DataFrame(rows).to_parquet(tmp_path / "m.parquet")
    uri, params = f"file://{tmp_path}/m.parquet", Parameters()
    roots = Roots.resolve([f"file://{tmp_path}"])
    probed = probe_audio(read_manifest(open_store(uri), uri, params), params, roots, Options(timeout_seconds=7.5), pool)
    assert [(f.row, f.column, str(f.reason)) for f in probed.faults] == [
        (1, "content_uri", "worker_lost"), (2, "content_uri", "timeout"), (3, "content_uri", "bug"),
    ]  # fmt: skip
    assert {uri.rsplit("/", 1)[-1]: info.frames for uri, info in probed.audio.items()} == {
        "a.wav": 8_000, "b.wav": 8_000, "s.wav": 8_000,
    }  # fmt: skip


def attempts_of(folder, root, pool, names):
    """What becomes of a pair with each of these contents, in a worker whose inputs are decoded by `pool`."""
    params = checked(QUICK | {"sample_rate": 0, "max_seconds": 36_000})
    run = RunRecord(
        run_id="r", root_run_id="r", night="2026-01-01", created_at=datetime.now(UTC), manifest_uri="m",
        manifest_sha256="m", pairs=1, skipped=0, shards=1, parameters=params, options=Options(timeout_seconds=7.5),
        allowed=Roots.resolve([f"file://{folder}"]).uris, code_version="1", host="h",
    )  # fmt: skip
    emitted = []
    made = stylise.Stylist(
        open_store(root), Layout(root), run, torch.device("cpu"), pool, lambda keys: {}, emitted.append,
        lambda *_: None, lambda: False,
    )  # fmt: skip
    style = Input("style", f"file://{folder}/s.wav")
    inputs = [(Input("content", f"file://{folder}/{name}"), style) for name in names]
    made.stylise([Pair(row, f"p{row}", given, "optimise", params) for row, given in enumerate(inputs)])
    return [attempt.values for attempt in sorted(emitted, key=lambda attempt: attempt.manifest_row)]
