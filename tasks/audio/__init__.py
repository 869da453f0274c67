"""Sound from bytes and bytes from sound. Light enough for a process that does nothing else."""

from tasks.audio.reading import decode, probe
from tasks.audio.types import CONTENT_TYPES, EXTENSIONS, AudioFormat, AudioInfo, Clip, Samples
from tasks.audio.writing import check_format, encode

__all__ = [
    "CONTENT_TYPES", "EXTENSIONS", "AudioFormat", "AudioInfo", "Clip", "Samples", "check_format", "decode", "encode",
    "probe",
]  # fmt: skip
