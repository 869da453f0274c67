"""Small musical clips, synthesised: what `gramophone demo` restyles when nobody brings music, and what tests use.

CONTENTS carry a melody, STYLES a texture; each is spectrally unlike the others. Nothing but numpy; the same name, seed,
length and rate give the same samples.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float64]
Voice = Callable[[Wave, float, int, np.random.Generator], Wave]
"""(seconds since the note began, Hz, sample rate, random numbers) -> samples of the same length, without release."""

SAMPLE_RATE = 22_050
LEVEL_LUFS = -18.0
PEAK = 0.9
_KNEE = 0.6  # what is above it is bent, so that PEAK is never reached

# Steps of a scale in semitones.
MAJOR = (0, 2, 4, 5, 7, 9, 11)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
PENTATONIC = (0, 3, 5, 7, 10)


def _partials(
    t: Wave, hz: float, rate: int, weight: Callable[[int], Wave | float], count: int, stretch: float = 0
) -> Wave:
    """A sum of harmonics below 0.45 of the rate. `stretch` is a stiff string's: partials a little too high."""
    out = np.zeros_like(t)
    for k in range(1, count + 1):
        f = k * hz * np.sqrt(1 + stretch * k * k)
        if f < 0.45 * rate:
            out += weight(k) * np.sin(2 * np.pi * f * t)
    return out


