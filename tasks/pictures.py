"""Spectrograms as small pictures: frequency on a scale of octaves, level by colour."""

import io
from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d, pad

from tasks.scale import COLOURS, HEIGHT, HIGHEST_HZ, LOWEST_HZ, RANGE_DB, WIDTH
from tasks.transfer.spectrogram import hann, window_of


def spectrogram(signal: Tensor, sample_rate: int) -> Tensor:
    """Power of a mono signal in HEIGHT bands from LOWEST_HZ to HIGHEST_HZ, low first, over at most WIDTH columns.

    Shape: (samples,) -> (HEIGHT, columns). A band holds the loudest of its bins (one that has none takes the nearest),
    a column the loudest of its frames. Of a long track it looks at two windows for each column, whatever its length.
    """
    n_fft = window_of(sample_rate)
    hop = max(n_fft // 4, -(-len(signal) // (2 * WIDTH)))
    frames = pad(signal, (n_fft // 2, n_fft // 2)).unfold(0, n_fft, hop)
    power = torch.fft.rfft(frames * hann(n_fft, signal.dtype, signal.device)).abs().square()
    bands = torch.stack([power[:, low:high].amax(1) for low, high in _bands(sample_rate, n_fft)])
    return adaptive_max_pool1d(bands[None], min(WIDTH, len(frames)))[0]


def _bands(sample_rate: int, n_fft: int) -> list[tuple[int, int]]:
    """The bins of each band, first and beyond the last; those beyond half the rate have the last bin."""
    edges = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** torch.linspace(0, 1, HEIGHT + 1)
    bins = (edges * n_fft / sample_rate).round().long().clamp(0, n_fft // 2).tolist()
    return [(low, max(low + 1, high)) for low, high in pairwise(bins)]


def drawn(powers: list[Tensor]) -> list[bytes]:
    """Spectrograms as PNG files on one scale: RANGE_DB below the loudest of them all is the darkest colour."""
    top = max(float(power.max()) for power in powers) or 1.0
    return [_png((10 * torch.log10(power / top + 1e-12)) / RANGE_DB + 1) for power in powers]


def _png(share: Tensor) -> bytes:
    """Shape: (bands, columns), 0 for the darkest colour to 1, low bands first."""
    index = (share.clamp(0, 1) * (len(COLOURS) - 1)).round().byte().flip(0)
    image = Image.fromarray(index.numpy(), "L")
    image = image.convert("P")
    image.putpalette([channel for colour in COLOURS for channel in colour])
    sink = io.BytesIO()
    image.save(sink, "PNG", bits=4, optimize=True)
    return sink.getvalue()
