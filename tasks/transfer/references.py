"""What a batch of items is compared with: log-magnitude spectrograms of contents and styles, padded alike."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer.buckets import bucket_of, style_bucket, style_runs
from tasks.transfer.features.reference import Part, Reference
from tasks.transfer.item import Item, Style
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import frames_of, log_spectrogram, mask


def reference_of(items: Sequence[Item], settings: Settings, device: torch.device) -> Reference:
    """Contents and styles of items with one batch key, on `device`."""
    bucket = bucket_of(len(items[0].content), settings)
    contents = [spectrogram_of(item.content.to(device), settings, bucket) for item in items]
    frames = torch.tensor([frames_of(len(item.content), settings.hop_length) for item in items], device=device)
    styles = tuple(_part(items, n, settings, device) for n in range(len(items[0].styles)))
    given = items[0].checkpoint
    return Reference(torch.cat(contents), frames, styles, settings.strength, given.weights if given else None)


def spectrogram_of(signal: Tensor, settings: Settings, frames: int) -> Tensor:
    """Log-magnitudes, zero beyond the signal's own frames. Shape: (samples,) -> (1, frames, bins)."""
    found = log_spectrogram(signal[None], settings.n_fft, settings.hop_length, frames)
    own = torch.tensor([frames_of(len(signal), settings.hop_length)], device=signal.device)
    return found * mask(own, frames)[..., None]


def _part(items: Sequence[Item], n: int, settings: Settings, device: torch.device) -> Part:
    """The n-th style of every item."""
    size = style_bucket(len(items[0].styles[n].samples), settings)
    rows, runs, weights = [], [], []
    for item in items:
        style = item.styles[n]
        row, run = _represented(style, settings, item.seed, device)
        rows.append(pad(row, (0, 0, 0, size - len(row))))
        runs.append(pad(run, (0, size - len(run)), value=-1))
        weights.append(style.weight / sum(each.weight for each in item.styles))
    return Part(torch.stack(rows), torch.stack(runs).to(device), torch.tensor(weights, device=device))


def _represented(style: Style, settings: Settings, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frames that stand for a style, and the unbroken run that each belongs to. Shape: (frames, bins), (frames,).

    All frames of a short one, which are kept for the next batch. Of a long one, runs that are drawn from the seed, one
    from each of as many equal parts.
    """
    count, each = style_runs(len(style.samples), settings)
    if count == 1:
        key = (settings.n_fft, settings.hop_length, device)
        rows = style.kept.get(key)
        if rows is None:
            rows = style.kept[key] = _frames(style.samples.to(device), 0, each, settings)
        return rows, torch.zeros(each, dtype=torch.int64)
    signal, frames = style.samples.to(device), frames_of(len(style.samples), settings.hop_length)
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for n in range(count):
        first, last = n * frames // count, (n + 1) * frames // count - each
        start = first + int(torch.randint(max(1, last - first + 1), (1,), generator=generator))
        drawn.append(_frames(signal, start, each, settings))
    return torch.cat(drawn), torch.arange(count).repeat_interleave(each)


def _frames(signal: Tensor, first: int, count: int, settings: Settings) -> Tensor:
    """Some frames of a signal's log-magnitudes, by the samples around them alone. Shape: (count, bins)."""
    n_fft, hop = settings.n_fft, settings.hop_length
    context = n_fft // (2 * hop) + 1
    begin, end = max(0, first - context), min(frames_of(len(signal), hop), first + count + context)
    around = signal[begin * hop : (end - 1) * hop + n_fft // 2]
    return log_spectrogram(around[None], n_fft, hop, end - begin)[0, first - begin : first - begin + count]
