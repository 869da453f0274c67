"""Sound from bytes and bytes from sound. Light enough for a process that does nothing else."""

from tasks.audio.reading import decode, probe
from tasks.audio.types import CONTENT_TYPES, EXTENSIONS, AudioFormat, AudioInfo, Clip, Samples
from tasks.audio.writing import encode

__all__ = ["CONTENT_TYPES", "EXTENSIONS", "AudioFormat", "AudioInfo", "Clip", "Samples", "decode", "encode", "probe"]
