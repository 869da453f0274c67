"""Which pairs may share a batch, and what one costs: functions of a pair's own lengths alone."""

from collections.abc import Hashable

from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import frames_of

STEPS_IN_AN_OCTAVE = 8  # at most an eighth of a batch is padding


def padded_frames(frames: int) -> int:
    """Frames that an item of `frames` is padded to. It depends on nothing else, so neither do the item's bits."""
    step = max(1, (1 << frames.bit_length() - 1) // STEPS_IN_AN_OCTAVE)
    return -(-frames // step) * step


def bucket_of(samples: int, settings: Settings) -> int:
    """Padded frames of a signal of `samples` samples."""
    return padded_frames(frames_of(samples, settings.hop_length))


def batch_key(content_samples: int, style_samples: int, settings: Settings, seed: int) -> Hashable:
    """Pairs with equal keys (and settings) may share a batch. A bank of filters is drawn from the pair's seed."""
    drawn = seed if settings.features == "conv" else None
    return bucket_of(content_samples, settings), bucket_of(style_samples, settings), drawn


def minimum_samples(settings: Settings) -> int:
    """The shortest input: one patch of the widest width."""
    return max((max(settings.widths) - 1) * settings.hop_length, settings.n_fft // 2) + 1


def bytes_per_item(content_samples: int, style_samples: int, settings: Settings) -> int:
    """Estimated peak memory of one pair in a batch, bytes (the shared filter bank of conv not counted)."""
    frames, style = bucket_of(content_samples, settings), bucket_of(style_samples, settings)
    bins = settings.n_fft // 2 + 1
    history = 26 * max(frames * bins, frames * settings.hop_length)  # two times ten steps, and what is in hand
    spectra = 14 * frames * bins + 4 * style * bins
    if settings.features == "kernel":
        return 4 * (history + spectra + (8 * len(settings.widths) + 6) * frames * max(frames, style))
    patches = (3 * frames + style) * settings.filters
    return 4 * (history + spectra + patches + 3 * min(frames * max(frames, style), settings.filters**2))
