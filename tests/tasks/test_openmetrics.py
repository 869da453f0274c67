"""The figures of a night, read back by Prometheus' own parsers."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older

from tasks.openmetrics import GAUGES, of_night, stood
from tasks.records.pair import Attempt
from tasks.records.reasons import Reason
from tasks.records.run import Stop
from tasks.standing import families_of_night
from tests.tasks.test_standing import History

NIGHT, NOW = "2026-01-01", datetime(2026, 1, 1, 6, tzinfo=UTC)


@pytest.fixture
def history(tmp_path):
    return History(f"file://{tmp_path}/root")


def attempt(row, name, status="ok", **values):
    return Attempt(row, {"pair_id": name, "status": status, "params": "{}", "params_sha256": "p", **values}, None)


def told(history, code=1, now=NOW):
    families = [
        stood(history.store, history.layout, one) for one in families_of_night(history.store, history.layout, NIGHT)
    ]
    return of_night(NIGHT, code, families, now)


def samples(text, parser=openmetrics):
    return {
        (
            sample.name,
            *(text for label, text in sorted(sample.labels.items()) if label not in ("night", "manifest")),
        ): sample.value
        for family in parser(text)
        for sample in family.samples
    }


def a_night(history):
    run = history.run("r1", ["a", "b", "c", "d"], manifest=f"pairs-{NIGHT}", end=Stop.PREEMPTED)
    history.commit(
        run,
        attempt(0, "a", seconds_total=2.0),
        attempt(1, "b", seconds_total=4.0),
        attempt(2, "c", "failed", reason="storage"),
    )


def test_a_night_is_told_in_pairs_reasons_and_seconds(history):
    a_night(history)
    found = samples(told(history))
    assert found["gramophone_night_exit_code",] == 1
    assert found["gramophone_night_runs",] == 1
    assert [found["gramophone_night_pairs", status] for status in ("ok", "failed", "open")] == [2, 1, 1]
    assert found["gramophone_night_not_done_pairs", "storage"] == 1
    assert found["gramophone_night_not_done_pairs", "preempted"] == 1
    assert found["gramophone_night_not_done_pairs", "lost"] == 0
    assert found["gramophone_night_seconds_per_pair",] == 3.0
    assert found["gramophone_night_last_exit_code",] == 130
    assert found["gramophone_night_check_timestamp_seconds",] == NOW.timestamp()


def test_every_reason_has_its_series_also_at_nought(history):
    a_night(history)
    found = samples(told(history))
    assert {key[1] for key in found if key[0] == "gramophone_night_not_done_pairs"} == set(Reason)


def test_what_was_skipped_or_served_is_not_in_the_mean(history):
    first = history.run("r0", ["a"], night="2025-12-31")
    history.commit(first, attempt(0, "a", seconds_total=100.0))
    run = history.run("r1", ["a", "b"], skipped=[("a", "r0/0")])
    history.commit(run, attempt(1, "b", seconds_total=2.0))
    found = samples(told(history))
    assert (found["gramophone_night_skipped_pairs",], found["gramophone_night_seconds_per_pair",]) == (1, 2.0)


def test_a_killed_run_is_seen_by_what_is_lost_and_by_the_lack_of_an_end(history):
    history.run("r1", ["a", "b"])
    found = samples(told(history))
    assert found["gramophone_night_not_done_pairs", "lost"] == 2
    assert "gramophone_night_idle_seconds" in {key[0] for key in found}
    ends = {"gramophone_night_last_exit_code", "gramophone_night_last_stop", "gramophone_night_seconds_per_pair"}
    assert not ends & {key[0] for key in found}


def stops(history):
    return {key[1]: value for key, value in samples(told(history)).items() if key[0] == "gramophone_night_last_stop"}


def test_why_a_run_stopped_is_told_among_all_causes_and_changes_with_the_run_that_ended_last(history):
    history.run("r1", ["a"], end=Stop.STORAGE)
    assert stops(history) == {stop: stop is Stop.STORAGE for stop in Stop}
    history.run("r2", ["a"], parent="r1", end=Stop.NO_WORKERS)
    assert stops(history) == {stop: stop is Stop.NO_WORKERS for stop in Stop}


def idle(history, since, hours):
    found = samples(told(history, now=since.created_at + timedelta(hours=hours)))
    return found.get(("gramophone_night_idle_seconds",))


def test_a_run_without_a_verdict_is_idle_since_its_newest_commit_or_else_since_it_began(history):
    run = history.run("r1", ["a", "b", "c"])
    assert idle(history, run, hours=1) == 3_600
    history.commit(run, attempt(0, "a", committed_at=run.created_at + timedelta(hours=1)))
    failed = attempt(1, "b", "failed", reason="oom", committed_at=run.created_at + timedelta(hours=2))
    history.commit(run, failed, shard=1)
    assert idle(history, run, hours=2.5) == 1_800


def test_a_run_is_not_idle_while_its_rerun_works(history):
    killed = history.run("r1", ["a", "b", "c"])
    rerun = history.run("r2", ["a"], parent="r1")
    since = rerun.created_at - killed.created_at
    assert idle(history, killed, hours=3) == (timedelta(hours=3) - since).total_seconds()


def test_what_stopped_with_a_verdict_is_not_idle_nor_is_a_killed_run_whose_pairs_a_rerun_took(history):
    stopped = history.run("r1", ["a", "b"], end=Stop.MAX_FAILURES)
    assert samples(told(history))["gramophone_night_not_done_pairs", "lost"] == 2
    assert idle(history, stopped, hours=9) is None
    history.run("r2", ["a", "b"], parent="r1")
    assert idle(history, stopped, hours=9) is not None
    history.run("r3", ["a", "b"], parent="r1", end=Stop.STORAGE)
    assert idle(history, stopped, hours=9) is None


def test_the_commits_of_an_earlier_night_are_no_sign_of_life(history):
    earlier = history.run("r0", ["a"], night="2025-12-31")
    history.commit(earlier, attempt(0, "a", committed_at=earlier.created_at + timedelta(hours=1)))
    run = history.run("r1", ["a", "b"], skipped=[("a", "r0/0")])
    assert idle(history, run, hours=3) == 3 * 3_600


def test_a_night_without_a_run_is_told_by_its_code_alone(history):
    assert set(samples(told(history))) == {
        ("gramophone_night_exit_code",),
        ("gramophone_night_check_timestamp_seconds",),
    }


def test_the_older_format_reads_the_same(history):
    a_night(history)
    assert samples(told(history), older) == samples(told(history))


def test_every_metric_is_told_its_unit_is_in_its_name_and_its_series_last_longer_than_a_night(history):
    a_night(history)
    history.run("r2", ["d"], parent="r1")  # at work: it shows how long it has been silent
    families = list(openmetrics(told(history)))
    assert [family.name for family in families] == list(GAUGES)
    assert all(family.type == "gauge" and family.documentation == GAUGES[family.name] for family in families)
    manifests = {sample.labels.get("manifest") for family in families for sample in family.samples}
    assert manifests == {None, "file:///pairs-{night}.parquet"}


def test_a_label_may_hold_what_it_likes(history):
    history.run("r1", ["a"], manifest='a "quoted" \\ name\nof two lines')
    [name] = {s.labels["manifest"] for f in openmetrics(told(history)) for s in f.samples if "manifest" in s.labels}
    assert name == 'file:///a "quoted" \\ name\nof two lines.parquet'
