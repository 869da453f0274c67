"""A run: what was asked (run.json) and how it ended (end.json)."""

import re
import secrets
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tasks.records.parameters import Parameters
from tasks.records.schema import SCHEMA_VERSION


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone; use a name such as Europe/Berlin or UTC")
    return name


def _number_or_share(text: str) -> str:
    if not re.fullmatch(r"(\d+|\d+(\.\d+)?%)?", text):
        raise ValueError("is neither a number of pairs, such as 12, nor a share of them, such as 5%")
    return text


class Options(BaseModel):
    """How a run is carried out; none of it changes the sound of a pair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shard_pairs: int = Field(8, ge=1, le=4_096, description="pairs that one task holds on one device")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto (every GPU, else the CPU), cpu, cuda or cuda:N"
    )
    threads: int = Field(0, ge=0, le=256, description="threads of torch on a CPU; 0 means one for each core")
    batch_mb: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="memory for one batch, MB; 0 means 4000 on a CPU, half of what is free on a GPU",
    )
    timeout_seconds: float = Field(
        600, ge=1, le=86_400, description="a worker that shows no progress for so long is replaced, seconds"
    )
    max_failures: Annotated[str, AfterValidator(_number_or_share)] = Field(
        "", description="stop when more pairs failed than N or P%; empty: never"
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "UTC", description="time zone in which a night is dated"
    )
    force: bool = Field(False, description="compute also what is done already")
    allow: tuple[str, ...] = Field((), description="further places that inputs may come from, as URIs")
    allow_defaults: bool = Field(
        True, description="inputs may come from the manifest's folder, the root and the working directory"
    )


class Job(BaseModel):
    """What a nightly run is asked to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifest: str = Field(
        "manifest.parquet", min_length=1, description="URI of the manifest; {night} is replaced by the date"
    )
    root: str = Field(
        "gramophone-data", min_length=1, description="URI under which results, audio and runs are written"
    )
    parameters: Parameters = Field(default_factory=Parameters, description="parameters of every pair")
    options: Options = Field(default_factory=Options, description="how the run is carried out")


class RunRecord(BaseModel):
    """runs/<run_id>/run.json: a run exists once this does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = SCHEMA_VERSION
    run_id: str
    parent_run_id: str | None = None
    root_run_id: str  # the run that began the family of reruns: itself, when it is no rerun
    night: str
    created_at: datetime
    manifest_uri: str
    manifest_sha256: str
    pairs: int
    skipped: int
    shards: int
    parameters: Parameters
    options: Options
    allowed: tuple[str, ...]  # resolved when the run was submitted
    code_version: str
    host: str


class Stop(StrEnum):
    """Why a run stopped."""

    FINISHED = "finished"
    CANCELLED = "cancelled"  # a person: Ctrl-C
    PREEMPTED = "preempted"  # the machine: SIGTERM
    MAX_FAILURES = "max_failures"
    STORAGE = "storage"


class EndRecord(BaseModel):
    """runs/<run_id>/end.json: the verdict, written once at the end."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    stop: Stop
    exit_code: Literal[0, 1, 3, 4, 130]
    message: str
    counts: dict[str, int]
    reasons: dict[str, int]
    ended_at: datetime


def new_run_id(now: datetime | None = None) -> str:
    """Sortable by time, to the millisecond: 20261124T023000123-7f3a."""
    now = now or datetime.now(UTC)
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{secrets.token_hex(2)}"


def night_of(moment: datetime, timezone: str) -> date:
    """The date of a run's scheduled start in `timezone`."""
    return moment.astimezone(ZoneInfo(timezone)).date()
