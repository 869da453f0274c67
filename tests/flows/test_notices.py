"""What a run says in Prefect's UI, in words."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from flows import notices


def submission(**more):
    run = SimpleNamespace(
        run_id="r-1",
        manifest_uri="s3://music/tunes.parquet",
        night="2026-11-24",
        parent_run_id=None,
        pairs=12,
        skipped=0,
    )
    vars(run).update(more)
    return SimpleNamespace(
        run=run, root="s3://music/root", plan=SimpleNamespace(pairs=[None] * (run.pairs - run.skipped))
    )


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ({}, "tunes.parquet 2026-11-24: 12 pairs"),
        ({"pairs": 1}, "tunes.parquet 2026-11-24: 1 pair"),
        ({"skipped": 8}, "tunes.parquet 2026-11-24: 4 pairs, 8 more done before"),
        ({"parent_run_id": "r-0", "pairs": 2}, "tunes.parquet 2026-11-24: rerun of 2 pairs"),
    ],
)
def test_a_run_is_named_by_what_and_how_many(run, name):
    assert notices.name_of(submission(**run)) == name


@pytest.mark.parametrize(
    ("done", "seconds", "percent", "says"),
    [
        (0, 5, 0, "0 of 12 pairs tried, 0 of them failed"),
        (3, 240, 25, "3 of 12 pairs tried, 0 of them failed; about 12 minutes to go"),
        (6, 14_400, 50, "6 of 12 pairs tried, 0 of them failed; about 4.0 hours to go"),
        (12, 90, 100, "12 of 12 pairs tried, 0 of them failed"),
    ],
)
def test_progress_says_how_long_it_will_take(done, seconds, percent, says):
    assert notices.progress(submission(), done, 0, seconds) == (percent, says)


def test_a_failure_is_told_shortly_and_in_full():
    message = "content 's3://music/deep/rain fall.wav' is not there"
    left = pd.DataFrame(
        [{"pair_id": None, "manifest_row": 3, "reason": "lost", "message": message, "quarantined": False}]
    )
    [row] = json.loads(notices.failure_rows(left))
    assert row == {
        "pair": "row 3", "reason": "lost", "message": "content '.../rain fall.wav' is not there", "in full": message,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("served", "address"),
    [
        ("https://sound.example.org/nightly/", "https://sound.example.org/nightly/runs/r%201/report.html"),
        ("", None),
        ("s3://music", None),
        ("https://me:secret@sound.example.org", None),
        ("https://sound.example.org?signature=secret", None),
    ],
)
def test_a_link_is_one_that_a_browser_opens_and_holds_no_credential(served, address, monkeypatch):
    monkeypatch.setenv(notices.WEB_ROOT, served)
    assert notices.web_address("s3://music/root/runs/r 1/report.html", "s3://music/root") == address
