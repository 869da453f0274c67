from datetime import UTC, datetime

import pytest

from tasks.records.run import Connection, Job, Options
from tasks.records.texts import next_time, seconds_of


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("90s", 90), ("30m", 1800), ("2h", 7200)])
def test_a_duration_is_a_number_with_its_unit(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("start", "zone", "end"),
    [
        ("2026-11-24T02:30", "UTC", "2026-11-24T06:00"),
        ("2026-11-24T07:00", "UTC", "2026-11-25T06:00"),
        ("2026-11-24T02:30", "Europe/Berlin", "2026-11-24T05:00"),
        ("2026-07-24T02:30", "Europe/Berlin", "2026-07-24T04:00"),
        ("2026-10-24T22:30", "Europe/Berlin", "2026-10-25T05:00"),  # the clocks go back in that night
    ],
)
def test_a_time_of_day_is_the_next_one_after_the_start_by_the_clocks_of_the_place(start, zone, end):
    begun = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert next_time("06:00", begun, zone) == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_no_time_of_day_is_no_end():
    assert next_time("", datetime.now(UTC), "UTC") is None


@pytest.mark.parametrize(
    ("model", "field", "value", "words"),
    [
        (Options, "until", "6:00", "time of day such as 06:00"),
        (Options, "until", "24:00", "time of day"),
        (Options, "timezone", "Berlin", "is not a time zone"),
        (Options, "max_failures", "some", "5%"),
        (Job, "wait", "2 hours", "90s, 30m or 2h"),
        (Job, "night", "24.11.2026", "2026-11-24"),
        (Job, "night", "2026-02-30", "2026-11-24"),
        (Connection, "s3_endpoint", "s3.example.org", "https://"),
        (Connection, "s3_endpoint", "https://me:secret@s3.example.org", "credentials"),
    ],
)
def test_what_is_spelled_otherwise_is_refused_with_an_example(model, field, value, words):
    with pytest.raises(ValueError, match=words):
        model(**{field: value})
