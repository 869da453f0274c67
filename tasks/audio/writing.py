"""Bytes from sound, by libsndfile, in blocks."""

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from tasks.audio.channels import to_container
from tasks.audio.types import BLOCK_FRAMES, MAX_CHANNELS, RATES, AudioFormat, Samples

MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
EVERY_RATE = f"any rate from {RATES[0]:,} to {RATES[1]:,} Hz"


@dataclass(frozen=True)
class _Format:
    """A container as libsndfile names it, and what it can hold."""

    container: str
    subtype: str
    rates: str = EVERY_RATE
    channels: int = MAX_CHANNELS

    def has_rate(self, rate: int) -> bool:
        if self.container == "MP3":
            return rate in MPEG_RATES
        if self.container == "FLAC" and rate > 65_535:  # a frame names it in 16 bits, of Hz or of tens of them
            return rate % 10 == 0 and rate <= RATES[1]
        return RATES[0] <= rate <= RATES[1]


FORMATS: dict[AudioFormat, _Format] = {
    "flac": _Format("FLAC", "PCM_24", f"{EVERY_RATE}, in tens above 65,535 Hz"),
    "wav": _Format("WAV", "PCM_24"),
    "ogg": _Format("OGG", "VORBIS"),
    "mp3": _Format("MP3", "MPEG_LAYER_III", ", ".join(f"{rate:,}" for rate in MPEG_RATES) + " Hz", channels=2),
}


def encode(samples: Samples, sample_rate: int, audio_format: AudioFormat, comment: str | None = None) -> bytes:
    """Sound as a file, 24 bit where the format is lossless; what is beyond full scale is clipped there.

    Shape: samples (frames,) or (channels, frames), in the order of WAV (left, right, centre, LFE, back, side).
    Equal samples give equal bytes, except in ogg, whose streams bear a random number. `comment` goes into the
    tag of that name. Raises ValueError for samples that are no numbers, or a rate or number of channels that the
    format does not have, with what it has. ogg at 44.1 and 48 kHz keeps of an LFE what is below some 100 Hz.
    """
    sound = samples[None] if samples.ndim == 1 else samples
    form = FORMATS[audio_format]
    if sound.ndim != 2 or not sound.size or not all(np.isfinite(channel).all() for channel in sound):
        raise ValueError("only finite samples (frames,) or (channels, frames), at least one, can be encoded")
    check_format(audio_format, sample_rate, len(sound))
    channels, frames = sound.shape
    # More than two channels in a WAV need the header that says which loudspeakers they are for.
    container = "WAVEX" if form.container == "WAV" and channels > 2 else form.container
    order = to_container(form.container, channels)
    sink = io.BytesIO()
    try:
        with soundfile.SoundFile(sink, "w", sample_rate, channels, form.subtype, format=container) as file:
            if comment is not None:
                file.comment = comment
            for start in range(0, frames, BLOCK_FRAMES):
                file.write(np.ascontiguousarray(sound[order, start : start + BLOCK_FRAMES].T))
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{audio_format} cannot be written at {sample_rate} Hz: {error}") from error
    return sink.getvalue()


def check_format(audio_format: AudioFormat, sample_rate: int, channels: int) -> None:
    """Raises ValueError for a rate or number of channels that the format does not have, with what it has."""
    form = FORMATS[audio_format]
    if channels > form.channels:
        raise ValueError(f"{audio_format} cannot be written with {channels} channels: it has at most {form.channels}")
    if not form.has_rate(sample_rate):
        raise ValueError(f"{audio_format} cannot be written at {sample_rate} Hz: it has {form.rates}")
