"""The three spectrograms of a pair, on one scale."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from PIL import Image

from tasks.plots.canvas import INK, Picture
from tasks.plots.names import Row, inputs_of, names_of, of_pair, text
from tasks.records.reasons import UsageError
from tasks.scale import COLOURS, HIGHEST_HZ, LOWEST_HZ, RANGE_DB, WIDTH

SOUNDS = ("content", "style", "result")
TICKS_HZ = (100, 300, 1_000, 3_000, 10_000)


@dataclass(frozen=True)
class Sound:
    """One spectrogram: level below the loudest of the three in dB, low bands first, over `seconds` (None: unknown)."""

    of: str
    name: str
    levels_db: npt.NDArray[np.float64]
    seconds: float | None


def sounds(row: Row) -> list[Sound]:
    """What `spectrograms` draws of a row of `with_curves`. Raises UsageError where it has no pictures."""
    if row["status"] != "ok":
        raise UsageError(f"no spectrograms of {of_pair(row)}: it is not done ({row['reason'] or row['status']}).")
    if not isinstance(row.get("picture_result"), bytes):
        raise UsageError(
            f"no spectrograms of {of_pair(row)}: an input is withdrawn, its file of curves is gone (`gramophone verify`"
            " tells), or that was not read (`with_curves(rows)`)."
        )
    levels = {of: _levels_db(row[f"picture_{of}"]) for of in SOUNDS}
    names = names_of({row["content_uri"], row["style_uri"]})
    called = {"content": names[row["content_uri"]], "style": names[row["style_uri"]], "result": of_pair(row)}
    seconds = row["audio_frames"] / row["audio_rate"]
    return [
        Sound(of, called[of], levels[of], seconds if of != "style" else _style_seconds(row, levels, seconds))
        for of in SOUNDS
    ]


def spectrograms(row: Row) -> Picture:
    """Content, first style and result of one pair, a row of `with_curves`: Hz in octaves over seconds, level by colour.

    Raises UsageError where the row has no pictures.
    """
    picture = Picture(f"spectrograms of {text(of_pair(row))}", 560)
    grid = picture.subplots(3, 1, squeeze=False)[:, 0]
    for axes, sound in zip(grid, sounds(row), strict=True):
        _draw(axes, sound, row["audio_rate"] / 2)
    grid[-1].set_xlabel("seconds", fontsize=9, color=INK)
    bar = picture.colorbar(grid[0].images[0], ax=list(grid), aspect=40, pad=0.01, ticks=[-60, -40, -20, 0])
    bar.set_label("level below the loudest, dB", fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8.5, colors=INK)
    return picture


def _draw(axes: Axes, sound: Sound, highest_hz: float) -> None:
    low, high = log2(LOWEST_HZ), log2(HIGHEST_HZ)
    axes.imshow(
        sound.levels_db, ListedColormap([[c / 255 for c in colour] for colour in COLOURS]), origin="lower",
        aspect="auto", interpolation="nearest", extent=(0, sound.seconds or 1, low, high), vmin=-RANGE_DB, vmax=0,
    )  # fmt: skip
    axes.set_yticks([log2(hz) for hz in TICKS_HZ], [f"{hz:,}" for hz in TICKS_HZ])
    axes.set_ylim(low, min(high, log2(highest_hz)))  # there is nothing above half the rate
    axes.set_ylabel("Hz", fontsize=9, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK)
    of = sound.of if sound.of == "result" else f"{sound.of}: {text(sound.name)}"
    axes.set_title(of, loc="left", fontsize=9, color=INK)
    if sound.seconds is None:
        axes.set_xticks([0, 1], ["start", "end"])


def _levels_db(png: bytes) -> npt.NDArray[np.float64]:
    """Colours back to levels, low bands first."""
    index = np.asarray(Image.open(io.BytesIO(png), formats=("PNG",)), dtype=np.float64)[::-1]
    return (index / (len(COLOURS) - 1) - 1) * RANGE_DB


def _style_seconds(row: Row, levels: Mapping[str, npt.NDArray[np.float64]], seconds: float) -> float | None:
    """How long the first style was: rows say it where a slice was chosen; where columns are frames, they do."""
    given = inputs_of(row, "style")[0]["seconds"]
    if given is not None:
        return float(given)
    columns = {of: int(drawn.shape[1]) for of, drawn in levels.items()}
    if max(columns["content"], columns["style"]) < WIDTH and columns["content"] > 1:
        return seconds * (columns["style"] - 1) / (columns["content"] - 1)
    return None
