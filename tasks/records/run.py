"""A run: what was asked (run.json) and how it ended (end.json)."""

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.records.form import Form
from tasks.records.parameters import Parameters
from tasks.records.schema import SCHEMA_VERSION
from tasks.records.texts import Address, Date, Duration, NumberOrShare, RayAddress, TimeOfDay, Timezone


class Options(Form):
    """How a run is carried out; none of it changes the sound of a pair."""

    shard_pairs: int = Field(8, ge=1, le=4_096, description="pairs that one task holds on one device")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto (every GPU, else the CPU), cpu, cuda or cuda:N"
    )
    threads: int = Field(0, ge=0, le=256, description="threads of a worker on a CPU; 0 means its share of the cores")
    workers_per_device: int = Field(
        0,
        ge=0,
        le=64,
        description="worker processes of a device, of which one reads and writes while another computes; "
        "0 means 2 on a GPU and 1 on a CPU",
    )
    batch_mb: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="memory for one batch, MB; 0 means 4000 on a CPU, half of what is free on a GPU",
    )
    timeout_seconds: float = Field(
        600, ge=1, le=86_400, description="a worker that shows no progress for so long is replaced, seconds"
    )
    max_input_mb: int = Field(2_000, ge=1, le=3_000, description="largest file that is read as an input, MB")
    max_channels: int = Field(8, ge=1, le=8, description="most channels that an input may have")
    max_manifest_mb: int = Field(
        2_000, ge=1, le=1_000_000, description="largest manifest, as it is stored and once it is decoded, MB"
    )
    max_rows: int = Field(1_000_000, ge=1, le=1_000_000_000, description="most rows of a manifest")
    max_cell_kb: int = Field(64, ge=1, le=1_000_000, description="longest text in a cell of a manifest, kB")
    max_failures: NumberOrShare = Field("", description="stop when more pairs failed than N or P%; empty: never")
    max_attempts: int = Field(
        3, ge=1, le=1_000, description="a pair that has failed so often in a run and its reruns is left alone by reruns"
    )
    timezone: Timezone = Field("UTC", description="time zone in which a night is dated and --until is meant")
    until: TimeOfDay = Field(
        "", description="no new shard after this time of day, HH:MM; what is left waits for a rerun; empty: go on"
    )
    force: bool = Field(False, description="compute also what is done already")
    allow: tuple[str, ...] = Field((), description="further places that inputs may come from, as URIs")
    allow_defaults: bool = Field(
        True, description="inputs may come from the manifest's folder, the root and the working directory"
    )

    engine: Literal["local", "ray"] = Field(
        "local", description="local: the devices of this machine; ray: those of a Ray cluster"
    )
    ray_address: RayAddress = Field(
        "",
        description="a Ray cluster that stands: host:port, ray://host:port, or auto (this machine's); empty: one is "
        "made for the run on this machine",
    )


class Connection(Form):
    """Where buckets are. Credentials are no setting: they come from the environment or the machine's role."""

    s3_endpoint: Address = Field("", description="address of the S3 server; empty: AWS")
    s3_region: str = Field(
        "", pattern=r"^[a-z0-9-]*$", description="region of the buckets; empty: as AWS is configured"
    )
    s3_timeout_seconds: float = Field(
        20,
        ge=1,
        le=600,
        description="a request to the S3 server that shows no progress for so long is sent again, seconds",
    )


class Job(Form):
    """What a nightly run is asked to do."""

    manifest: str = Field(
        "manifest.parquet", min_length=1, description="URI of the manifest; {night} is replaced by the date"
    )
    root: str = Field(
        "gramophone-data", min_length=1, description="URI under which results, audio and runs are written"
    )
    night: Date = Field("", description="date of the night, YYYY-MM-DD; empty: that of the scheduled start")
    wait: Duration = Field(
        "", description="how long to wait for a manifest that is not there yet: 90s, 30m, 2h; empty: not at all"
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
    closes_at: datetime | None = None  # no new shard from then on
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
    NO_WORKERS = "no_workers"
    UNTIL = "until"  # the time of day was reached after which no shard begins


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
