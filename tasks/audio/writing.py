"""Bytes from sound, by libsndfile, in blocks."""

import io

import numpy as np
import soundfile

from tasks.audio.types import BLOCK_FRAMES, AudioFormat, Samples

ENCODINGS: dict[AudioFormat, tuple[str, str]] = {
    "flac": ("FLAC", "PCM_24"),
    "wav": ("WAV", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def encode(samples: Samples, sample_rate: int, audio_format: AudioFormat, comment: str | None = None) -> bytes:
    """Mono samples as a file, 24 bit where the format is lossless; what is beyond full scale is clipped there.

    Equal samples give equal bytes, except in ogg, whose streams bear a random number. `comment` goes into the
    tag of that name. Raises ValueError for samples that are no numbers, or a rate that the format does not have.
    """
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise ValueError("only finite mono samples (frames,), at least one, can be encoded")
    container, subtype = ENCODINGS[audio_format]
    sink = io.BytesIO()
    try:
        with soundfile.SoundFile(sink, "w", sample_rate, 1, subtype, format=container) as file:
            if comment is not None:
                file.comment = comment
            for start in range(0, len(samples), BLOCK_FRAMES):
                file.write(samples[start : start + BLOCK_FRAMES])
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{audio_format} cannot be written at {sample_rate} Hz: {error}") from error
    return sink.getvalue()
