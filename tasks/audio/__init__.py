"""Sound from bytes and bytes from sound. Light enough for a process that does nothing else."""

from tasks.audio.reading import decode, probe
from tasks.audio.tag import Tag, read_tag
from tasks.audio.types import CONTENT_TYPES, EXTENSIONS, AudioFormat, AudioInfo, Clip, Samples
from tasks.audio.writing import check_format, encode

__all__ = [
    "CONTENT_TYPES", "EXTENSIONS", "AudioFormat", "AudioInfo", "Clip", "Samples", "Tag", "check_format", "decode",
    "encode", "probe", "read_tag",
]  # fmt: skip
