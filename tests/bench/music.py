"""Ten-second excerpts of real music, in fixed pairs; synthesised clips where there is none."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torchaudio

from tasks.audio import decode
from tasks.clips import CONTENTS, STYLES, synthesise

FOLDER = Path("/usr/share/games/supertux2/music")
PACKAGE = "supertux-data"
SECONDS = 10.0
SAMPLE_RATE = 22_050
LEVEL_LUFS = -16.0

# (content, style), of different folders and characters.
TRACKS = (
    ("antarctic/chipdisko", "forest/forest"),
    ("misc/theme", "antarctic/arctic_cave"),
    ("tropical/saharan_penguin", "misc/battle_theme"),
    ("forest/clavelian_march", "retro/ice_music"),
    ("misc/christmas_theme", "castle/darkforestkeep"),
    ("forest/wisphunt", "tropical/tropicalbreeze"),
    ("antarctic/jewels", "misc/halloween_1"),
    ("retro/classic", "forest/ghostforest"),
)
STARTS = 30.0
"""Seconds into each track: past every introduction, and inside the shortest of them."""


@dataclass(frozen=True)
class Excerpts:
    """Two waveforms (samples,) at SAMPLE_RATE and LEVEL_LUFS."""

    name: str
    content: torch.Tensor
    style: torch.Tensor


def note() -> str:
    """What the pairs are made of."""
    if FOLDER.is_dir():
        return f"{SECONDS:g} s excerpts of Debian's {PACKAGE}, mono, {SAMPLE_RATE} Hz, {LEVEL_LUFS:g} LUFS"
    return (
        f"NO REAL MUSIC: {FOLDER} is absent (apt-get install {PACKAGE}); these are synthesised clips, "
        "whose figures do not compare with those of music"
    )


def pairs(count: int) -> list[Excerpts]:
    """The first `count` pairs."""
    if FOLDER.is_dir():
        return [Excerpts(f"{c} + {s}", _excerpt(c), _excerpt(s)) for c, s in TRACKS[:count]]
    names = [(c, s) for shift in range(len(STYLES)) for c, s in zip(CONTENTS, _turned(STYLES, shift), strict=True)]
    return [Excerpts(f"{c} + {s}", _synthesised(c), _synthesised(s)) for c, s in names[:count]]


def sound(track: str, seconds: float, start: float = STARTS) -> torch.Tensor:
    """Of any length and as loud as it comes, mono at SAMPLE_RATE, (samples,); synthesised where there is none."""
    if not FOLDER.is_dir():
        return torch.from_numpy(synthesise((CONTENTS + STYLES)[len(track) % 4], seconds, SAMPLE_RATE))
    data = (FOLDER / f"{track}.ogg").read_bytes()
    clip = decode(data, sample_rate=SAMPLE_RATE, start=start, seconds=seconds, max_seconds=seconds + 1)
    return torch.from_numpy(clip.samples)


def level(waveform: torch.Tensor) -> torch.Tensor:
    """The waveform at LEVEL_LUFS: log1p is not blind to level.

    By torchaudio's meter and not by ours: what is kept of the published recipe is kept by the digest of its inputs.
    """
    quieter = min(1.0, 0.25 / max(0.25, float(waveform.abs().max())))  # its filters clip what they boost
    lufs = float(torchaudio.functional.loudness(quieter * waveform[None], SAMPLE_RATE)) - 20 * math.log10(quieter)
    return waveform * float(10 ** ((LEVEL_LUFS - lufs) / 20))


def _excerpt(track: str) -> torch.Tensor:
    return level(sound(track, SECONDS))


def _synthesised(name: str) -> torch.Tensor:
    return level(torch.from_numpy(synthesise(name, SECONDS, SAMPLE_RATE)))


def _turned(names: tuple[str, ...], by: int) -> tuple[str, ...]:
    return names[by:] + names[:by]
