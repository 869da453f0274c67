"""Figures of one finished waveform. Signals are mono, (samples,) float32, on any one device; rates in Hz.

Of any length: block by block.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
import torchaudio
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer.segments import excerpt
from tasks.transfer.spectrogram import frames_of, hann, product

SILENT = 1e-3  # of full scale, -60 dB
N_FFT, RATE = 2048, 22_050  # 93 ms; at other rates the power of two that lasts about as long
MELS = 64
BLOCK_FRAMES = 1024
BLOCK_SAMPLES = 1 << 16
FILTERED_STEPS, FILTERED_PARTS = 32, 2  # the loudness is filtered in parts of so many steps of 100 ms; so many at once
SNIPPETS = 64
HEADROOM = 0.25
FLOOR_LUFS = -70.0  # the absolute gate of ITU-R BS.1770


# --- level ----------------------------------------------------------------------------------------


def loudness_lufs(signal: Tensor, sample_rate: int) -> float:
    """Integrated loudness, LUFS (ITU-R BS.1770-4); -inf for silence. A clip below 0.4 s is one block, repeated."""
    shortest = math.ceil(0.4 * sample_rate) + 1
    if len(signal) < shortest:
        signal = signal.repeat(math.ceil(shortest / max(1, len(signal))))[:shortest]
    power = _gating_blocks(signal, sample_rate)
    heard = power[_lufs(power) > FLOOR_LUFS]
    return float(_lufs(heard[_lufs(heard) > _lufs(heard.mean()) - 10].mean())) if len(heard) else -math.inf


def _lufs(power: Tensor) -> Tensor:
    return 10 * torch.log10(power) - 0.691


def _gating_blocks(signal: Tensor, sample_rate: int) -> Tensor:
    """Mean square of the K-weighted signal in 400 ms from every 100 ms on, (blocks,), float64.

    The filters go by FFT, a few seconds at a time: half of what recursive ones take on a CPU, and a GPU's work as well.
    The tenth of a second in front of each part fills them.
    """
    size = round(0.4 * sample_rate)
    step = round(size / 4)
    blocks, n = (len(signal) - size) // step + 1, 1 << (FILTERED_STEPS * step - 1).bit_length()
    at_once, response = n // step - 6, _k_weighting(sample_rate, step, n).to(signal.device)
    length, hop, found = at_once * step + size, at_once * step, []
    for begin in range(0, blocks * step, FILTERED_PARTS * hop):
        parts = min(FILTERED_PARTS, -(-(blocks * step - begin) // hop))
        part = excerpt(signal, begin - step, begin - step + (parts - 1) * hop + length).unfold(0, length, hop)
        weighted = torch.fft.irfft(product(torch.fft.rfft(part, n), response), n)[:, step:length]
        energy = pad(weighted.double().square().cumsum(1), (1, 0))
        found.append((energy[:, size::step] - energy[:, :-size:step]).flatten())
    return torch.cat(found)[:blocks] / size


@lru_cache(maxsize=4)
def _k_weighting(sample_rate: int, taps: int, n: int) -> Tensor:
    """Frequency response of the two filters of BS.1770, for an FFT of n samples: `taps` of what a click becomes.

    A tenth of a second: after it they have forgotten a click to 1e-9 of it.
    """
    click = torch.zeros(taps, dtype=torch.float64)
    click[0] = HEADROOM  # the filters clip at full scale what they boost
    click = torchaudio.functional.treble_biquad(click, sample_rate, 4.0, 1500.0, math.sqrt(0.5))
    click = torchaudio.functional.highpass_biquad(click, sample_rate, 38.0, 0.5) / HEADROOM
    response: Tensor = torch.fft.rfft(click, n).to(torch.complex64)
    return response


def ratio(db: float) -> float:
    """Decibels as a factor of amplitude."""
    return float(10.0 ** (db / 20.0))


def decibels(peaks: Tensor) -> float:
    """The largest of some peaks, dB of full scale; -inf for silence."""
    peak = float(peaks.max())
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def true_peak_dbtp(signal: Tensor) -> float:
    """Peak of the signal between its samples too, dBTP. Shape: (..., samples): the largest of all channels."""
    return decibels(true_peaks(signal.reshape(-1, signal.shape[-1]), BLOCK_SAMPLES))


def true_peaks(signal: Tensor, step: int) -> Tensor:
    """Peak of each `step` samples, and between them: four times oversampled (ITU-R BS.1770-4, annex 2).

    Shape: (channels, samples) -> (steps,), the last of which may be shorter. `step` divides BLOCK_SAMPLES.
    """
    reach, found = 32, []  # the filter looks 25 samples to both sides
    for start in range(0, signal.shape[-1], BLOCK_SAMPLES):
        stop = min(start + BLOCK_SAMPLES, signal.shape[-1])
        before = min(start, reach)
        block = signal[:, start - before : stop + reach]
        over = torchaudio.functional.resample(block, 1, 4, lowpass_filter_width=24)
        inside = over[:, 4 * before : 4 * (before + stop - start)].abs().amax(0).reshape(-1, 4).amax(1)
        peaks = torch.maximum(inside, block[:, before : before + stop - start].abs().amax(0))
        found.append(pad(peaks, (0, -len(peaks) % step)).reshape(-1, step).amax(1))
    return torch.cat(found)


def silence_share(signal: Tensor, sample_rate: int) -> float:
    """Share of 50 ms blocks whose peak is below -60 dB of full scale, 0 to 1."""
    block = max(1, sample_rate // 20)
    padded = pad(signal, (0, -len(signal) % block))
    return float((padded.reshape(-1, block).abs().amax(-1) < SILENT).float().mean())


# --- what is heard --------------------------------------------------------------------------------


class Heard(NamedTuple):
    """One signal as the figures below compare it, frame by frame."""

    chroma: Tensor  # (frames, 12): power by pitch class, compressed by a square root
    log_mel: Tensor  # (frames, MELS): log-magnitude by mel band


def heard(signal: Tensor, sample_rate: int) -> Heard:
    """Shape: (samples,). One spectrogram serves all figures."""
    classes, bank = _pitch_classes(sample_rate).to(signal), _mel_bank(sample_rate).to(signal)
    blocks = [((block @ classes).sqrt(), torch.log1p((block @ bank).sqrt())) for block in _power(signal, sample_rate)]
    chroma, log_mel = (torch.cat(found) for found in zip(*blocks, strict=True))
    return Heard(chroma, log_mel)


def chroma_similarity(signal: Heard, content: Heard) -> float:
    """Mean correlation of the chroma of both, frame by frame, weighted by the content's power; -1 to 1."""
    a, b = signal.chroma, content.chroma
    weight = b.sum(-1)
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    cosine = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-12)
    return float((cosine * weight).sum() / weight.sum().clamp_min(1e-12))


