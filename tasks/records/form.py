"""Models that people fill in as a form: its fields stand in the order in which they are written here."""

from typing import Any

from pydantic import BaseModel, ConfigDict


def _in_order(schema: dict[str, Any]) -> None:
    """Number the properties: a database that keeps the schema may forget their order (PostgreSQL's jsonb does)."""
    for position, found in enumerate(schema["properties"].values()):
        found["position"] = position


class Form(BaseModel):
    """Values that nobody has named are refused, and nothing changes once it is filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_in_order)
