"""How often a pair was tried in vain: after so many attempts that count, reruns leave it alone."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tasks.records.reasons import POLICIES, Reason
from tasks.results import rows_of

_ASKED = ("params_sha256", "inputs")


def attempts_in_vain(rows: pd.DataFrame, names: pd.Series) -> dict[str, int]:
    """By name of the pair: its failed attempts that count, since its inputs or its parameters last changed.

    `rows` are attempts of a run and its reruns, oldest first; `names` say what pair each belongs to.
    """
    last: dict[str, tuple[Any, int]] = {}
    failed = rows.loc[rows["status"] == "failed", ["reason", *_ASKED]]
    for name, row in zip(names[failed.index], rows_of(failed), strict=True):
        asked = _asked(row)
        before, count = last.get(name, (asked, 0))
        count = count if before == asked else 0
        last[name] = (asked, count + POLICIES[Reason(row["reason"])].counted)
    return {name: count for name, (_, count) in last.items()}


def _asked(row: Mapping[str, Any]) -> tuple[Any, ...]:
    inputs = row["inputs"] if row["inputs"] is not None else ()
    return row["params_sha256"], *((i["role"], i["uri"], i["etag"], i["start"], i["seconds"]) for i in inputs)
