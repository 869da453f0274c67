"""Deployments on a real server with a process worker, results in a bucket: schedules, overlaps, cancels, the form."""

import json
import secrets
import shutil
import subprocess
import time
from datetime import timedelta

import pandas as pd
import pytest

from tasks.audio import encode
from tasks.clips import synthesise
from tasks.layout import Layout
from tasks.results import read_end, read_results, read_runs
from tasks.store import join, open_store
from tasks.verify import verify
from tests.flows.conftest import QUICK, SLOW
from tests.flows.deployed import SCHEDULED, of_compose, typed, working
from tests.flows.processes import wait_for

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NIGHT = "2026-11-23"


class Place:
    """A bucket's prefix with two tunes and a texture, and a root of results for each test."""

    def __init__(self, uri):
        self.uri, self.store = uri, open_store(uri)
        for name, kind in (("tune-0", "flute"), ("tune-1", "organ"), ("texture", "drums")):
            self.store.create(join(uri, f"{name}.flac"), encode(synthesise(kind, 1.1, 8_000), 8_000, "flac"))

    def job(self, name, contents, params=None, shard_pairs=1, **more):
        """A job over pairs of these contents, with a root of its own."""
        seed = int.from_bytes(name.encode()[-7:])
        rows = [
            {"pair_id": f"p{n}", "content_uri": f"{content}.flac", "style_uri": "texture.flac", "seed": seed + n}
            for n, content in enumerate(contents)
        ]
        self.store.create(join(self.uri, f"{name}-{NIGHT}.parquet"), pd.DataFrame(rows).to_parquet())
        options = {"shard_pairs": shard_pairs, "device": "cpu", "threads": 1, **more.pop("options", {})}
        return {
            "manifest": join(self.uri, f"{name}-{{night}}.parquet"), "root": join(self.uri, name),
            "parameters": params or QUICK, "options": options, **more,
        }  # fmt: skip

    def end(self, name):
        layout = Layout(join(self.uri, name))
        return read_end(self.store, layout, read_runs(self.store, layout)[-1].run_id)

    def committed(self, name):
        return [uri for uri, _ in self.store.list(Layout(join(self.uri, name)).results())]


@pytest.fixture(scope="module")
def place(s3_server):
    return Place(join(s3_server, f"deployed-{secrets.token_hex(4)}"))


def test_an_upgrade_does_not_resume_a_pool_that_was_paused(desk, server):
    typed(desk, ["prefect", "work-pool", "pause", "gramophone"])
    typed(desk, of_compose("pool"))
    assert server.client.read_work_pool("gramophone").is_paused
    typed(desk, ["prefect", "work-pool", "resume", "gramophone"])


@pytest.fixture(scope="module")
def late(server, place):
    """Three nights that were due while there was no worker."""
    job = place.job("late", ["tune-0"], night=NIGHT)
    return [server.start("nightly", job, SCHEDULED - timedelta(days=n)) for n in range(3)]


@pytest.fixture(scope="module")
def worker(desk, late, tmp_path_factory):
    log = tmp_path_factory.mktemp("worker") / "log"
    with working(desk, log, GRAMOPHONE_WEB_ROOT="https://sound.example.org/") as process:
        yield process


def test_late_runs_start_together_when_the_worker_is_back_and_one_of_them_works(server, place, worker, late):
    states = [server.end_of(run) for run in late]
    assert sorted(state.type.value for state in states) == ["CANCELLED", "CANCELLED", "COMPLETED"]
    root = Layout(join(place.uri, "late"))
    assert len(read_runs(place.store, root)) == 1
    assert list(verify(place.store, root)) == []


@pytest.fixture(scope="module")
def night(server, place, worker, late):
    """A scheduled night of three pairs, one of whose inputs is not there."""
    for run in late:
        server.end_of(run)
    run = server.start("nightly", place.job("night", ["tune-0", "missing", "tune-1"]))
    server.end_of(run)
    return run


def test_a_night_is_dated_by_its_schedule_and_ends_as_its_verdict_says(server, place, night):
    run = server.client.read_flow_run(night)
    end = place.end("night")
    assert run.name == f"night-{NIGHT}.parquet {NIGHT}: 3 pairs"
    assert (run.state.type.value, end.exit_code) == ("FAILED", 1)
    assert end.message == "2 of 3 pairs done; 1 failed: 1 input_missing"
    again = f"gramophone rerun {end.run_id} --root {join(place.uri, 'night')}"
    assert run.state.message == f"{end.message}. Next: `{again}`"
    assert all(f"/night={NIGHT}/" in uri for uri in place.committed("night"))


