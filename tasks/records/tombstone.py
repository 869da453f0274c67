"""What was withdrawn (tombstones/): by whose word nothing is made from a clip any more."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from tasks.records.schema import SCHEMA_VERSION


class Tombstone(BaseModel):
    """tombstones/<digest>.json: written before anything is deleted, and again where the withdrawal is undone.

    `sha256` holds every digest that was seen under the URI, and those of outputs that were inputs again.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = SCHEMA_VERSION
    uri: str | None  # None: withdrawn by digest alone
    sha256: tuple[str, ...]
    withdrawn_at: datetime
    host: str
    command: str
    outputs: int  # audio files that were made from it
    reason: str = ""
    lifted_at: datetime | None = None  # since then it may be used again; what was deleted before stays deleted

    def sentence(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        undone = f", undone on {self.lifted_at:%Y-%m-%d %H:%M} UTC" if self.lifted_at else ""
        return f"was withdrawn on {self.withdrawn_at:%Y-%m-%d %H:%M} UTC by `{self.command}`{why}{undone}"