def onset_correlation(signal: Heard, content: Heard) -> float:
    """Correlation of the onset strength (rising log-mel energy) of both, -1 to 1."""
    a, b = (torch.relu(each.log_mel.diff(dim=0)).mean(-1) for each in (signal, content))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12))


def timbre_distance(signal: Heard, style: Heard) -> float:
    """Distance of mean and deviation of the log-mel spectrum, root mean square over bands, in nepers of magnitude."""
    a, b = signal.log_mel, style.log_mel
    moments = torch.cat([a.mean(0) - b.mean(0), a.std(0, correction=0) - b.std(0, correction=0)])
    return float(moments.pow(2).mean().sqrt())


def style_copy(signal: Tensor, style: Tensor, sample_rate: int) -> float:
    """Largest normalised cross-correlation of a half-second snippet of the signal with the style, 0 to 1.

    Snippets begin every quarter of a second, in a signal of more than 16 s at SNIPPETS even distances; one that is
    silent copies nothing. By FFT of blocks of the style (overlap-save).
    """
    size = min(sample_rate // 2, len(signal), len(style))
    snippets = torch.stack([signal[start : start + size] for start in _starts(len(signal), size)])
    n = 1 << (min(5 * size, len(style)) - 1).bit_length()
    spectra = _inverse_where_loud(snippets.norm(dim=-1, keepdim=True)) * torch.fft.rfft(snippets, n).conj()
    best = 0.0
    for start in range(0, len(style) - size + 1, n - size + 1):
        block = style[start : start + n]
        loudness = _inverse_where_loud(_local_norms(block, size))
        spectrum = torch.fft.rfft(block, n)
        for part in torch.split(spectra, 8):
            found = torch.fft.irfft(spectrum * part, n)[:, : len(loudness)]
            best = max(best, float((found.abs() * loudness).max()))
    return min(1.0, best)


def _starts(samples: int, size: int) -> list[int]:
    """Where snippets begin: half a snippet apart, or at SNIPPETS even distances where that were more."""
    starts = list(range(0, samples - size + 1, max(1, size // 2)))
    if len(starts) <= SNIPPETS:
        return starts
    return [round(k * (samples - size) / (SNIPPETS - 1)) for k in range(SNIPPETS)]


def _local_norms(signal: Tensor, size: int) -> Tensor:
    """Norm of the `size` samples from each place on. Shape: (samples,) -> (samples - size + 1,)."""
    energy = torch.cat([signal.new_zeros(1, dtype=torch.float64), signal.double().pow(2).cumsum(0)])
    return (energy[size:] - energy[:-size]).clamp_min(0).sqrt().to(signal.dtype)


def _inverse_where_loud(norm: Tensor) -> Tensor:
    """1 / norm, and 0 for what is silent."""
    return torch.where(norm > SILENT, 1 / norm.clamp_min(SILENT), 0)


def _n_fft(sample_rate: int) -> int:
    return 1 << max(1, round(math.log2(N_FFT * sample_rate / RATE)))


def _power(signal: Tensor, sample_rate: int) -> Iterator[Tensor]:
    """Power spectrogram in blocks (frames, bins), at the scale that it has at RATE."""
    n_fft = _n_fft(sample_rate)
    hop, scale = n_fft // 4, (N_FFT / n_fft) ** 2
    frames = frames_of(len(signal), hop)
    for first in range(0, frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, frames) - 1
        samples = excerpt(signal, first * hop - n_fft // 2, last * hop + n_fft // 2)
        windowed = samples.unfold(0, n_fft, hop) * hann(n_fft, signal.dtype, signal.device)
        yield scale * torch.fft.rfft(windowed).abs().pow(2)


@lru_cache(maxsize=4)
def _mel_bank(sample_rate: int) -> Tensor:
    """Triangular mel filters, (bins, bands)."""
    bins = _n_fft(sample_rate) // 2 + 1
    mels: Tensor = torchaudio.functional.melscale_fbanks(bins, 40.0, sample_rate / 2, MELS, sample_rate)
    return mels


@lru_cache(maxsize=4)
def _pitch_classes(sample_rate: int) -> Tensor:
    """Which pitch class each bin between 60 Hz and 5 kHz belongs to, shared by its two neighbours, (bins, 12)."""
    n_fft = _n_fft(sample_rate)
    hz = torch.arange(n_fft // 2 + 1) * sample_rate / n_fft
    heard = (hz >= 60) & (hz <= 5_000)
    pitch = 12 * torch.log2(hz.clamp_min(1) / 440)
    steps = torch.arange(12)
    distance = (pitch[:, None] - steps + 6) % 12 - 6
    return torch.relu(1 - distance.abs()) * heard[:, None]
