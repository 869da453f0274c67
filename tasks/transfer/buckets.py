"""Which items may share a batch, and what one costs: functions of an item's own lengths alone."""

from collections.abc import Hashable

from tasks.transfer.features.vgg import COLUMN
from tasks.transfer.item import Item
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import frames_of

STEPS_IN_AN_OCTAVE = 8  # at most an eighth of a batch is padding
RUN_FRAMES = 64
"""A long style is represented by unbroken runs of so many frames, or twice the widest patch where that is more."""


def padded_frames(frames: int) -> int:
    """Frames that an item of `frames` is padded to. It depends on nothing else, so neither do the item's bits."""
    step = max(1, (1 << frames.bit_length() - 1) // STEPS_IN_AN_OCTAVE)
    return -(-frames // step) * step


def bucket_of(samples: int, settings: Settings) -> int:
    """Padded frames of a signal of `samples` samples."""
    return padded_frames(frames_of(samples, settings.hop_length))


def run_frames(settings: Settings) -> int:
    return max(RUN_FRAMES, 2 * max(settings.widths))


def style_runs(samples: int, settings: Settings) -> tuple[int, int]:
    """(runs, frames of each) that represent a style of `samples` samples: all of it, if that is short enough."""
    frames, each = frames_of(samples, settings.hop_length), run_frames(settings)
    most = int(settings.style_seconds_max * settings.sample_rate / settings.hop_length)
    return (1, frames) if frames <= max(most, 2 * each) else (max(1, most // each), each)


def style_bucket(samples: int, settings: Settings) -> int:
    """Padded frames of what represents a style of `samples` samples."""
    runs, each = style_runs(samples, settings)
    return padded_frames(runs * each)


def batch_key(item: Item, settings: Settings) -> Hashable:
    """Items with equal keys (and settings) may share a batch, and the filters that are drawn or given for it."""
    drawn = item.seed if settings.features != "kernel" else None
    filters = item.checkpoint.sha256 if item.checkpoint else drawn
    styles = tuple(style_bucket(len(style.samples), settings) for style in item.styles)
    return bucket_of(len(item.content), settings), styles, filters, item.trained.sha256 if item.trained else None


def minimum_samples(settings: Settings) -> int:
    """The shortest input: one patch of the widest width, or one column of every layer."""
    frames = COLUMN if settings.features == "vgg" else max(settings.widths)
    return max((frames - 1) * settings.hop_length, settings.n_fft // 2) + 1


def bytes_per_item(item: Item, settings: Settings) -> int:
    """Estimated peak memory of one item in a batch, bytes (the shared filter bank of conv not counted)."""
    frames = bucket_of(len(item.content), settings)
    target = sum(style_bucket(len(style.samples), settings) for style in item.styles)
    target += frames if settings.strength < 1 else 0
    bins = settings.n_fft // 2 + 1
    history = 26 * max(frames * bins, frames * settings.hop_length)  # two times ten steps, and what is in hand
    spectra = 14 * frames * bins + 4 * target * bins
    if settings.features == "kernel":
        return 4 * (history + spectra + (4 * len(settings.widths) + 6) * frames * (frames + target) + 9 * target**2)
    if settings.features == "vgg":
        # The layers of one evaluation, as measured 505 numbers for each of the picture; those of a style are not kept.
        return 4 * (history + spectra + 600 * max(frames, target) * bins)
    patches = (3 * frames + target) * settings.filters
    return 4 * (history + spectra + patches + 3 * min(frames * max(frames, target), settings.filters**2))
