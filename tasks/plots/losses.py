"""How the losses of pairs fell."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from tasks.plots.canvas import GREY, INK, LINES, Line, Picture, plain, scale
from tasks.plots.names import of_pair, text
from tasks.records.reasons import UsageError
from tasks.results import rows_of

DRAWN = {"style": "relative style loss", "content": "relative content loss"}
ABOVE = {"style": 3.0, "content": 1.2}
"""So many times what stages begin and pairs end with is shown: single trials of a step may be a million times it."""


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """What `losses` draws of rows of `with_curves`: one row for each evaluation of each pair.

    Raises UsageError where none has a curve.
    """
    found = [row for row in rows_of(rows) if row.get("style") is not None and len(row["style"])]
    if not found:
        raise UsageError(
            "no loss curves: no pair is done, their files of curves are gone, or the curves were not read "
            "(`with_curves(rows)`)."
        )
    found.sort(key=lambda row: -row["style"][-1])
    columns = ["stage", "total", *DRAWN]
    pairs = [{"pair": n, "pair_id": of_pair(row), **{c: row[c] for c in columns}} for n, row in enumerate(found)]
    table = pd.DataFrame(pairs).explode(columns, ignore_index=True).astype(dict.fromkeys(("total", *DRAWN), float))
    table.insert(2, "evaluation", table.groupby("pair").cumcount() + 1)
    table["begins"] = (table["stage"] != table["stage"].shift()) | (table["evaluation"] == 1)
    return table


def losses(rows: pd.DataFrame) -> Picture:
    """Style and content loss of rows of `with_curves` at each evaluation, over powers; a mark where a stage begins.

    The pairs with the highest last style losses are named, the others grey. Raises UsageError where none has a curve.
    """
    table = curves(rows)
    pairs = [part for _, part in table.groupby("pair")]
    title = f"losses of {text(pairs[0]['pair_id'].iloc[0])}" if len(pairs) == 1 else f"losses of {len(pairs)} pairs"
    picture = Picture(title, 560 + 18 * (min(len(pairs), len(LINES) + 1) // 2))
    grid = picture.subplots(2, 1, sharex=True)
    for axes, (name, doc) in zip(grid, DRAWN.items(), strict=True):
        others = [part[["evaluation", name]].to_numpy() for part in pairs[len(LINES) :]]
        axes.add_collection(LineCollection(others, colors=GREY, linewidths=0.6, alpha=0.5), autolim=True)
        for line, part in zip(LINES, pairs, strict=False):
            _draw(axes, part, name, line)
        plain(axes, y=doc)
        _limit(axes, table, name)
    if len(pairs) == 1:
        _stages(grid[0], pairs[0])
    else:
        picture.legend_below(_legend(pairs))
    grid[1].set_xlabel("evaluations of the objective (a mark: a stage begins)", fontsize=9, color=INK)
    return picture


def _draw(axes: Axes, part: pd.DataFrame, name: str, line: Line) -> None:
    colour, dash, marker = line
    axes.plot(
        part["evaluation"], part[name], color=colour, linestyle=dash, linewidth=1.5, marker=marker, markersize=4,
        markevery=np.flatnonzero(part["begins"]).tolist(), gid=part["pair_id"].iloc[0],
    )  # fmt: skip


def _limit(axes: Axes, table: pd.DataFrame, name: str) -> None:
    """Style by powers, for it falls by them; content from 0, where it begins."""
    ends = table["pair"] != table["pair"].shift(-1)
    highest = ABOVE[name] * table.loc[table["begins"] | ends, name].max()
    if name == "style":
        scale(axes, "y", table.loc[table[name].between(0, highest, "right"), name])
    else:
        axes.set_ylim(bottom=0)
    if table[name].max() > highest:
        axes.set_ylim(top=highest)


def _stages(axes: Axes, part: pd.DataFrame) -> None:
    """The names of the stages over a single pair."""
    for _, row in part[part["begins"]].iterrows():
        axes.annotate(
            row["stage"].replace("_", " "), (row["evaluation"], 1), xycoords=("data", "axes fraction"),
            xytext=(2, 2), textcoords="offset points", fontsize=8.5, color=INK,
        )  # fmt: skip
        axes.axvline(row["evaluation"], color=GREY, linewidth=0.8, zorder=0)


def _legend(pairs: Sequence[Any]) -> list[Line2D]:
    lines = [
        Line2D(
            [], [], color=colour, linestyle=dash, marker=marker, markersize=4,
            label=" " + text(part["pair_id"].iloc[0]),
        )
        for (colour, dash, marker), part in zip(LINES, pairs, strict=False)
    ]  # fmt: skip
    if (others := len(pairs) - len(LINES)) > 0:
        lines.append(Line2D([], [], color=GREY, linewidth=0.6, label=f"{others} others, whose style losses end lower"))
    return lines
