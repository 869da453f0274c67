"""The words of sound: what is read, what is written, and what comes of it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
AudioFormat = Literal["flac", "wav", "ogg", "mp3"]

RATES = (8_000, 192_000)
"""Lowest and highest sampling rate that is read, Hz."""
MAX_CHANNELS = 8
MAX_LEVEL = 1_000.0
"""Of full scale; a sample beyond it is damage and not sound."""
SILENT_LEVEL = 1e-4
"""Of full scale, -80 dB, without the constant part: below it there is nothing to hear but the noise of 16 bits."""
CANCELLED_SHARE = 1e-3
"""Of the loudest channel, -60 dB: where less is left in the mono mix, the channels cancel each other out."""
BLOCK_FRAMES = 65_536
"""What is decoded and encoded at a time: bounds the memory, and ogg crashes when it is given a minute at once."""

EXTENSIONS = {
    "WAV": (".wav", ".wave", ".bwf"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3", ".mp2", ".mp1"),
    "AIFF": (".aif", ".aiff", ".aifc"),
}
"""Names that files of a format (AudioInfo.format) usually have."""

CONTENT_TYPES: dict[AudioFormat, str] = {
    "flac": "audio/flac",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
}


@dataclass(frozen=True)
class Clip:
    """Sound at `sample_rate` Hz, and what it was before: mono (frames,), or (channels, frames) as it came; float32.

    `source_frames` counts the frames of the slice at `source_rate`; `source_peak` is the largest sample of any
    channel, of full scale. `notes` say what is odd and no fault: "clipped", a header without a length, ...
    """

    samples: Samples
    sample_rate: int
    source_rate: int
    source_channels: int
    source_frames: int
    source_peak: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AudioInfo:
    """What decoding a file showed; `peak` is of full scale, `format` a key of EXTENSIONS."""

    seconds: float
    sample_rate: int
    channels: int
    format: str
    subtype: str
    frames: int
    peak: float
    silent: bool
    notes: tuple[str, ...] = ()
