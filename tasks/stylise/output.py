"""From a waveform to a file and its figures."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from tasks import pictures
from tasks.audio import Tag, decode, encode
from tasks.stylise.inputs import Loaded, at_working_level
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


@dataclass(frozen=True)
class Restyled:
    """The written audio of a pair and the columns that describe it."""

    data: bytes
    values: dict[str, Any]
    curves: dict[str, Any]


def write(track: Track, outcome: Outcome, run_id: str | None, device: torch.device | None = None) -> Restyled:
    """Bring the result to the content's loudness and image, guard its true peak, encode and measure what was written.

    The file is tagged with its pair and its run (None: of no run). `device` computes the losses (None: the CPU).
    Losses compare at working level: the gain, which is recorded, is taken back before they are measured.
    """
    clock = time.perf_counter()
    loaded = track.loaded
    params, rate = loaded.params, loaded.settings.sample_rate
    assert outcome.waveform is not None
    channels = _in_image(outcome.waveform, loaded)
    # An untouched content keeps its peaks.
    most_db = params.limiter_db if params.strength else 0.0
    channels, gain_db = at_loudness(channels, loaded.content.lufs, rate, params.peak_limit_dbtp, most_db)
    data = encode(channels.numpy(), rate, params.audio_format, Tag(loaded.pair.key(), run_id).text())
    written = _decoded(data, rate, channels.shape[-1])
    mono = written.mean(0)
    (content_loss, style_loss), (content_heldout, style_heldout) = judged(
        track, mono * quality.ratio(-gain_db), device or CPU
    )
    values: dict[str, Any] = {
        "status": "ok",
        "audio_sha256": hashlib.sha256(data).hexdigest(),
        "samples_sha256": hashlib.sha256(written.numpy().tobytes()).hexdigest(),
        "audio_bytes": len(data),
        "audio_rate": rate,
        "audio_channels": len(channels),
        "audio_frames": channels.shape[-1],
        "content_loss": content_loss,
        "style_loss": style_loss,
        "content_loss_start": outcome.losses_start[0],
        "style_loss_start": outcome.losses_start[1],
        "content_loss_spectrogram": outcome.losses_spectrogram[0],
        "style_loss_spectrogram": outcome.losses_spectrogram[1],
        "content_loss_heldout": content_heldout,
        "style_loss_heldout": style_heldout,
        "phase_convergence_db": outcome.phase_convergence_db,
        **_heard(mono * quality.ratio(-gain_db), loaded),
        "silence_share": quality.silence_share(mono, rate),
        "loudness_lufs": quality.loudness_lufs(mono, rate),
        "content_loudness_lufs": loaded.content.lufs,
        "style_loudness_lufs": loaded.style_lufs,
        "gain_db": gain_db,
        "peak_dbtp": quality.true_peak_dbtp(written),
        "segments": len(track.pieces),
        "evaluations": outcome.evaluations,
        "stop_reason": outcome.stop_reason,
        "peak_device_mb": outcome.peak_device_mb,
        "seconds_read": loaded.seconds_read,
        **{f"seconds_{stage}": outcome.seconds.get(stage, 0.0) for stage in STAGES},
        "seconds_write": time.perf_counter() - clock,
    }
    values["seconds_total"] = sum(v for k, v in values.items() if k.startswith("seconds_"))
    return Restyled(data, {k: _finite(v) for k, v in values.items()}, outcome.curves | _pictures(mono, loaded))


def _pictures(mono: torch.Tensor, loaded: Loaded) -> dict[str, Any]:
    """Spectrograms of content, first style and result, on one scale: all three about equally loud."""
    rate = loaded.settings.sample_rate
    result, _ = at_working_level(mono, rate)
    sounds = (loaded.content.samples, loaded.styles[0].samples, result)
    drawn = pictures.drawn([pictures.spectrogram(sound, rate) for sound in sounds])
    return dict(zip(("picture_content", "picture_style", "picture_result"), drawn, strict=True))


def _in_image(waveform: torch.Tensor, loaded: Loaded) -> torch.Tensor:
    """The mono result as many channels as the content has, where they lay. Shape: (samples,) -> (channels, samples)."""
    channels, settings = loaded.content.channels, loaded.settings
    if len(channels) == 1:
        return waveform[None]
    # Half the window: an image moves faster than a timbre (measured in tasks/transfer/image.py).
    return spread(waveform, channels, settings.n_fft // 2, settings.hop_length // 2)


def _decoded(data: bytes, rate: int, frames: int) -> torch.Tensor:
    """What was written, (channels, samples), at exactly the content's length (lossy formats pad)."""
    clip = decode(data, sample_rate=rate, mix=False, max_seconds=math.inf, allow_silence=True)
    samples = torch.from_numpy(clip.samples)
    return torch.nn.functional.pad(samples, (0, frames - samples.shape[-1]))


def judged(track: Track, level: torch.Tensor, device: torch.device) -> tuple[tuple[float, float], tuple[float, float]]:
    """(content, style) loss of a mono waveform at working level, by its own features and by held-out filters.

    On a CPU two thirds of what it takes to write a pair. A device whose memory is taken leaves them to the CPU.
    """
    try:
        own, heldout = (
            _mean_losses(track, level, each, device) for each in (judge.relative_losses, judge.heldout_losses)
        )
    except RuntimeError:  # out of memory has more than one name there
        if device.type == "cpu":
            raise
        return judged(track, level, CPU)
    return own, heldout


def _mean_losses(track: Track, level: torch.Tensor, losses: Losses, device: torch.device) -> tuple[float, float]:
    """The mean over its segments by their shares."""
    pieces = [piece for piece in track.pieces if not piece.silent] or list(track.pieces)

    def of(piece: Piece) -> tuple[float, float]:
        item = replace(piece.item, content=piece.content.to(device))
        return losses(piece.of(level).to(device), item, track.loaded.settings)

    found = torch.tensor([of(piece) for piece in pieces], dtype=torch.float64)
    shares = torch.tensor([piece.share for piece in pieces], dtype=torch.float64)
    content, style = (shares @ found / shares.sum()).tolist()
    return content, style


def _heard(level: torch.Tensor, loaded: Loaded) -> dict[str, float]:
    """How a mono waveform at working level compares with its content and its styles by ear."""
    rate = loaded.settings.sample_rate
    level, content = (sound * (rate / REFERENCE_RATE) for sound in (level, loaded.content.samples))
    styles = [style.samples * (rate / REFERENCE_RATE) for style in loaded.styles]
    return {
        "chroma_similarity": quality.chroma_similarity(level, content, rate),
        "onset_correlation": quality.onset_correlation(level, content, rate),
        "timbre_distance": min(quality.timbre_distance(level, style, rate) for style in styles),
        "style_copy": max(quality.style_copy(level, style, rate) for style in styles),
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
