"""Variety from few sources: excerpts that differ in place, level, pitch, tempo and noise, and spectra with holes.

Everything is drawn from the generator that is given, so the draws of a step are those of its seed, whatever came
before. For training alone: what is validated with stays as it is.
"""

from dataclasses import dataclass

import torch
import torchaudio.functional as F
from torch import Tensor

PITCHES = ((1, 1), (16, 15), (15, 16), (9, 8), (8, 9), (6, 5), (5, 6))
"""Ratios of small numbers, up to three semitones: a resampler's filter is as long as they are large."""
WINDOW = 1_024  # samples, of the phase vocoder
HOP = 256


@dataclass(frozen=True)
class Augmentation:
    """How far each draw goes; 0 leaves it out."""

    gain_db: float = 6.0
    turned: float = 0.5  # share of excerpts whose pitch and tempo change
    tempo: float = 0.15  # share by which it rises or falls
    noise_db: float = 30.0  # lowest ratio of signal to noise; a quarter of excerpts have some
    masks: float = 0.25  # share of spectra with a hole
    mask_frames: int = 16
    mask_bins: float = 0.08  # share of the bins


NOTHING = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0)


def excerpt(source: Tensor, samples: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """A piece of a source, changed. Shape: (samples of the source,) -> (samples,); a short source goes round."""
    draws = torch.rand(7, generator=generator).tolist()
    turned = draws[0] < how.turned
    speed = 1 + how.tempo * (2 * draws[1] - 1) if turned else 1.0
    up, down = PITCHES[int(draws[2] * len(PITCHES))] if turned else (1, 1)
    needed = round(samples * speed) + (2 * WINDOW if turned else 0)
    source = source.repeat(-(-needed // len(source))) if len(source) < needed else source
    start = int(draws[3] * (len(source) - needed + 1))
    piece = source[start : start + needed]
    if turned:
        piece = _turned(piece, speed, up, down)[:samples]
        piece = torch.nn.functional.pad(piece, (0, samples - len(piece)))
    if how.noise_db and draws[4] < 0.25:
        noise = torch.randn(samples, generator=generator)
        piece = F.add_noise(piece, noise, torch.tensor(how.noise_db + 30 * draws[5]))
    if how.gain_db:
        piece = F.gain(piece, how.gain_db * (2 * draws[6] - 1))
    return piece


def _turned(piece: Tensor, speed: float, up: int, down: int) -> Tensor:
    """Pitch times up / down, tempo times speed: a phase vocoder for what the resampling does not do by itself."""
    window = torch.hann_window(WINDOW)
    spectra = torch.stft(piece, WINDOW, HOP, window=window, return_complex=True)
    advance = torch.linspace(0, torch.pi * HOP, WINDOW // 2 + 1)[:, None]
    stretched = F.phase_vocoder(spectra, speed * down / up, advance)
    found: Tensor = F.resample(torch.istft(stretched, WINDOW, HOP, window=window), up, down)
    return found


def masked(x: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Spectra, some with a stretch of time and a band of frequencies silenced. Shape: (batch, frames, bins)."""
    if not how.masks:
        return x
    x = x.clone()
    for spectrum in x:
        draws = torch.rand(5, generator=generator).tolist()
        if draws[0] < how.masks:
            frames, bins = spectrum.shape
            wide, high = int(how.mask_frames * draws[1]), int(how.mask_bins * bins * draws[2])
            first, lowest = int((frames - wide) * draws[3]), int((bins - high) * draws[4])
            spectrum[first : first + wide] = 0
            spectrum[:, lowest : lowest + high] = 0
    return x
