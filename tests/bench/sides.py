"""Our side of the comparison: the pipeline with the parameters' defaults, and its audio as a file holds it."""

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tasks.audio import decode, encode
from tasks.records.parameters import Parameters
from tasks.stylise.inputs import settings_of
from tasks.transfer.item import Item, Style
from tasks.transfer.limiter import at_loudness
from tasks.transfer.pipeline import Outcome, transfer
from tasks.transfer.quality import ratio
from tasks.transfer.settings import Settings
from tests.bench import kept, music


@dataclass(frozen=True)
class Ours:
    """What a run of ours gives; CPU seconds are of the process, all threads: transfer, write, read back."""

    audio: Tensor  # (samples,), as written and read back
    outcome: Outcome
    cpu: float
    wall: float


def settings(**changes: Any) -> Settings:
    """The defaults at the rate of the benchmark, and what is changed of them."""
    return replace(settings_of(Parameters(), music.SAMPLE_RATE), **changes)


def item(pair: music.Excerpts) -> Item:
    return Item(pair.content, (Style(pair.style),), kept.SEED)


def ours(pair: music.Excerpts, **changes: Any) -> Ours:
    """Restyle one pair on the CPU, write it and read it back. The excerpts are decoded and at working level already."""
    cpu, wall = time.process_time(), time.perf_counter()
    [outcome] = returned(transfer([item(pair)], settings(**changes), torch.device("cpu")))
    if outcome.waveform is None:
        raise SystemExit(f"our transfer of {pair.name} gave no audio: {outcome.stop_reason}")
    audio = brought_out(outcome.waveform)
    return Ours(audio, outcome, time.process_time() - cpu, time.perf_counter() - wall)


def written(waveform: Tensor) -> Tensor:
    """The waveform as FLAC holds it, at the level it had: what would clip is turned down for the file."""
    down = min(1.0, 0.9 / float(waveform.abs().max()))
    data = encode((waveform * down).numpy(), music.SAMPLE_RATE, "flac")
    seconds = len(waveform) / music.SAMPLE_RATE
    return torch.from_numpy(decode(data, sample_rate=music.SAMPLE_RATE, max_seconds=seconds + 1).samples) / down


def brought_out(waveform: Tensor) -> Tensor:
    """The waveform as a pair's file holds it, limiter and all, with the gain taken back."""
    defaults = Parameters()
    channels, gain_db = at_loudness(
        waveform[None], music.LEVEL_LUFS, music.SAMPLE_RATE, defaults.peak_limit_dbtp, defaults.limiter_db
    )
    return written(channels[0]) * ratio(-gain_db)


def returned(work: Generator[Any, Any, Any]) -> Any:
    """What a generator returns in the end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
