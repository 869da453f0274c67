"""Figures of the written audio over a parameter that was swept."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from numbers import Real
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tasks.plots.canvas import GREY, LINES, Picture, plain, scale, words
from tasks.plots.figures import FIGURES, checked, done
from tasks.plots.names import inputs_of, names_of, text
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError
from tasks.results import rows_of

MOST_NAMED = 5
LINE = 98
"""Characters of a title."""
CLOSE = 20
"""Values that lie nearer than this part of their range are drawn at equal steps."""
USUAL = ("style_loss", "content_loss", "chroma_similarity", "onset_correlation")


def medians(rows: pd.DataFrame, parameter: str, figures: Sequence[str] = USUAL) -> pd.DataFrame:
    """What `sweep` draws: content, style, the parameter's value, pairs, and the median of each figure over them.

    Only contents and styles that were put together with more than one value. Raises UsageError where there are none.
    """
    names = [checked(name) for name in figures]
    found = _valued(done(rows), parameter)
    several = found.groupby("sounds")["value"].transform("nunique") > 1
    if not several.any():
        raise UsageError(_does_not_vary(found, parameter))
    counted = found[several].assign(pairs=1)
    told = {"content": "first", "style": "first", "pairs": "sum"} | dict.fromkeys(names, "median")
    return counted.groupby(["sounds", "value"]).agg(told).reset_index()


def sweep(rows: pd.DataFrame, parameter: str, figures: Sequence[str] = USUAL) -> Picture:
    """Figures over a parameter, of rows of `standing()` or of results: a line for each content and style, the median.

    Raises UsageError for a name that nobody knows, and where no content and style have more than one value of it.
    """
    table = medians(rows, parameter, figures)
    lines = [line for _, line in table.groupby("sounds")]
    places = _places(sorted(table["value"].unique()))
    high, across = -(-len(figures) // 2), min(2, len(figures))
    picture = Picture(_title(rows, parameter), 110 + 260 * high + 20 * (1 + min(len(lines), len(LINES) + 1) // 2))
    grid = list(picture.subplots(high, across, squeeze=False).flat)
    for axes, name in zip(grid, figures, strict=False):
        _draw(axes, lines, name, places)
        plain(axes, words(f"{name}: {FIGURES[name]}", 120 // across), parameter)
        scale(axes, "y", table[name])
        axes.set_xticks(list(places.values()), [text(f"{value:g}" if _is_number(value) else value) for value in places])
    for axes in grid[len(figures) :]:
        axes.set_visible(False)
    picture.legend_below(_legend(lines))
    return picture


def _title(rows: pd.DataFrame, parameter: str) -> str:
    title = words(f"a sweep over {parameter} ({Parameters.model_fields[parameter].description})", LINE)
    besides = _vary_besides(done(rows), parameter)
    if not besides:
        return title
    more = f" and {len(besides) - MOST_NAMED} more" if len(besides) > MOST_NAMED else ""
    return f"{title}\n" + words(f"medians over what varies besides: {', '.join(besides[:MOST_NAMED])}{more}", LINE)


def _places(values: Sequence[Any]) -> dict[Any, float]:
    """Where values stand: numbers at themselves unless some would touch, what else there is at equal steps."""
    if all(map(_is_number, values)):
        steps = [after - before for before, after in pairwise(values)]
        if min(steps) * CLOSE > sum(steps):
            return {value: float(value) for value in values}
    return {value: float(n) for n, value in enumerate(values)}


def _valued(rows: pd.DataFrame, parameter: str) -> pd.DataFrame:
    """Rows with the parameter's value, and with what their content and style are called."""
    if parameter not in Parameters.model_fields:
        close = get_close_matches(parameter, Parameters.model_fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`gramophone run --help` lists them."
        raise UsageError(f"no parameter {parameter!r}; {hint}")
    values = rows["params"].map(json.loads).map(lambda params: params.get(parameter))
    rows, values = rows[values.notna()], values[values.notna()]
    if not values.map(_is_number).all():
        values = values.map(lambda v: ",".join(map(str, v)) if isinstance(v, list) else str(v))
    records = list(rows_of(rows))
    names = names_of({one["uri"] for row in records for one in row["inputs"]})
    sounds = [{role: _called(row, role, names) for role in ("content", "style")} for row in records]
    keys = [json.dumps([_part(one) for one in row["inputs"]]) for row in records]
    return rows.assign(**pd.DataFrame(sounds, rows.index), sounds=keys, value=values.infer_objects())


def _part(one: Mapping[str, Any]) -> list[Any]:
    return [one[name] for name in ("role", "uri", "start", "seconds", "weight")]


def _called(row: Mapping[str, Any], role: str, names: Mapping[str, str]) -> str:
    """Inputs of one role by their names, and where in them a slice begins."""
    return " + ".join(
        names[one["uri"]] + (f" from {one['start']:g} s" if one["start"] else "") for one in inputs_of(row, role)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _does_not_vary(found: pd.DataFrame, parameter: str) -> str:
    values = found["value"].unique()
    if len(values) > 1:
        why = f"no content and style were put together with more than one value of {parameter}"
    else:
        why = f"{parameter} is {values[0] if len(values) else 'not recorded'} in all {len(found)} pairs"
    example = f"{parameter}=0.25,0.5,0.75,1" if parameter == "strength" else f"{parameter}=VALUE,VALUE"
    return f"{why}; `gramophone manifest build ... --sweep {example}` makes a manifest that varies it."


def _vary_besides(rows: pd.DataFrame, parameter: str) -> list[str]:
    """Other parameters that are not the same in all rows."""
    params = pd.DataFrame([json.loads(one) for one in rows["params"].unique()]).astype(str)
    return [str(name) for name in params.columns if name != parameter and params[name].nunique() > 1]


def _draw(axes: Axes, lines: Sequence[pd.DataFrame], name: str, places: Mapping[Any, Any]) -> None:
    """Few lines have names of their own; of many there is one, the median, over all of them in grey."""
    few = len(lines) <= len(LINES)
    for line, (colour, dash, marker) in zip(lines, LINES if few else [(GREY, "-", "")] * len(lines), strict=False):
        axes.plot(
            line["value"].map(places), line[name], color=colour, linestyle=dash, marker=marker, markersize=4,
            linewidth=1.5 if few else 0.6, gid=line["sounds"].iloc[0],
        )  # fmt: skip
    if not few:
        middle = pd.concat(lines).groupby("value")[name].median()
        colour, dash, marker = LINES[0]
        axes.plot([places[v] for v in middle.index], middle, color=colour, linestyle=dash, marker=marker, markersize=5)


def _legend(lines: Sequence[pd.DataFrame]) -> list[Line2D]:
    if len(lines) > len(LINES):
        colour, dash, marker = LINES[0]
        name = f"median of {len(lines)} contents x styles"
        return [
            Line2D([], [], color=colour, linestyle=dash, marker=marker, label=name),
            Line2D([], [], color=GREY, linewidth=0.6, label="each of them"),
        ]
    names = [f" {text(line['content'].iloc[0])} x {text(line['style'].iloc[0])}" for line in lines]
    return [
        Line2D([], [], color=colour, linestyle=dash, marker=marker, markersize=4, label=name)
        for (colour, dash, marker), name in zip(LINES, names, strict=False)
    ]