def test_tasks_are_named_by_what_and_how_many_and_say_what_became_of_it(server, night):
    asked = {"flow_runs": {"id": {"any_": [str(night)]}}}
    found = server.client.request("POST", "/task_runs/filter", json=asked).json()
    assert {task["name"]: task["state"]["message"] or "" for task in found} == {
        "record 3 pairs in 3 shards": "",
        "shard 0: 1 pair": "1 of 1 pairs done",
        "shard 1: 1 pair": "0 of 1 pairs done; 1 failed: 1 input_missing",
        "shard 2: 1 pair": "1 of 1 pairs done",
        "results: 2 of 3 pairs": "",
    }


def test_the_progress_the_failures_and_the_results_are_artifacts(server, place, night):
    artifacts, root = server.artifacts(night), join(place.uri, "night")
    progress, failures = artifacts["gramophone-progress"], artifacts["gramophone-failures"]
    assert (progress.data, progress.description) == (100, "3 of 3 pairs tried, 1 of them failed")
    [failure] = json.loads(failures.data)
    assert (failure["pair"], failure["reason"]) == ("p1", "input_missing")
    assert ".../missing.flac" in failure["message"]
    assert f"{place.uri}/missing.flac" in failure["in full"]
    run_id = place.end("night").run_id
    assert f"`gramophone rerun {run_id} --root {root}`" in failures.description
    assert "- 1 input_missing: put the file there, then rerun as above" in failures.description
    assert f"audio/night={NIGHT}/run={run_id}" in artifacts["gramophone-results"].data


def test_the_report_is_linked_by_an_address_that_a_browser_opens_and_by_a_command(server, place, night):
    run_id, text = place.end("night").run_id, server.artifacts(night)["gramophone-results"].data
    assert f"(https://sound.example.org/runs/{run_id}/report.html)" in text
    assert f"`gramophone listen {run_id} --root {join(place.uri, 'night')}`" in text
    assert "](s3://" not in text, "no browser opens that"


def test_the_results_of_a_night_are_an_asset_made_from_its_manifest(server, place, night):
    results, manifest = f"{place.uri}/night/results/night={NIGHT}", f"{place.uri}/night-{NIGHT}.parquet"
    told = wait_for(lambda: len(found := server.assets(night)) == 2 and found, "the events of the assets", 60)
    assert told.keys() == {results, manifest}, "one for the night, none for a pair"
    event, end = told[results], place.end("night")
    assert event["event"] == "prefect.asset.materialization.succeeded"
    assert manifest in [related["prefect.resource.id"] for related in event["related"]]
    report = f"{place.uri}/night/runs/{end.run_id}/report.html"
    assert event["payload"] == {"run_id": end.run_id, "report": report, "exit_code": 1, **end.counts}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_person_sees_the_failures_in_the_browser(server, place, night, tmp_path):
    page = f"{server.ui}/artifacts/artifact/{server.artifacts(night)['gramophone-failures'].id}"
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=20000", "--dump-dom", page,
    ]  # fmt: skip
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    for words in ("input_missing", "missing.flac", f"gramophone rerun {place.end('night').run_id}"):
        assert words in seen


def test_logs_carry_run_shard_and_pair_and_end_with_the_verdict(server, place, night):
    run_id = place.end("night").run_id
    told = f"run {run_id} shard 1 pair p1: input_missing"
    wait_for(lambda: any(told in line for line in server.logs(night)), "the log of a pair", 30)
    verdict = f"run {run_id}: 2 of 3 pairs done; 1 failed: 1 input_missing"
    wait_for(lambda: verdict in server.logs(night), "the verdict in the log", 30)
    # Prefect's engine has a traceback for every Failed state; that is no news behind a verdict.
    assert not [line for line in server.logs(night) if "Traceback" in line]


