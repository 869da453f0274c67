"""The page and its parts hold what the results say, whatever stands in them, and stay small."""

import html
import json
import re
import shlex
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest
import torch

from tasks import pictures
from tasks.layout import Layout
from tasks.records import schema
from tasks.records.pair import Attempt
from tasks.records.parameters import Parameters
from tasks.records.run import EndRecord, Options, RunRecord, Stop
from tasks.report import write_report
from tasks.report.facts import PART
from tasks.results import commit_shard
from tasks.standing import Family, of_family
from tasks.store import join, open_store
from tasks.stored import parquet_bytes
from tests.tasks.store.support import Watched

EVIL = "</script><script>alert(1)</script>`rm -rf`"


class Night:
    """A run that is written by hand through the functions by which a real one is."""

    def __init__(self, root, pairs, allowed=()):
        self.store, self.layout = open_store(root), Layout(root)
        self.run = RunRecord(
            run_id="r1", root_run_id="r1", night="2026-01-01", created_at=datetime.now(UTC),
            manifest_uri=f"file:///{EVIL}.parquet", manifest_sha256="m", pairs=pairs, skipped=0, shards=1,
            parameters=Parameters(), options=Options(), allowed=allowed, code_version="1", host="h",
        )  # fmt: skip
        rows = [
            {"pair_id": f"p{n}", "content_uri": "file:///c.wav", "style_uri": "file:///s.wav"} for n in range(pairs)
        ]
        for name, records, columns in (("manifest", rows, schema.MANIFEST), ("skipped", [], schema.SKIPPED)):
            uri = self.layout.run("r1", f"{name}.parquet")
            self.store.create(uri, parquet_bytes(schema.table_of(records, columns)))
        self.store.create(self.layout.run("r1", "run.json"), self.run.model_dump_json().encode())

    def end(self):
        record = EndRecord(
            run_id="r1", stop=Stop.FINISHED, exit_code=1, message="some", counts={}, reasons={},
            ended_at=datetime.now(UTC),
        )  # fmt: skip
        self.store.create(self.layout.run("r1", "end.json"), record.model_dump_json().encode())

    def commit(self, attempts):
        for shard in range(0, len(attempts), 50):
            commit_shard(self.store, self.layout, self.run, shard, attempts[shard : shard + 50], {})

    def parts(self):
        """All that the parts say, pair by pair."""
        found = []
        for uri, stat in self.store.list(join(self.layout.root, "runs/r1/report")):
            assert stat.size < 1_000_000
            text = self.store.read(uri).data.decode()
            number, value = re.fullmatch(r"gramophone\.part\((\d+), (.*)\)\n", text, re.DOTALL).groups()
            assert uri.endswith(f"/{int(number):04d}.js")
            found += json.loads(value)
        return found


@cache
def pictures_of_noise():
    """As large as pictures come."""
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(220_500).astype("float32"))
    return pictures.drawn([pictures.spectrogram(noise, 22_050)] * 3)


def done(row, root, **values):
    curve = [1.0 / n for n in range(1, 209)]
    curves = {"stage": ["spectrogram"] * 48 + ["refine"] * 160, "total": curve, "content": curve, "style": curve}
    curves |= dict(zip(("picture_content", "picture_style", "picture_result"), pictures_of_noise(), strict=True))
    same = {"etag": "e", "sha256": "0" * 64, "start": None, "seconds": None, "weight": 1.0}
    inputs = [{"role": role, "uri": f"file:///{role}.wav", **same} for role in ("content", "style")]
    values = {
        "pair_id": f"p{row}", "status": "ok", "started_at": datetime.now(UTC), "inputs": inputs,
        "params": Parameters(strength=0.5).canonical_json(),
        "audio_uri": join(root, f"audio/night=2026-01-01/run=r1/p{row}.flac"), "audio_rate": 22_050,
        "audio_frames": 220_500, "style_loss": row / 1000, "content_loss": 0.5, "seconds_total": 7.0,
        "loudness_lufs": -16.0, "content_loudness_lufs": -14.0, "style_loudness_lufs": -20.0, "tags": [],
    } | values  # fmt: skip
    return Attempt(row, values, curves)


def failed(row, message=EVIL):
    values = {
        "pair_id": f"p{row}",
        "status": "failed",
        "reason": "decode_error",
        "message": message,
        "tags": [("a", EVIL)],
    }
    return Attempt(row, values)


