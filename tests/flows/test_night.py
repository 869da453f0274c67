"""A night from end to end, as it is typed: a run with broken pairs, a rerun that mends them, a run that skips all."""

import json

import pandas as pd
import pytest

from tasks.layout import Layout
from tasks.standing import standing
from tasks.store import open_store
from tasks.verify import verify

GOOD = [f"good-{n}" for n in range(4)]
BAD = {
    "missing": "input_missing",
    "truncated": "decode_error",
    "picture": "decode_error",
    "silent": "input_silent",
    "parameter": "params_invalid",
    "twice": "row_invalid",
    "outside": "input_forbidden",
}


def rows():
    good = [
        {"pair_id": name, "content_uri": f"content-{n}.wav", "style_uri": "style.wav", "params": None}
        for n, name in enumerate(GOOD)
    ]
    bad = [
        {"pair_id": name, "content_uri": f"{name}.wav", "style_uri": "style.wav", "params": None}
        for name in ("missing", "truncated", "picture", "silent")
    ]
    return [
        *good[:2],
        *bad,
        *good[2:],
        {"pair_id": "parameter", "content_uri": "content-0.wav", "style_uri": "style.wav", "params": '{"n_fft": -1}'},
        {"pair_id": "twice", "content_uri": "content-0.wav", "style_uri": "style.wav", "params": None},
        {"pair_id": "twice", "content_uri": "content-1.wav", "style_uri": "style.wav", "params": None},
        {"pair_id": "outside", "content_uri": "/etc/hostname", "style_uri": "style.wav", "params": None},
    ]