def test_a_rerun_from_the_form_computes_what_is_left_with_one_parameter_changed(server, place, night):
    place.store.create(join(place.uri, "missing.flac"), encode(synthesise("pluck", 1.1, 8_000), 8_000, "flac"))
    job = {"root": join(place.uri, "night"), "set": {"content_weight": 0.5}}
    state = server.end_of(server.start("rerun", job))
    assert (state.type.value, state.message) == ("COMPLETED", "1 of 1 pairs done")
    root = Layout(join(place.uri, "night"))
    assert [run.night for run in read_runs(place.store, root)] == [NIGHT, NIGHT]
    assert list(verify(place.store, root)) == []
    rows = read_results(place.store, root)
    weights = {row.pair_id: json.loads(row.params)["content_weight"] for row in rows[rows.status == "ok"].itertuples()}
    assert weights == {"p0": 0.01, "p1": 0.5, "p2": 0.01}


def test_a_value_out_of_bounds_is_refused_with_its_bound_and_nothing_is_created(server, place):
    job = {"root": place.uri, "manifest": "none", "parameters": {"content_weight": -1}}
    with pytest.raises(Exception, match="minimum of 0"):
        server.start("nightly", job)


def test_the_form_shows_bounds_and_descriptions(server):
    schema = server.client.read_deployment_by_name("nightly/nightly").parameter_openapi_schema
    weight = schema["definitions"]["Parameters"]["properties"]["content_weight"]
    assert (weight["minimum"], weight["maximum"]) == (0, 1000)
    assert (weight["title"], weight["description"]) == (
        "content_weight",
        "relative content loss against relative style loss; 0: texture alone [0 to 1000]",
    )
    assert schema["definitions"]["Options"]["properties"]["until"]["pattern"]


def test_a_manifest_that_does_not_come_is_said_in_the_state(server, place, worker):
    job = {"manifest": join(place.uri, "nothing-{night}.parquet"), "root": join(place.uri, "nothing"), "wait": "1s"}
    state = server.end_of(server.start("nightly", job))
    assert state.type.value == "FAILED"
    assert state.message.startswith(f"no manifest at {place.uri}/nothing-{NIGHT}.parquet")
    assert "Waited 1 s" in state.message


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_cancel_while_the_manifest_is_waited_for_leaves_nothing_and_the_next_run_begins(server, place, night):
    root = join(place.uri, "awaited")
    run = server.start("nightly", {"manifest": join(place.uri, "never-{night}.parquet"), "root": root, "wait": "10m"})
    wait_for(lambda: any("waiting up to" in line for line in server.logs(run)), "the wait for the manifest")
    server.cancel(run)
    assert server.end_of(run).type.value == "CANCELLED"
    assert list(place.store.list(root)) == []
    assert server.end_of(server.start("nightly", place.job("next", ["tune-0"]))).type.value == "COMPLETED"


@pytest.mark.slow
def test_a_night_that_begins_after_its_time_is_over_is_left_to_a_rerun(desk, server, place, worker, late):
    for run in late:  # of which one is at work
        server.end_of(run)
    job = place.job("over", ["tune-0", "tune-1"], options={"until": "06:00"})
    state = server.end_of(server.start("nightly", job))
    end = place.end("over")
    assert end.message == "0 of 2 pairs done; 2 not reached; stopped at the time of --until"
    assert state.message.startswith(f"{end.message}. Next: `gramophone rerun {end.run_id}")
    assert (end.exit_code, end.reasons) == (1, {"preempted": 2})
    again = desk.ask("rerun", end.run_id, "--reason", "preempted", "--root", join(place.uri, "over"))
    assert "2 of 2 pairs done" in again.out, again.err


def test_a_second_run_is_cancelled_while_the_first_goes_on_and_a_cancel_commits_what_is_done(server, place, worker):
    job = place.job("cancel", ["tune-0", "tune-1"] * 2, SLOW)
    first = server.start("nightly", job)
    wait_for(lambda: place.committed("cancel"), "a committed shard")
    second = server.end_of(server.start("nightly", job))
    assert second.type.value == "CANCELLED"
    server.cancel(first)
    asked = time.monotonic()
    end = wait_for(lambda: place.end("cancel"), "the verdict", 30)
    assert time.monotonic() - asked < 20
    assert end.exit_code == 130
    assert end.reasons == {"preempted": 4 - end.counts["ok"]}
    assert 0 < end.counts["ok"] < 4
    assert server.end_of(first).type.value == "CANCELLED"
    assert list(verify(place.store, Layout(join(place.uri, "cancel")))) == []
