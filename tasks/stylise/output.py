"""From a waveform to a file and its figures."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch

from tasks import pictures
from tasks.audio import Tag, decode, encode
from tasks.records import schema
from tasks.stylise.inputs import Loaded, brought_to_working_level
from tasks.stylise.track import Piece, Track
from tasks.transfer import judge, quality
from tasks.transfer.image import spread
from tasks.transfer.item import Item
from tasks.transfer.limiter import at_loudness
from tasks.transfer.pipeline import STAGES, Outcome
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import REFERENCE_RATE

CPU = torch.device("cpu")
Losses = Callable[[torch.Tensor, Item, Settings], tuple[float, float]]
T = TypeVar("T")


@dataclass(frozen=True)
class Restyled:
    """The written audio of a pair and the columns that describe it."""

    data: bytes
    values: dict[str, Any]
    curves: dict[str, Any]


def write(track: Track, outcome: Outcome, run_id: str | None, device: torch.device | None = None) -> Restyled:
    """Bring the result to the content's loudness and image, guard its true peak, encode and measure what was written.

    The file is tagged with its pair and its run (None: of no run). `device` does all but encoding (None: the CPU).
    """
    clock = time.perf_counter()
    loaded = track.loaded
    params, rate = loaded.params, loaded.settings.sample_rate
    channels, gain_db = _on(device or CPU, partial(levelled, outcome, loaded))
    data = encode(channels.numpy(), rate, params.audio_format, Tag(loaded.pair.key(), run_id).text())
    written = _decoded(data, rate, channels.shape[-1])
    figures, powers = _on(device or CPU, partial(measured, track, written, gain_db))
    values: dict[str, Any] = {
        "status": "ok",
        "audio_sha256": hashlib.sha256(data).hexdigest(),
        "samples_sha256": hashlib.sha256(written.numpy().tobytes()).hexdigest(),
        "audio_bytes": len(data),
        "audio_rate": rate,
        "audio_channels": len(channels),
        "audio_frames": channels.shape[-1],
        "content_loss_start": outcome.losses_start[0],
        "style_loss_start": outcome.losses_start[1],
        "content_loss_spectrogram": outcome.losses_spectrogram[0],
        "style_loss_spectrogram": outcome.losses_spectrogram[1],
        "phase_convergence_db": outcome.phase_convergence_db,
        **figures,
        "content_loudness_lufs": loaded.content.lufs,
        "style_loudness_lufs": loaded.style_lufs,
        "gain_db": gain_db,
        "segments": len(track.pieces),
        "evaluations": outcome.evaluations,
        "stop_reason": outcome.stop_reason,
        "peak_device_mb": outcome.peak_device_mb,
        "seconds_read": loaded.seconds_read,
        **{f"seconds_{stage}": outcome.seconds.get(stage, 0.0) for stage in STAGES},
        "seconds_write": time.perf_counter() - clock,
    }
    values["seconds_total"] = sum(v for k, v in values.items() if k.startswith("seconds_"))
    drawn = dict(zip(schema.PICTURES, pictures.drawn(powers), strict=True))
    return Restyled(data, {k: _finite(v) for k, v in values.items()}, outcome.curves | drawn)


def _decoded(data: bytes, rate: int, frames: int) -> torch.Tensor:
    """What was written, (channels, samples), at exactly the content's length (lossy formats pad)."""
    clip = decode(data, sample_rate=rate, mix=False, max_seconds=math.inf, allow_silence=True)
    samples = torch.from_numpy(clip.samples)
    return torch.nn.functional.pad(samples, (0, frames - samples.shape[-1]))


def _on(device: torch.device, work: Callable[[torch.device], T]) -> T:
    """What a device gives; one whose memory is taken leaves it to the CPU."""
    try:
        return work(device)
    except RuntimeError:  # out of memory has more than one name there
        if device.type == "cpu":
            raise
    torch.cuda.empty_cache()  # not in the handler: its traceback holds what the device has made so far
    return work(CPU)


# --- on a device ----------------------------------------------------------------------------------


