"""The figures of results that can be drawn, with what the schema says of each."""

from difflib import get_close_matches

import pandas as pd
import pyarrow as pa

from tasks.records import schema
from tasks.records.reasons import UsageError

FIGURES = {
    c.name: c.doc for c in (*schema.QUALITY_COLUMNS, *schema.EFFORT_COLUMNS) if c.type in (pa.float64(), pa.int64())
}
"""Column and what it is, with its unit."""


def checked(name: str) -> str:
    """Raises UsageError, with the nearest name, where no figure is called so."""
    if name not in FIGURES:
        close = get_close_matches(name, FIGURES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose of {', '.join(FIGURES)}."
        raise UsageError(f"no figure {name!r} in the results; {hint}")
    return name


def done(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that have figures. Raises UsageError where none has."""
    found = rows[rows["status"] == "ok"]
    if found.empty:
        raise UsageError("nothing to draw: no pair is done; `gramophone status --latest` says how they stand.")
    return found
