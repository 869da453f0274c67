"""How a figure is distributed over the pairs of each style."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tasks.plots.canvas import INK, LINES, Picture, plain, scale, words
from tasks.plots.figures import FIGURES, checked, done
from tasks.plots.names import inputs_of, names_of, text
from tasks.records.reasons import UsageError
from tasks.results import rows_of

MOST_STYLES = 30
LEAST_FOR_A_BOX = 4
"""Quartiles of fewer say nothing that their dots do not."""


def values(rows: pd.DataFrame, figure: str) -> pd.DataFrame:
    """What `by_style` draws: style, pair_id and the figure of each pair, styles by their medians, highest first.

    Raises UsageError for a figure that nobody knows, and where no pair has it.
    """
    checked(figure)
    found = done(rows).dropna(subset=[figure])
    if found.empty:
        raise UsageError(f"nothing to draw: no pair has a {figure}.")
    styles = [tuple(one["uri"] for one in inputs_of(row, "style")) for row in rows_of(found)]
    names = names_of({uri for uris in styles for uri in uris})
    table = found[["pair_id", figure]].assign(style=[" + ".join(names[uri] for uri in uris) for uris in styles])
    table["median"] = table.groupby("style")[figure].transform("median")
    table = table.sort_values(["median", "style", figure], ascending=[False, True, False], ignore_index=True)
    return table[["style", "pair_id", figure]]


def by_style(rows: pd.DataFrame, figure: str = "style_loss") -> Picture:
    """A figure of rows of `standing()` or of results: a dot for each pair, a box for each style that has several.

    The box holds the middle half, its line is the median. Of more than MOST_STYLES styles the highest medians are
    shown. Raises UsageError for a figure that nobody knows, and where no pair has it.
    """
    table = values(rows, figure)
    styles = list(dict.fromkeys(table["style"]))
    kept = styles[:MOST_STYLES]
    title = f"{figure} by style, {len(table)} pairs"
    if len(styles) > len(kept):
        title += f"; the {len(kept)} of {len(styles)} styles with the highest medians"
    picture = Picture(title, 130 + 34 * max(2, len(kept)))
    axes = picture.subplots()
    groups = dict(list(table.groupby("style")[figure]))
    for place, style in enumerate(kept):
        _draw(axes, groups[style].to_numpy(), place)
    plain(axes, x=words(FIGURES[figure], 110))
    scale(axes, "x", table.loc[table["style"].isin(kept), figure])
    axes.set_yticks(range(len(kept)), [f"{text(style)}  n={len(groups[style])}" for style in kept])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.grid(False, axis="y")
    return picture


def _draw(axes: Axes, found: np.ndarray, place: int) -> None:
    if len(found) >= LEAST_FOR_A_BOX:
        axes.boxplot(
            found, positions=[place], orientation="horizontal", widths=0.6, showfliers=False, patch_artist=True,
            manage_ticks=False, boxprops={"facecolor": "#e3eef6", "edgecolor": INK, "linewidth": 0.8},
            medianprops={"color": INK, "linewidth": 2}, whiskerprops={"color": INK}, capprops={"color": INK},
        )  # fmt: skip
    # Beside each other, the same way each time.
    beside = 0.18 * np.sin(np.arange(len(found)) * 2.4)
    axes.plot(found, place + beside, linestyle="", marker="o", markersize=4, alpha=0.7, color=LINES[0][0], zorder=3)
