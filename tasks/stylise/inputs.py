"""From URIs to sounds: read, decode, bring to working level."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import torch

from tasks.audio import Clip
from tasks.decoding import DecodePool
from tasks.records.pair import Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError
from tasks.roots import Roots
from tasks.store import open_store
from tasks.transfer import quality
from tasks.transfer.buckets import minimum_samples
from tasks.transfer.pipeline import Item
from tasks.transfer.settings import Settings

T = TypeVar("T")

WORKING_LUFS = -16.0
"""Both inputs are brought to this loudness: log1p is not blind to level, and a quiet file should sound the same."""


@dataclass(frozen=True)
class Sound:
    """A decoded input at working level."""

    samples: torch.Tensor  # (samples,) float32 at the pair's sample rate
    lufs: float  # of the input as it came


@dataclass(frozen=True)
class Loaded:
    """A pair whose inputs are read: digests known, sounds at working level."""

    pair: Pair
    params: Parameters
    settings: Settings
    content: Sound
    style: Sound
    started_at: datetime
    seconds_read: float

    @property
    def item(self) -> Item:
        return Item(self.content.samples, self.style.samples, self.params.seed)

    @property
    def lengths(self) -> tuple[int, int]:
        return len(self.content.samples), len(self.style.samples)


def settings_of(params: Parameters) -> Settings:
    return Settings(**{f.name: getattr(params, f.name) for f in fields(Settings)})


def decode_options(given: Input, params: Parameters) -> dict[str, Any]:
    return {
        "sample_rate": params.sample_rate,
        "start": given.start,
        "seconds": given.seconds,
        "max_seconds": params.max_seconds,
        "min_samples": minimum_samples(settings_of(params)),
    }


def sound_of(clip: Clip) -> Sound:
    """A clip at working level (its own where it is too quiet for a loudness)."""
    samples = torch.from_numpy(clip.samples)
    lufs = quality.loudness_lufs(samples, clip.sample_rate)
    return Sound(samples * ratio(WORKING_LUFS - lufs) if math.isfinite(lufs) else samples, lufs)


def load(pair: Pair, roots: Roots, pool: DecodePool) -> Loaded:
    """Read and decode the inputs of a pair. Raises PairError, naming the input."""
    assert pair.params is not None
    started_at, clock = datetime.now(UTC), time.perf_counter()
    sounds, inputs = {}, []
    for given in pair.inputs:
        blob = _told(f"{given.role}: ", partial(open_store(given.uri).read, given.uri, etag=given.etag, allowed=roots))
        decoding = partial(pool.decode, blob.data, **decode_options(given, pair.params))
        clip = _told(f"{given.role} {given.uri} ", decoding)
        inputs.append(replace(given, etag=blob.etag, sha256=blob.sha256))
        sounds[given.role] = sound_of(clip)
    return Loaded(
        pair=replace(pair, inputs=tuple(inputs)),
        params=pair.params,
        settings=settings_of(pair.params),
        content=sounds["content"],
        style=sounds["style"],
        started_at=started_at,
        seconds_read=time.perf_counter() - clock,
    )


def _told(where: str, work: Callable[[], T]) -> T:
    """What `work` gives; its PairError begins with where it came from."""
    try:
        return work()
    except PairError as error:
        raise PairError(error.reason, where + error.message) from error


def ratio(db: float) -> float:
    """Decibels as a factor of amplitude."""
    return float(10.0 ** (db / 20.0))
