"""The page of a training: both curves, what came of it, and what was asked."""

import math
from dataclasses import dataclass

import pandas as pd

from tasks.layout import Layout
from tasks.records import schema
from tasks.records.reasons import UsageError
from tasks.records.training import CHECKPOINT, CURVES, TrainingEnd, TrainingRecord
from tasks.report.rendering import template_of, text_of
from tasks.store import Store
from tasks.stored import read_record, read_table
from tasks.training.session import rows_of
from tasks.training.state import State

WIDTH, HEIGHT = 720, 240
POINTS = 240
"""So many points are drawn of a longer curve, each the mean of its share of the steps."""


@dataclass(frozen=True)
class Drawing:
    """Two curves over the steps, the loss on a scale of powers: points of polylines in a WIDTH by HEIGHT drawing."""

    training: str
    validation: str
    low: float
    high: float
    steps: int


def write_training_report(store: Store, layout: Layout, run_id: str) -> str:
    """Write the page of a training, also of one that goes on or was killed; returns its URI.

    Raises UsageError where there is no such training, or it has no step yet.
    """
    record = read_record(store, layout.training(run_id, "training.json"), TrainingRecord)
    if record is None:
        raise UsageError(f"no training {run_id} below {layout.trainings()}.")
    end = read_record(store, layout.training(run_id, "end.json"), TrainingEnd)
    frame = _curves(store, layout, run_id)
    page = template_of("tasks.report", "training.html.j2").render(
        record=record,
        end=end,
        drawing=drawing(frame),
        width=WIDTH,
        height=HEIGHT,
        restores=int(frame["restores"].iloc[-1]),
        clipped=float((frame["gradient_norm"] > 1).mean()),
        style=text_of("tasks.report", "page.css"),
    )
    uri = layout.training(run_id, "report.html")
    store.replace(uri, page.encode())
    return uri


def drawing(frame: pd.DataFrame) -> Drawing:
    """Both curves of what is minimised."""
    steps = int(frame["step"].iloc[-1])
    group = (frame["step"] - 1) * min(POINTS, len(frame)) // steps
    training = frame.groupby(group)[["step", "total"]].mean()
    validated = frame[frame["validation_total"].notna()]
    found = pd.concat([training["total"], validated["validation_total"]])
    low, high = float(found.min()), float(found.max())

    def points(xs: "pd.Series[float]", ys: "pd.Series[float]") -> str:
        return " ".join(f"{x / steps * WIDTH:.1f},{_height(y, low, high):.1f}" for x, y in zip(xs, ys, strict=True))

    return Drawing(
        points(training["step"], training["total"]),
        points(validated["step"], validated["validation_total"]),
        low,
        high,
        steps,
    )


def _height(loss: float, low: float, high: float) -> float:
    return HEIGHT * (1 - math.log(loss / low) / math.log(high / low)) if high > low else HEIGHT / 2


def _curves(store: Store, layout: Layout, run_id: str) -> pd.DataFrame:
    """The curves as they were written at the end, or as far as the last checkpoint."""
    uri = layout.training(run_id, CURVES)
    if store.stat(uri):
        found: pd.DataFrame = read_table(store, uri, schema.TRAINING).to_pandas()
        return found
    uri = layout.training(run_id, CHECKPOINT)
    if store.stat(uri) is None:
        raise UsageError(f"training {run_id} has written no checkpoint yet; look again later.")
    state = State.from_bytes(store.read(uri).data)
    return schema.table_of(rows_of(run_id, state), schema.TRAINING).to_pandas()  # type: ignore[no-any-return]
