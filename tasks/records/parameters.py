"""The parameters of a pair: written once, read by flags, environment, toml, the Prefect form and the hash."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from tasks.records.form import Form
from tasks.roots import bare
from tasks.transfer.settings import check_bank

ALGORITHM_VERSION = 4
"""Part of every pair_key: raised when the same inputs and parameters would give another output."""


def _as_tuple(value: Any) -> Any:
    """JSON and forms know lists only."""
    return tuple(value) if isinstance(value, list) else value


def _sorted_unique(widths: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(widths)) != len(widths):
        raise ValueError("names a width twice")
    return tuple(sorted(widths))


def _zero_or(least: int) -> AfterValidator:
    """0 leaves it to the content; anything else has a bound."""

    def check(value: int) -> int:
        if 0 < value < least:
            raise ValueError(f"should be 0 or greater than or equal to {least}")
        return value

    return AfterValidator(check)


def _without_password(uri: str) -> str:
    if bare(uri) != uri:
        raise ValueError("holds a user, a password or a signature; credentials come from the environment")
    return uri


Width = Annotated[int, Field(ge=1, le=256)]


class Parameters(Form):
    """What determines the sound of a pair beside its inputs. Units are in the descriptions."""

    model_config = ConfigDict(strict=True)

    method: Literal["optimise", "feedforward"] = Field(
        "optimise", description="optimise each pair, or feedforward: one pass through the network of its style"
    )
    network: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$",
        description="feedforward: name of the style's network; empty: the newest",
    )
    strength: float = Field(
        1.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="0: the content untouched, 1: as close to the style as it goes",
    )
    sample_rate: Annotated[int, _zero_or(8_000)] = Field(
        0, ge=0, le=192_000, description="working and output rate, Hz; 0: the content's own"
    )
    n_fft: Annotated[int, _zero_or(256)] = Field(
        0, ge=0, le=32_768, multiple_of=2, description="window of the spectrogram, samples; 0: about 93 ms"
    )
    hop_length: Annotated[int, _zero_or(64)] = Field(
        0, ge=0, le=8_192, description="step of the spectrogram, samples, n_fft divided by 4 or more; 0: by 4"
    )
    features: Literal["kernel", "conv", "vgg"] = Field(
        "kernel",
        description="kernel: infinitely many filters, in closed form; conv: the published finite bank; "
        "vgg: the picture recipe, the spectrogram as an image",
    )
    widths: Annotated[
        tuple[Width, ...], Field(min_length=1, max_length=8), BeforeValidator(_as_tuple), AfterValidator(_sorted_unique)
    ] = Field((2, 8, 32), description="lengths of the patches that a feature sees, frames (conv takes one)")
    filters: int = Field(4_096, ge=16, le=16_384, description="filters of the conv bank")
    vgg_weights: Annotated[str, AfterValidator(_without_password)] = Field(
        "", description="URI of a safetensors file with VGG-19's convolutions; empty: random ones, for comparison only"
    )
    vgg_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="digest that file must have; empty: any")
    rhythm_weight: float = Field(
        0.0, ge=0, le=1_000, allow_inf_nan=False, description="relative loss of the autocorrelation over time; 0: none"
    )
    content_weight: float = Field(
        0.01,
        ge=0,
        le=1_000,
        allow_inf_nan=False,
        description="relative content loss against relative style loss; 0: texture alone",
    )
    start: Literal["content", "noise", "style"] = Field("content", description="where the spectrogram starts")
    style_seconds_max: float = Field(
        30.0, ge=2, le=600, description="a longer style is represented by so much of it, drawn by the seed, seconds"
    )
    optimiser: Literal["lbfgs", "adam"] = Field("lbfgs", description="of the spectrogram and refine stages")
    spectrogram_evaluations: int = Field(
        48, ge=0, le=10_000, description="budget of the spectrogram stage, evaluations; 0 leaves the stage out"
    )
    phase_method: Literal["raar", "fast_griffinlim", "griffinlim"] = Field("raar", description="phase iterations")
    phase_start: Literal["content", "style", "random", "estimated", "tree"] = Field(
        "estimated", description="phase before the first iteration; estimated, tree: from the magnitude itself"
    )
    phase_iterations: int = Field(32, ge=0, le=10_000, description="iterations of the phase stage")
    refine_evaluations: int = Field(
        160,
        ge=0,
        le=10_000,
        description="budget of the refine stage, evaluations, half on frames half a hop late; 0 leaves the stage out",
    )
    feedforward_phase_iterations: int = Field(
        0, ge=0, le=10_000, description="iterations of the phase stage after a network's pass; 0: the content's phase"
    )
    feedforward_refine_evaluations: int = Field(
        0, ge=0, le=10_000, description="budget of the refine stage after a network's pass, evaluations"
    )
    refine_seconds: float = Field(
        0.0, ge=0, le=86_400, description="budget of the refine stage, seconds; 0: none (with one, speed decides)"
    )
    tolerance: float = Field(
        0.01,
        ge=0,
        le=0.5,
        allow_inf_nan=False,
        description="a stage, or half of refine, ends when six steps lower its loss by no more than this share (lbfgs)",
    )
    segment_seconds: float = Field(
        10.0, ge=4, le=60, description="longer tracks are cut into overlapping segments of about so much, seconds"
    )
    overlap_seconds: float = Field(
        1.0, ge=0.1, le=1, description="what neighbouring segments share, seconds; more than the widest patch lasts"
    )
    peak_limit_dbtp: float = Field(-1.0, ge=-20, le=0, description="highest true peak of the output, dBTP")
    limiter_db: float = Field(
        6.0, ge=0, le=24, description="most that single peaks are turned down before the whole is, dB; 0: none"
    )
    max_seconds: float = Field(1_200.0, gt=0, le=36_000, description="longest input that is accepted, seconds")
    audio_format: Literal["flac", "wav", "ogg", "mp3"] = Field("flac", description="container of the output")
    seed: int = Field(0, ge=0, lt=2**63, description="of every random draw of the pair")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hop_length and not self.n_fft:
            raise ValueError("hop_length needs an n_fft; leave both at 0, or set both")
        if self.hop_length and (self.n_fft % self.hop_length or self.hop_length * 4 > self.n_fft):
            raise ValueError(f"hop_length {self.hop_length} is not a quarter, a fifth, ... of n_fft {self.n_fft}")
        if self.n_fft and not self.hop_length and self.n_fft % 4:
            raise ValueError(f"n_fft {self.n_fft} has no quarter; set hop_length as well")
        if self.segment_seconds < 5 * self.overlap_seconds:
            raise ValueError(f"overlap_seconds {self.overlap_seconds:g} is more than a fifth of segment_seconds")
        if self.features == "conv" and len(self.widths) != 1:
            raise ValueError("features 'conv' takes one width: set widths to (11,) as published")
        if self.features == "conv" and self.n_fft:  # left to the content's rate, it is checked when that is known
            check_bank(self.filters, self.widths[0], self.n_fft)
        if self.vgg_sha256 and not self.vgg_weights:
            raise ValueError("vgg_sha256 is the digest of a file: name it in vgg_weights")
        return self

    @property
    def weights_uri(self) -> str:
        """Where the trained weights lie that are read; empty: none are."""
        return self.vgg_weights if self.features == "vgg" else ""

    @property
    def warning(self) -> str:
        """What a person should know before anything is computed; empty: nothing."""
        if self.features != "vgg" or self.vgg_weights:
            return ""
        return (
            "features vgg without vgg_weights: the network is drawn at random, which is good for comparisons only; "
            "manifests/README.md says how to make a file of trained weights."
        )

    def canonical_json(self) -> str:
        return canonical_json(self.model_dump(mode="json"))

    def sha256(self) -> str:
        return sha256_of(self.canonical_json())


def canonical_json(value: Any) -> str:
    """One spelling for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
