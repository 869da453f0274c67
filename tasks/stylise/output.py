"""From a waveform to a file and its figures."""

import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any

import torch

from tasks.audio import decode, encode
from tasks.records.parameters import Parameters
from tasks.stylise.inputs import Loaded, ratio
from tasks.transfer import quality
from tasks.transfer.pipeline import Outcome


@dataclass(frozen=True)
class Restyled:
    """The written audio of a pair and the columns that describe it."""

    data: bytes
    values: dict[str, Any]
    curves: dict[str, list[Any]]


def write(loaded: Loaded, outcome: Outcome) -> Restyled:
    """Bring the result to the content's loudness, guard its true peak, encode it, and measure what was written.

    Losses compare at working level: the gain, which is recorded, is taken back before they are measured.
    """
    clock = time.perf_counter()
    params, settings = loaded.params, loaded.settings
    assert outcome.waveform is not None
    waveform = outcome.waveform
    gain_db = _gain(waveform, loaded.content.lufs, params)
    data = encode((waveform * ratio(gain_db)).numpy(), params.sample_rate, params.audio_format)
    written = _decoded(data, params.sample_rate, len(waveform))
    level = written * ratio(-gain_db)
    content, style = loaded.content.samples, loaded.style.samples
    content_loss, style_loss = quality.relative_losses(level, content, style, settings, params.seed)
    content_heldout, style_heldout = quality.heldout_losses(level, content, style, settings, params.seed + 1)
    rate = params.sample_rate
    values: dict[str, Any] = {
        "status": "ok",
        "audio_sha256": hashlib.sha256(data).hexdigest(),
        "audio_bytes": len(data),
        "audio_rate": rate,
        "audio_channels": 1,
        "audio_frames": len(waveform),
        "content_loss": content_loss,
        "style_loss": style_loss,
        "content_loss_start": outcome.losses_start[0],
        "style_loss_start": outcome.losses_start[1],
        "content_loss_spectrogram": outcome.losses_spectrogram[0],
        "style_loss_spectrogram": outcome.losses_spectrogram[1],
        "content_loss_heldout": content_heldout,
        "style_loss_heldout": style_heldout,
        "phase_convergence_db": outcome.phase_convergence_db,
        "chroma_similarity": quality.chroma_similarity(level, content, rate),
        "onset_correlation": quality.onset_correlation(level, content, rate),
        "timbre_distance": quality.timbre_distance(level, style, rate),
        "style_copy": quality.style_copy(level, style, rate),
        "silence_share": quality.silence_share(written, rate),
        "loudness_lufs": quality.loudness_lufs(written, rate),
        "gain_db": gain_db,
        "peak_dbtp": quality.true_peak_dbtp(written),
        "evaluations": outcome.evaluations,
        "stop_reason": outcome.stop_reason,
        "peak_device_mb": outcome.peak_device_mb,
        "seconds_read": loaded.seconds_read,
        **{f"seconds_{stage}": outcome.seconds.get(stage, 0.0) for stage in ("spectrogram", "phase", "refine")},
        "seconds_write": time.perf_counter() - clock,
    }
    values["seconds_total"] = sum(v for k, v in values.items() if k.startswith("seconds_"))
    return Restyled(data, {k: _finite(v) for k, v in values.items()}, outcome.curves)


def _gain(waveform: torch.Tensor, lufs: float, params: Parameters) -> float:
    """Decibels that bring the waveform to `lufs`, less where its true peak would pass the limit."""
    own = quality.loudness_lufs(waveform, params.sample_rate)
    wanted = lufs - own if math.isfinite(own) and math.isfinite(lufs) else 0.0
    return min(wanted, params.peak_limit_dbtp - quality.true_peak_dbtp(waveform))


def _decoded(data: bytes, rate: int, frames: int) -> torch.Tensor:
    """What was written, at exactly the content's length (lossy formats pad)."""
    samples = torch.from_numpy(decode(data, sample_rate=rate, max_seconds=math.inf, allow_silence=True).samples)
    return torch.nn.functional.pad(samples, (0, frames - len(samples)))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
