"""A training: what was asked (training.json) and how it ended (end.json)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.records.form import Form
from tasks.records.parameters import Parameters
from tasks.records.run import Options
from tasks.records.schema import SCHEMA_VERSION

CHECKPOINT, CURVES = "checkpoint.safetensors", "curves.parquet"
"""What lies beside a training's records."""


class TrainingOptions(Form):
    """How a network is trained. What it is trained for is in the parameters."""

    name: str = Field(
        "default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="of the network, among those of its style"
    )
    budget_seconds: float = Field(
        1_200, ge=0, le=1_000_000, description="longest training, all processes together, seconds; 0: none"
    )
    budget_steps: int = Field(100_000, ge=1, le=100_000_000, description="most steps")
    learning_rate: float = Field(0.002, gt=0, le=1, description="of Adam, after the first 50 steps")
    network_width: int = Field(256, ge=8, le=4_096, description="channels of the bottleneck over frequency")
    network_blocks: int = Field(4, ge=1, le=64, description="residual blocks")
    crop_frames: int = Field(
        128, ge=16, le=4_096, description="length of an excerpt that is trained on, frames of the spectrogram"
    )
    batch_items: int = Field(4, ge=1, le=1_024, description="excerpts of one step")
    every_steps: int = Field(
        100, ge=1, le=1_000_000, description="validate, and write a checkpoint, after so many steps"
    )
    patience: int = Field(10, ge=1, le=10_000, description="end after so many validations that are no better")
    augment: bool = Field(True, description="excerpts that differ in level, pitch, tempo and noise, with masks")
    source_seconds_max: float = Field(
        60, ge=2, le=3_600, description="of a longer source so much is used, from its middle, seconds"
    )


class TrainingJob(Form):
    """What a training is asked to do."""

    style: str = Field(min_length=1, description="URI of the style")
    corpus: str = Field(min_length=1, description="URI of a manifest, whose contents are used, or of a folder of audio")
    root: str = Field("gramophone-data", min_length=1, description="URI under which networks and trainings are written")
    parameters: Parameters = Field(default_factory=Parameters, description="what the network is trained for")
    training: TrainingOptions = Field(default_factory=TrainingOptions, description="how it is trained")
    options: Options = Field(default_factory=Options, description="device, threads, and where inputs may come from")


class ResumeJob(Form):
    """Which training goes on."""

    root: str = Field("gramophone-data", min_length=1, description="URI under which the training was begun")
    run_id: str = Field("", description="the training; empty: the latest that has no end")


class TrainedOn(BaseModel):
    """One file of a corpus, and the names that it went by."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: str
    uris: tuple[str, ...]


class TrainingRecord(BaseModel):
    """training/<run_id>/training.json: a training exists once this does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = SCHEMA_VERSION
    run_id: str
    created_at: datetime
    job: TrainingJob
    style_sha256: str
    corpus_sha256: str
    sources: tuple[TrainedOn, ...] = ()
    allowed: tuple[str, ...]
    code_version: str
    host: str


class TrainingEnd(BaseModel):
    """training/<run_id>/end.json: what came of it, written once at the end."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    why: Literal["steps", "seconds", "early"]
    message: str
    network_uri: str
    network_sha256: str
    curves_uri: str
    steps: int
    best_step: int
    seconds: float
    training_total: float
    training_style: float
    validation_total: float | None
    validation_style: float | None
    validation_refusal: str
    untouched_style: float | None  # of the validation sources as they are
    ended_at: datetime
