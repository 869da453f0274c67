"""Settings that people write as text: dates, times, shares, addresses; how they are spelled, and what they mean."""

import re
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, WithJsonSchema

UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def _spelled(pattern: str, why: str) -> tuple[AfterValidator, WithJsonSchema]:
    """Checked here with a sentence, and in a form by its pattern; empty is always right."""
    optional = f"^({pattern})?$"

    def check(text: str) -> str:
        if not re.fullmatch(optional, text):
            raise ValueError(why)
        return text

    return AfterValidator(check), WithJsonSchema({"type": "string", "pattern": optional})


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone; use a name such as Europe/Berlin or UTC")
    return name


def _date(text: str) -> str:
    try:
        return str(date.fromisoformat(text)) if text else text
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date such as 2026-11-24") from error


Timezone = Annotated[str, AfterValidator(_timezone)]
Date = Annotated[str, *_spelled(r"\d{4}-\d{2}-\d{2}", "is not a date such as 2026-11-24"), AfterValidator(_date)]
TimeOfDay = Annotated[str, *_spelled(r"([01]\d|2[0-3]):[0-5]\d", "is not a time of day such as 06:00")]
Duration = Annotated[str, *_spelled(r"\d{1,6}[smhd]", "is not a time such as 90s, 30m or 2h")]
NumberOrShare = Annotated[
    str,
    *_spelled(r"\d+|\d+(\.\d+)?%", "is neither a number of pairs, such as 12, nor a share of them, such as 5%"),
]
Address = Annotated[
    str,
    *_spelled(r"https?://[^/@?#\s]+/?", "is not an address such as https://s3.example.org; it holds no credentials"),
]

RayAddress = Annotated[
    str,
    *_spelled(r"auto|(ray://)?[^/@?#\s]+:\d{1,5}", "is not an address such as auto, head:6379 or ray://head:10001"),
]


def seconds_of(duration: str) -> float:
    """A Duration in seconds; empty is 0."""
    return float(duration[:-1]) * UNITS[duration[-1]] if duration else 0.0


def night_of(moment: datetime, timezone: str) -> date:
    """The date of a run's scheduled start in `timezone`."""
    return moment.astimezone(ZoneInfo(timezone)).date()


def next_time(until: str, start: datetime, timezone: str) -> datetime | None:
    """The first moment after `start` at which clocks in `timezone` show `until`; None where that is empty."""
    if not until:
        return None
    zone = ZoneInfo(timezone)
    hour, minute = map(int, until.split(":"))
    begun = start.astimezone(zone)
    found = begun.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return found if found > begun else found + timedelta(days=1)
