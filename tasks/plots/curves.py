"""Loss curves and pictures of pairs, read and put beside their rows."""

from typing import Any

import pandas as pd

from tasks.attempts import served_by
from tasks.curves import read_curves
from tasks.layout import Layout
from tasks.records import schema
from tasks.results import rows_of
from tasks.store import open_store
from tasks.withdrawn import read_withdrawn

COLUMNS = [c.name for c in schema.CURVES_COLUMNS if c.name not in {c.name for c in schema.RESULTS_COLUMNS}]


def with_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `standing()` or of results with the columns of their curves: stage, total, content, style, picture_*.

    They are null where a pair has none: it failed, its file of curves is gone, or one of its inputs is withdrawn.
    """
    known = rows["curves_uri"].notna() & ~rows.index.isin(_withdrawn(rows))
    found = read_curves(rows.loc[known, "curves_uri"].unique())
    keys = [served_by(row) if is_known else None for row, is_known in zip(rows_of(rows), known, strict=True)]
    curves = [found.get(key or "", {}) for key in keys]
    columns = {name: pd.Series([one.get(name) for one in curves], rows.index, dtype=object) for name in COLUMNS}
    return rows.assign(**columns)


def root_of(uri: str | None, folder: str) -> str | None:
    """The root that an object lies under, from its URI and the first folder below the root."""
    root, between, _ = (uri or "").rpartition(f"/{folder}/night=")
    return root if between else None


def _withdrawn(rows: pd.DataFrame) -> list[Any]:
    """The index of rows with an input that is withdrawn: a file of curves that other pairs share keeps theirs."""
    roots = rows["curves_uri"].map(lambda uri: root_of(uri, "curves"), na_action="ignore")
    found: list[Any] = []
    for root in roots.dropna().unique():
        layout = Layout(root)
        found += read_withdrawn(open_store(root), layout).of(rows[roots == root])
    return found