def levelled(outcome: Outcome, loaded: Loaded, device: torch.device) -> tuple[torch.Tensor, float]:
    """The result as it is to be encoded, (channels, samples), in the CPU's memory, and the gain that it got, dB."""
    params, rate = loaded.params, loaded.settings.sample_rate
    assert outcome.waveform is not None
    channels = _in_image(outcome.waveform.to(device), loaded)
    # An untouched content keeps its peaks.
    most_db = params.limiter_db if params.strength else 0.0
    channels, gain_db = at_loudness(channels, loaded.content.lufs, rate, params.peak_limit_dbtp, most_db)
    return channels.cpu(), gain_db


def measured(
    track: Track, written: torch.Tensor, gain_db: float, device: torch.device
) -> tuple[dict[str, float], list[torch.Tensor]]:
    """Figures of what was written, (channels, samples), and the spectrograms of content, first style and result.

    Losses compare at working level: the gain is taken back before they are measured. On a CPU they are two thirds of
    what it takes to write a pair.
    """
    loaded, rate = track.loaded, track.loaded.settings.sample_rate
    written = written.to(device)
    mono = written.mean(0)
    level, content = mono * quality.ratio(-gain_db), loaded.content.samples.to(device)
    styles = [style.samples.to(device) for style in loaded.styles]
    content_loss, style_loss = _mean_losses(track, level, content, judge.relative_losses)
    content_heldout, style_heldout = _mean_losses(track, level, content, judge.heldout_losses)
    lufs = quality.loudness_lufs(mono, rate)
    figures = {
        "content_loss": content_loss,
        "style_loss": style_loss,
        "content_loss_heldout": content_heldout,
        "style_loss_heldout": style_heldout,
        **_heard(level, content, styles, rate),
        "silence_share": quality.silence_share(mono, rate),
        "loudness_lufs": lufs,
        "peak_dbtp": quality.true_peak_dbtp(written),
    }
    # On one scale: all three about equally loud.
    sounds = (content, styles[0], brought_to_working_level(mono, lufs, rate))
    return figures, [pictures.spectrogram(sound, rate).cpu() for sound in sounds]


def _in_image(waveform: torch.Tensor, loaded: Loaded) -> torch.Tensor:
    """The mono result as many channels as the content has, where they lay. Shape: (samples,) -> (channels, samples)."""
    channels, settings = loaded.content.channels.to(waveform.device), loaded.settings
    if len(channels) == 1:
        return waveform[None]
    # Half the window: an image moves faster than a timbre (measured in tasks/transfer/image.py).
    return spread(waveform, channels, settings.n_fft // 2, settings.hop_length // 2)


def _mean_losses(track: Track, level: torch.Tensor, content: torch.Tensor, losses: Losses) -> tuple[float, float]:
    """(content, style) loss of a mono waveform, both at working level: the mean over its segments by their shares."""
    pieces = [piece for piece in track.pieces if not piece.silent] or list(track.pieces)

    def of(piece: Piece) -> tuple[float, float]:
        return losses(piece.of(level), replace(piece.item, content=piece.of(content)), track.loaded.settings)

    found = torch.tensor([of(piece) for piece in pieces], dtype=torch.float64)
    shares = torch.tensor([piece.share for piece in pieces], dtype=torch.float64)
    content_loss, style_loss = (shares @ found / shares.sum()).tolist()
    return content_loss, style_loss


def _heard(level: torch.Tensor, content: torch.Tensor, styles: Sequence[torch.Tensor], rate: int) -> dict[str, float]:
    """How a mono waveform compares with its content and its styles by ear, all at working level."""
    level, content, *styles = (sound * (rate / REFERENCE_RATE) for sound in (level, content, *styles))
    ours, theirs = quality.heard(level, rate), quality.heard(content, rate)
    return {
        "chroma_similarity": quality.chroma_similarity(ours, theirs),
        "onset_correlation": quality.onset_correlation(ours, theirs),
        "timbre_distance": min(quality.timbre_distance(ours, quality.heard(style, rate)) for style in styles),
        "style_copy": max(quality.style_copy(level, style, rate) for style in styles),
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