def _pluck(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """A string plucked at a fifth of its length: higher partials die sooner."""
    return _partials(t, hz, rate, lambda k: np.sin(np.pi * k / 5) / k * np.exp(-t * (1.5 + 0.35 * k)), 24, 2e-4)


def _flute(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """Few harmonics, vibrato that sets in late, and breath."""
    sway = 1.7 * np.minimum(t / 0.4, 1) * np.sin(2 * np.pi * 5.2 * t)  # radians: about 25 cents
    tone = _partials(t + sway / (2 * np.pi * hz), hz, rate, lambda k: (1, 0.35, 0.12, 0.03)[k - 1], 4)
    breath = np.convolve(rng.standard_normal(len(t)), np.hanning(6) / 3, mode="same")
    out: Wave = tone * (1 - np.exp(-t / 0.05)) + 0.05 * breath
    return out


def _organ(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """Drawbars at 8', 5 1/3', 4', 2 2/3' and 2', with a slow tremulant."""
    bars = ((0.5, 0.6), (1, 1.0), (1.5, 0.5), (2, 0.8), (3, 0.5), (4, 0.4), (6, 0.15), (8, 0.2))
    tone = sum(a * np.sin(2 * np.pi * hz * ratio * t) for ratio, a in bars if hz * ratio < 0.45 * rate)
    return np.asarray(tone * (1 + 0.12 * np.sin(2 * np.pi * 6.1 * t)))


def _marimba(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """A tuned bar: modes at 1, 4 and 9.2, each shorter than the one before."""
    modes = ((1.0, 1.0, 4.5), (3.93, 0.35, 14.0), (9.2, 0.12, 40.0))
    out = np.zeros_like(t)
    for ratio, weight, decay in modes:
        if hz * ratio < 0.45 * rate:
            out += weight * np.exp(-decay * t) * np.sin(2 * np.pi * hz * ratio * t)
    return out


def _saw(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """A bowed section: three detuned sawtooths with vibrato, swelling."""
    out = np.zeros_like(t)
    for cents in (-9, 1, 8):
        wander = t + 0.0006 * np.sin(2 * np.pi * (4.6 + 0.05 * cents) * t + rng.uniform(0, 2 * np.pi))
        out += _partials(wander, hz * 2 ** (cents / 1200), rate, lambda k: 1 / k, 40)
    out *= 1 - np.exp(-t / 0.25)
    return out


def _bell(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """Frequency modulation at an inharmonic ratio, whose depth dies with the strike (Chowning 1973)."""
    depth = 2.2 * np.exp(-3 * t)
    strike = np.sin(2 * np.pi * hz * t + depth * np.sin(2 * np.pi * 1.41 * hz * t))
    out: Wave = strike * np.exp(-1.8 * t) + 0.3 * np.sin(2 * np.pi * 2.76 * hz * t) * np.exp(-4 * t)
    return out


def _bass(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """A sawtooth through a low-pass that closes after the attack."""
    cutoff = 180 + 1_400 * np.exp(-9 * t)
    return _partials(t, hz, rate, lambda k: 1 / (k * (1 + (k * hz / cutoff) ** 4)), 40) * np.exp(-1.2 * t)


def _drum(t: Wave, hz: float, rate: int, rng: np.random.Generator) -> Wave:
    """Kick below 80 Hz, snare below 1 kHz, hat above: a falling tone, a tone under noise, bright noise."""
    noise = rng.uniform(-1, 1, len(t))
    out: Wave
    if hz < 80:
        out = np.sin(2 * np.pi * (hz * t + 4 * (1 - np.exp(-25 * t)))) * np.exp(-9 * t)
    elif hz < 1_000:
        out = 0.35 * np.sin(2 * np.pi * hz * t) * np.exp(-16 * t) + 0.5 * noise * np.exp(-13 * t)
    else:
        out = 0.35 * np.diff(noise, prepend=0.0) * np.exp(-22 * t)
    return out


Note = tuple[float, float, float]
"""Start and length in beats, and Hz."""


def _melody(root: float, scale: tuple[int, ...], steps: str, beats: float, length: float) -> list[Note]:
    """One digit a note, a degree of the scale above `root`; a dot rests. Notes ring for `length` of their own beats."""
    notes = []
    for i, step in enumerate(steps):
        if step != ".":
            octave, degree = divmod(int(step), len(scale))
            notes.append((i * beats, beats * length, root * 2 ** (octave + scale[degree] / 12)))
    return notes


def _chords(root: float, scale: tuple[int, ...], chords: str, beats: float) -> list[Note]:
    """Triads on the degrees in `chords`."""
    lines = ("".join(str(int(c) + third) for c in chords) for third in (0, 2, 4))
    return [note for line in lines for note in _melody(root, scale, line, beats, 1.05)]


def _beat() -> list[Note]:
    kick, snare = [(b, 0.9, 48.0) for b in (0, 1.5, 2, 3.75)], [(b, 0.6, 190.0) for b in (1, 3, 3.5)]
    return kick + snare + [(b / 4, 0.24, 5_000.0) for b in range(16)]


_SCORES: dict[str, tuple[Voice, float, float, float, list[Note]]] = {
    # name: voice, beats a minute, release in seconds, beats until the score repeats, notes
    "pluck": (_pluck, 112, 0.08, 8, _melody(220.0, PENTATONIC, "0235423104653120", 0.5, 2.0)),
    "flute": (_flute, 84, 0.09, 8, [*_melody(587.3, DORIAN, "01234352", 0.75, 1.02), (6, 2, 587.3)]),
    "organ": (_organ, 96, 0.06, 8, _chords(261.6, MAJOR, "0341", 2)),
    "marimba": (_marimba, 138, 0.05, 8, _melody(392.0, MAJOR, "0241.35425.72413", 0.5, 1.5)),
    "strings": (_saw, 60, 0.4, 8, _chords(146.8, DORIAN, "03", 4) + _chords(293.7, DORIAN, "41", 4)),
    "bells": (_bell, 100, 0.3, 8, _melody(880.0, PENTATONIC, "0.3.714.62.5.038", 0.5, 4.0)),
    "drums": (_drum, 104, 0.02, 4, _beat()),
    "bass": (_bass, 120, 0.03, 8, _melody(49.0, PENTATONIC, "00.503.00.742.13", 0.5, 1.3)),
}

CONTENTS = ("pluck", "flute", "organ", "marimba")
STYLES = ("strings", "bells", "drums", "bass")


def synthesise(
    name: str, seconds: float = 4.0, sample_rate: int = SAMPLE_RATE, seed: int = 0
) -> npt.NDArray[np.float32]:
    """The clip `name` of CLIPS: mono (samples,) float32, about -18 LUFS, at most PEAK, silent at both ends only."""
    voice, tempo, release, period, notes = _SCORES[name]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    out: Wave = np.zeros(round(seconds * sample_rate))
    for start, length, hz in _repeated(notes, period, seconds * tempo / 60):
        begin = round(start * 60 / tempo * sample_rate)
        t = np.arange(round((length * 60 / tempo + release) * sample_rate)) / sample_rate
        note = voice(t, hz, sample_rate, rng) * np.minimum(1, t / 0.003) * np.clip((t[-1] - t) / release, 0, 1) ** 2
        note = note[: len(out) - begin]
        out[begin : begin + len(note)] += note * rng.uniform(0.8, 1.0)
    return _finished(out, sample_rate)


def _repeated(notes: list[Note], period: float, beats: float) -> Iterator[Note]:
    for turn in range(int(beats // period) + 1):
        yield from ((turn * period + start, length, hz) for start, length, hz in notes if turn * period + start < beats)


def _finished(wave: Wave, rate: int) -> npt.NDArray[np.float32]:
    """Faded at both ends, free of DC, at the level of every clip."""
    ramp = np.clip(np.arange(len(wave)) / (0.02 * rate), 0, 1)
    fade = np.sin(np.pi / 2 * ramp * ramp[::-1]) ** 2
    for _ in range(3):  # bending the peaks costs level: a few rounds settle it
        wave = wave * fade
        wave = wave - fade * (wave.mean() / fade.mean())
        wave = wave * 10 ** ((LEVEL_LUFS - _lufs(wave, rate)) / 20)
        over = np.maximum(np.abs(wave) - _KNEE, 0)
        wave = np.sign(wave) * (np.minimum(np.abs(wave), _KNEE) + (PEAK - _KNEE) * np.tanh(over / (PEAK - _KNEE)))
    return wave.astype(np.float32)


def _lufs(wave: Wave, rate: int) -> float:
    """Loudness by ITU-R BS.1770 without its gate: the K-weighting applied as a gain to the spectrum."""
    hz = np.fft.rfftfreq(len(wave), 1 / rate)[:-1]

    s = 1j * np.tan(np.pi * hz / rate)
    low, high = s / np.tan(np.pi * 38.135 / rate), s / np.tan(np.pi * 1_681.97 / rate)
    gain = low**2 / (low**2 + low / 0.5003 + 1)
    gain *= (1.5849 * high**2 + 1.2587 * high / 0.7072 + 1) / (high**2 + high / 0.7072 + 1)
    power = 2 * np.sum(np.abs(np.fft.rfft(wave)[:-1] * gain) ** 2) / len(wave) ** 2
    return float(-0.691 + 10 * np.log10(power))


CLIPS: dict[str, Callable[..., npt.NDArray[np.float32]]] = {name: partial(synthesise, name) for name in _SCORES}
"""Every clip by name; a value takes synthesise's other arguments."""