def test_the_report_of_a_run_says_what_the_results_say(any_root):
    night = Night(any_root, 3)
    night.commit([done(0, any_root), failed(1)])
    night.end()
    uri = write_report(night.store, night.layout)
    assert uri == join(any_root, "runs/r1/report.html")
    page = night.store.read(uri).data.decode()
    assert "1 of 3 pairs done; 1 failed; 1 open" in page
    assert f"gramophone rerun r1 --root {any_root}" in page
    assert '"band":[50.0,16000.0]' in page, "the frequencies of its pictures"
    bad, left, good = night.parts()
    assert (bad["name"], bad["reason"], bad["message"], bad["tags"]) == ("p1", "decode_error", EVIL, {"a": EVIL})
    assert (left["name"], left["reason"]) == ("p2", "lost")
    assert good["changed"] == {"strength": [0.5, 1.0]}
    assert good["sounds"]["sounds"]["result"]["link"] == "../../audio/night%3D2026-01-01/run%3Dr1/p0.flac"
    assert good["sounds"]["sounds"]["style"]["lufs"] == -20.0
    assert good["figures"]["style_loss"] == 0.0
    assert set(good["pictures"]) == {"content", "style", "result"}
    assert len(good["curve"]["style"]) == 208


def test_what_to_type_is_read_back_by_a_shell_also_of_a_root_with_a_space(tmp_path):
    root = f"file://{tmp_path}/my $root's"
    night = Night(root, 1)
    night.commit([failed(0)])
    page = night.store.read(write_report(night.store, night.layout)).data.decode()
    for remedy in (night.parts()[0]["remedy"], html.unescape(page)):
        [command] = re.findall(r"`(gramophone rerun r1 [^`]*)`", remedy)
        assert shlex.split(command) == ["gramophone", "rerun", "r1", "--root", root]


def test_nothing_that_stands_in_the_results_becomes_part_of_the_page(any_root):
    night = Night(any_root, 2)
    night.commit([failed(0), failed(1)])
    page = night.store.read(write_report(night.store, night.layout)).data.decode()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert page.count("</script>") == 2
    for uri, _ in night.store.list(join(any_root, "runs/r1/report")):
        assert b"</script>" not in night.store.read(uri).data


def test_a_page_asks_no_other_host_for_anything(any_root):
    night = Night(any_root, 1)
    night.commit([done(0, any_root)])
    page = night.store.read(write_report(night.store, night.layout)).data.decode()
    assert "default-src 'none'" in page
    assert re.findall(r"(?:https?:)?//[a-z][\w.-]*\.[a-z]+", page.replace("http://www.w3.org/2000/svg", "")) == []


def test_a_thousand_pairs_are_a_page_and_parts_of_less_than_a_megabyte_each(store_root):
    night = Night(store_root, 1_000)
    night.commit([done(row, store_root) for row in range(1_000)])
    uri = write_report(night.store, night.layout)
    assert night.store.stat(uri).size < 200_000
    assert len(night.parts()) == 1_000


def test_of_more_pairs_than_are_asked_for_the_worst_are_shown(store_root):
    night = Night(store_root, 60)
    night.commit([*(done(row, store_root) for row in range(59)), failed(59)])
    page = night.store.read(write_report(night.store, night.layout, most=PART + 1)).data.decode()
    assert f"{60 - PART - 1} more are in the results" in page
    assert [pair["name"] for pair in night.parts()] == ["p59", *(f"p{n}" for n in range(59 - PART, 59))]


def test_whole_rows_are_read_only_of_the_pairs_that_are_shown(store_root):
    night = Night(store_root, 60)
    for shard in range(6):
        rows = [done(row, store_root) for row in range(10 * shard, 10 * shard + 10)]
        commit_shard(night.store, night.layout, night.run, shard, rows, {})
    store = Watched()
    write_report(store, night.layout, most=12)
    assert store.of_results() == [1, 1, 1, 1, 2, 2], "all in brief, then those with the worst losses"


def test_a_standing_that_is_known_is_not_read_again(store_root):
    night = Night(store_root, 60)
    night.commit([*(done(row, store_root) for row in range(59)), failed(59)])
    write_report(night.store, night.layout, most=8)
    page, parts = night.store.read(night.layout.run("r1", "report.html")).data, night.parts()
    stood, store = of_family(night.store, night.layout, Family((night.run,)), brief=True), Watched()
    write_report(store, night.layout, most=8, stood=stood)
    assert store.of_results() == [1], "that of the second shard, in which all are that are shown"
    assert (night.store.read(night.layout.run("r1", "report.html")).data, night.parts()) == (page, parts)


def test_a_report_is_written_anew_without_the_pictures_that_are_gone(any_root):
    night = Night(any_root, 1)
    night.commit([done(0, any_root)])
    write_report(night.store, night.layout)
    for uri, _ in night.store.list(night.layout.all_curves()):
        night.store.delete(uri)
    write_report(night.store, night.layout)
    [pair] = night.parts()
    assert (pair["pictures"], pair["curve"], pair["name"]) == ({}, {}, "p0")


def test_a_run_that_is_not_there_is_said_so(store_root):
    from tasks.records.reasons import UsageError

    Night(store_root, 1)
    with pytest.raises(UsageError, match="no run r7 under"):
        write_report(open_store(store_root), Layout(store_root), "r7")
