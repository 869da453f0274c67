"""Models that people fill in as a form: its fields stand in the order in which they are written here."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


def _for_people(schema: dict[str, Any]) -> None:
    """Name the properties as flags, files and columns name them, with the bounds that a form checks and does not show.

    They are numbered: a database that keeps the schema may forget their order (PostgreSQL's jsonb does).
    """
    for position, (name, found) in enumerate(schema["properties"].items()):
        found |= {"position": position, "title": name}
        if bounds := _bounds(found):
            found["description"] = f"{found['description']} [{bounds}]"


def _bounds(found: Mapping[str, Any]) -> str:
    """For instance "8000 to 192000", "each 1 to 256"; empty where a property has not both."""
    if "items" in found:
        return f"each {of_one}" if (of_one := _bounds(found["items"])) else ""
    low = found.get("minimum", _beyond("more than", found.get("exclusiveMinimum")))
    high = found.get("maximum", _beyond("less than", found.get("exclusiveMaximum")))
    return "" if low is None or high is None else f"{low} to {high}"


def _beyond(words: str, bound: Any) -> str | None:
    return None if bound is None else f"{words} {bound}"


class Form(BaseModel):
    """Values that nobody has named are refused, and nothing changes once it is filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_for_people)
