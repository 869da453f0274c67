"""What people see: tables on stdout, one bar or plain lines on stderr."""

import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import click
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tasks.records.reasons import printable

LINE_EVERY_SECONDS = 30.0
MOST_ROWS = 50


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout; cells are shown as they are, whatever they contain, and do nothing to a terminal."""
    from rich.text import Text

    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)
    made = Table(title=title, title_justify="left", header_style="bold", show_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell(value)) for value in row))
    console.print(made)


def cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT or value is pd.NA:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def more(rows: int, command: str) -> None:
    """Where a table of MOST_ROWS has not shown all: how many are left, and what shows them."""
    if rows > MOST_ROWS:
        click.echo(f"... and {rows - MOST_ROWS} more: {command}")


def amount(found: Sequence[Any]) -> str:
    """How many objects, and how large they are together."""
    objects = "1 object" if len(found) == 1 else f"{len(found):,} objects"
    return f"{objects}, {sum(one.size for one in found) / 1e6:,.1f} MB"


def say(text: str) -> None:
    """A line on stderr, whether somebody still reads it or not: a run goes on without."""
    with suppress(OSError):
        click.echo(text, err=True)


def as_json(value: Any) -> None:
    """The value, and nothing else, on stdout."""
    click.echo(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """The value in JSON's types: tables become lists of objects, what is missing null, times ISO 8601."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        items = value if isinstance(value, list | tuple) else value.tolist()
        return [plain(v) for v in items] if isinstance(items, list | tuple) else plain(items)
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, datetime) else value if isinstance(value, int | bool) else str(value)


class Meter:
    """Progress of `total` steps: one bar on a terminal, a plain line every half minute elsewhere (stderr)."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what, self._done = total, what, 0
        self._said = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (
                TextColumn(what),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(what, total=total, note="")

    def __enter__(self) -> "Meter":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        self.note(note)

    def note(self, note: str) -> None:
        self._total = max(self._total, self._done)  # a long track is several times what one segment takes
        if self._bar is not None:
            self._bar.update(self._task, total=self._total, completed=self._done, note=note)
        elif time.monotonic() - self._said >= LINE_EVERY_SECONDS:
            self._said = time.monotonic()
            say(f"{self._what} {self._done}/{self._total} {note}".rstrip())