@pytest.fixture(scope="module")
def night(desk):
    """What each command of the night said, by its name."""
    for n in range(4):
        desk.clip(f"content-{n}", 1.0 + 0.2 * n, "flute")
    desk.clip("style", 1.1, "drums")
    whole = desk.clip("truncated").read_bytes()
    (desk.folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    (desk.folder / "picture.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    (desk.folder / "silent.wav").write_bytes(whole[:44] + bytes(len(whole) - 44))
    desk.manifest(rows())
    said = {"dry": desk.ask("run", "manifest.parquet", "--dry-run", "--json")}
    said["run"] = desk.type("run", "manifest.parquet", "--night", "2026-11-20", "--json")
    said["undone"] = desk.ask("status", "--night", "2026-11-20", "--json")
    said["first"] = desk.ask("status", "--latest", "--json")
    said["unchanged"] = desk.ask("rerun", "--latest", "--json")
    for name in ("missing", "truncated", "picture", "silent"):
        desk.clip(name, 1.3, "organ")
    mended = [row for row in rows() if row["pair_id"] in ("parameter", "outside")]
    mended[0]["params"] = '{"n_fft": 512, "seed": 5}'
    mended[1] |= {"content_uri": "content-3.wav", "params": '{"seed": 7}'}
    twice = {"pair_id": "twice", "content_uri": "content-2.wav", "style_uri": "style.wav", "params": '{"seed": 9}'}
    desk.manifest([*mended, twice], "mended.parquet")
    said["rerun"] = desk.ask("rerun", "--latest", "--manifest", "mended.parquet")
    said["status"] = desk.ask("status", "--latest", "--json")
    said["done"] = desk.ask("status", "--night", "2026-11-20")
    said["no night"] = desk.ask("status", "--night", "2026-11-19")
    said["nothing"] = desk.ask("rerun", "--latest")
    desk.manifest([row for row in rows() if row["pair_id"] in GOOD], "good.parquet")
    (desk.folder / "renamed.wav").write_bytes((desk.folder / "content-0.wav").read_bytes())
    renamed = {"pair_id": "renamed", "content_uri": "renamed.wav", "style_uri": "style.wav", "params": None}
    desk.manifest([renamed, renamed | {"pair_id": "new", "params": '{"seed": 77}'}], "renamed.parquet")
    said["renamed"] = desk.ask("run", "renamed.parquet", "--json")
    said["again"] = desk.ask("run", "good.parquet", "--json")
    said["metrics"] = desk.ask("metrics", "--json")
    return said


def test_a_dry_run_says_what_would_fail_and_writes_nothing(night):
    assert night["dry"].code == 1
    fails = {pair["pair_id"]: pair["reason"] for pair in night["dry"].json["fail"]}
    assert fails == {name: BAD[name] for name in ("missing", "parameter", "twice", "outside")}


def test_a_run_with_failed_pairs_ends_with_1_and_says_how_many(night):
    assert night["run"].code == 1, night["run"].err
    verdict = night["run"].json
    assert verdict["counts"]["ok"] == 4
    assert verdict["message"].startswith("4 of 11 pairs done; 7 failed: ")


def test_every_broken_pair_fails_alone_with_its_reason_and_a_message(night):
    failed = {p["pair_id"]: p for p in night["first"].json["pairs"] if p["status"] == "failed"}
    assert {name: pair["reason"] for name, pair in failed.items()} == BAD
    for word, name in (("cut short", "truncated"), ("PNG", "picture"), ("silent", "silent"), ("n_fft", "parameter")):
        assert word in failed[name]["message"]


def test_failures_of_which_nothing_has_changed_are_listed_and_not_computed(night):
    assert night["unchanged"].code == 1
    assert set(night["unchanged"].json["withheld"]) == set(BAD)


def test_a_rerun_computes_what_was_mended_and_nothing_else(night):
    assert night["rerun"].code == 0, night["rerun"].out + night["rerun"].err
    found = night["status"].json
    assert found["counts"] == {"pairs": 11, "ok": 11, "failed": 0, "open": 0, "skipped": 0}
    first, second = found["runs"]
    assert second["parent_run_id"] == first["run_id"]
    assert second["pairs"] == 7
    assert {p["pair_id"] for p in found["pairs"] if p["run_id"] == second["run_id"]} == set(BAD)


def test_a_night_is_green_only_when_every_pair_of_its_manifest_is_done(night):
    assert night["undone"].code == 1
    assert night["undone"].json["families"][0]["counts"]["failed"] == 7
    assert night["done"].code == 0, night["done"].out
    assert "11 of 11 pairs ok" in night["done"].out
    assert night["no night"].code == 1
    assert "no run of the night 2026-11-19" in night["no night"].out
    assert "`gramophone run MANIFEST --night 2026-11-19 --root file:///" in night["no night"].out


def test_a_rerun_with_nothing_to_do_says_so(night):
    assert night["nothing"].code == 0
    assert "nothing to do" in night["nothing"].out


def test_a_run_over_what_is_done_skips_it_all(night):
    assert night["again"].code == 0
    assert night["again"].json["counts"] == {"pairs": 4, "ok": 4, "failed": 0, "open": 0, "skipped": 4}


def test_a_renamed_input_is_served_by_the_earlier_audio_and_its_neighbour_is_computed(night, desk):
    assert night["renamed"].code == 0, night["renamed"].err
    results = pd.read_parquet(desk.folder / "root" / "results").set_index("pair_id")
    assert results.loc["renamed"].audio_uri == results[results.status == "ok"].loc["good-0"].audio_uri
    assert results.loc["renamed"].served_by.endswith("/0")
    assert pd.isna(results.loc["new"].served_by)


def test_stdout_is_json_alone_and_the_rest_is_on_stderr(night):
    assert len(night["metrics"].json) == 21  # twelve rows, one of them a second copy's, seven again, and two
    assert "run 2" in night["run"].err


def test_every_ok_row_has_its_audio_whole_and_its_lineage(night, desk):
    assert list(verify(open_store(desk.root), Layout(desk.root))) == []
    results = pd.read_parquet(desk.folder / "root" / "results")
    ok = results[(results.status == "ok") & results.served_by.isna()]
    lineage = [
        "pair_key", "content_sha256", "style_sha256", "params_sha256", "code_version", "lock_sha256", "torch", "device",
        "host", "prefect_flow_run_id", "prefect_task_run_id", "manifest_sha256", "curves_uri", "committed_at",
    ]  # fmt: skip
    figures = [
        "content_loss", "style_loss", "style_loss_heldout", "chroma_similarity", "loudness_lufs", "peak_dbtp",
        "gain_db", "style_copy", "seconds_total", "evaluations",
    ]  # fmt: skip
    assert ok[lineage + figures].notna().all().all()
    assert (ok.peak_dbtp <= -0.9).all()  # the limit of -1 dBTP, and the rounding of 24 bits
    assert all(len(inputs) == 2 and inputs[0]["sha256"] for inputs in ok.inputs)


def test_curves_are_named_in_the_results_and_hold_every_evaluation(night, desk):
    results = standing(desk.root)
    row = results[results.status == "ok"].iloc[0]
    curves = pd.read_parquet(row.curves_uri.removeprefix("file://"))
    mine = curves[(curves.run_id == row.run_id) & (curves.manifest_row == row.manifest_row)].iloc[0]
    assert len(mine.total) == row.evaluations


def test_one_figure_of_the_results_is_asked_for_in_sql(night, desk):
    found = desk.ask("metrics", "--json", "--sql", "select status, count(*) n from results group by 1 order by 1")
    assert found.json == [{"status": "failed", "n": 8}, {"status": "ok", "n": 13}]
    assert desk.ask("metrics", "--sql", "select * from read_text('/etc/hostname')").code == 2
    assert json.loads(desk.ask("metrics", "--failed", "--json").out)[0]["status"] == "failed"


def test_the_state_in_prefect_says_what_the_exit_code_says(night):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    states = {(run.state.type.value, (run.state.message or "").split(". Next: ")[0]) for run in runs}
    assert ("FAILED", night["run"].json["message"]) in states
    assert ("COMPLETED", night["again"].json["message"]) in states
    names = {run.name for run in runs}
    assert {"manifest.parquet 2026-11-20: 12 pairs", "mended.parquet 2026-11-20: rerun of 7 pairs"} <= names
