"""Figures of one finished waveform. Signals are mono, (samples,) float32, on any one device; rates in Hz.

Of any length: block by block.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
import torchaudio
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer.segments import excerpt
from tasks.transfer.spectrogram import frames_of, hann

SILENT = 1e-3  # of full scale, -60 dB
N_FFT, RATE = 2048, 22_050  # 93 ms; at other rates the power of two that lasts about as long
MELS = 64
BLOCK_FRAMES = 1024
BLOCK_SAMPLES = 1 << 16
GATING_BLOCKS = 32  # of the loudness, 100 ms apart
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

    Differs from torchaudio's loudness in its memory alone: that one filters the whole at once, in nine times its size.
    The tenth of a second in front of each part fills the filters, which forget what came before to 1e-9 in it.
    """
    size = round(0.4 * sample_rate)
    step = round(size / 4)
    blocks = (len(signal) - size) // step + 1
    low, high = torch.aminmax(signal)
    # Those filters clip what they boost beyond full scale, so they are shown a quieter signal.
    quieter = min(1.0, HEADROOM / max(HEADROOM, float(high), -float(low)))
    found = []
    for first in range(0, blocks, GATING_BLOCKS):
        begin, end = first * step, (min(first + GATING_BLOCKS, blocks) - 1) * step + size
        part = signal[max(0, begin - step) : end].cpu() * quieter
        part = torchaudio.functional.treble_biquad(part, sample_rate, 4.0, 1500.0, math.sqrt(0.5))
        part = torchaudio.functional.highpass_biquad(part, sample_rate, 38.0, 0.5)[begin - end :]
        energy = torch.nn.functional.pad(part.double().square().cumsum(0), (1, 0))
        found.append(energy[size::step] - energy[:-size:step])
    return torch.cat(found) / (size * quieter**2)


def ratio(db: float) -> float:
    """Decibels as a factor of amplitude."""
    return float(10.0 ** (db / 20.0))


def true_peak_dbtp(signal: Tensor) -> float:
    """Peak of the signal between its samples too, dBTP. Shape: (..., samples): the largest of all channels."""
    peak = float(true_peaks(signal.reshape(-1, signal.shape[-1]), BLOCK_SAMPLES).max())
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def true_peaks(signal: Tensor, step: int) -> Tensor:
    """Peak of each `step` samples, and between them: four times oversampled (ITU-R BS.1770-4, annex 2).

    Shape: (channels, samples) -> (steps,), the last of which may be shorter. `step` divides BLOCK_SAMPLES.
    """
    reach, found = 32, []  # the filter looks 25 samples to both sides
    for start in range(0, signal.shape[-1], BLOCK_SAMPLES):
        stop = min(start + BLOCK_SAMPLES, signal.shape[-1])
        before = min(start, reach)
        block = signal[:, start - before : stop + reach].cpu()
        over = torchaudio.functional.resample(block, 1, 4, lowpass_filter_width=24)
        inside = over[:, 4 * before : 4 * (before + stop - start)].abs().amax(0).reshape(-1, 4).amax(1)
        peaks = torch.maximum(inside, block[:, before : before + stop - start].abs().amax(0))
        found.append(pad(peaks, (0, -len(peaks) % step)).reshape(-1, step).amax(1))
    return torch.cat(found)


def silence_share(signal: Tensor, sample_rate: int) -> float:
    """Share of 50 ms blocks whose peak is below -60 dB of full scale, 0 to 1."""
    block = max(1, sample_rate // 20)
    padded = torch.nn.functional.pad(signal, (0, -len(signal) % block))
    return float((padded.reshape(-1, block).abs().amax(-1) < SILENT).float().mean())


# --- what is heard --------------------------------------------------------------------------------


def chroma_similarity(signal: Tensor, content: Tensor, sample_rate: int) -> float:
    """Mean correlation of the chroma of both, frame by frame, weighted by the content's power; -1 to 1."""
    a, b = _chroma(signal, sample_rate), _chroma(content, sample_rate)
    weight = b.sum(-1)
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    cosine = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-12)
    return float((cosine * weight).sum() / weight.sum().clamp_min(1e-12))


def onset_correlation(signal: Tensor, content: Tensor, sample_rate: int) -> float:
    """Correlation of the onset strength (rising log-mel energy) of both, -1 to 1."""
    a, b = (torch.relu(_log_mel(s, sample_rate).diff(dim=0)).mean(-1) for s in (signal, content))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12))


def timbre_distance(signal: Tensor, style: Tensor, sample_rate: int) -> float:
    """Distance of mean and deviation of the log-mel spectrum, root mean square over bands, in nepers of magnitude."""
    a, b = (_log_mel(s, sample_rate) for s in (signal, style))
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


def _log_mel(signal: Tensor, sample_rate: int) -> Tensor:
    """Log-magnitude by mel band, (frames, MELS)."""
    bank = _mel_bank(sample_rate).to(signal)
    return torch.cat([torch.log1p((block @ bank).sqrt()) for block in _power(signal, sample_rate)])


@lru_cache(maxsize=4)
def _mel_bank(sample_rate: int) -> Tensor:
    """Triangular mel filters, (bins, bands)."""
    bins = _n_fft(sample_rate) // 2 + 1
    mels: Tensor = torchaudio.functional.melscale_fbanks(bins, 40.0, sample_rate / 2, MELS, sample_rate)
    return mels


def _chroma(signal: Tensor, sample_rate: int) -> Tensor:
    """Power by pitch class, (frames, 12), compressed by a square root."""
    classes = _pitch_classes(sample_rate).to(signal)
    return torch.cat([(block @ classes).sqrt() for block in _power(signal, sample_rate)])


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
