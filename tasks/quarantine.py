"""How often a pair was tried in vain: after so many attempts that count, reruns leave it alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tasks.asked import Numbers
from tasks.records.reasons import POLICIES, Reason
from tasks.results import rows_of

TOGETHER = ("params_sha256", "inputs")
"""The columns of what an attempt was asked for."""
WAS_ASKED = "was_asked"
"""A column of numbers that stands for these."""


def attempts_in_vain(rows: pd.DataFrame, pair: Numbers, pairs: int) -> Numbers:
    """Of each of so many pairs: its failed attempts that count, since its inputs or its parameters last changed.

    `rows` are attempts of a run and its reruns, oldest first, with the columns TOGETHER or, in their place, WAS_ASKED;
    `pair` says which pair each belongs to, -1 for none.
    """
    last: dict[int, int] = {}
    found = np.zeros(pairs, "int64")
    vain = (rows["status"] == "failed").to_numpy(bool) & (pair >= 0)
    failed = rows[vain]
    asked = failed[WAS_ASKED] if WAS_ASKED in failed else map(what_was_asked, rows_of(failed[list(TOGETHER)]))
    for number, reason, this in zip(pair[vain], failed["reason"], asked, strict=True):
        before = found[number] if last.get(number, this) == this else 0
        last[number], found[number] = this, before + POLICIES[Reason(reason)].counted
    return found


def what_was_asked(row: Mapping[str, Any]) -> int:
    """A number that stands for the inputs and parameters of an attempt (columns TOGETHER), in this process."""
    inputs = row["inputs"] if row["inputs"] is not None else ()
    return hash((row["params_sha256"], *((i["role"], i["uri"], i["etag"], i["start"], i["seconds"]) for i in inputs)))
