"""How often a pair was tried in vain: after so many attempts that count, reruns leave it alone."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tasks.records.reasons import POLICIES, Reason
from tasks.results import rows_of

ASKED = ("params_sha256", "inputs")


def attempts_in_vain(rows: pd.DataFrame, names: pd.Series) -> dict[str, int]:
    """By name of the pair: its failed attempts that count, since its inputs or its parameters last changed.

    `rows` are attempts of a run and its reruns, oldest first, with the columns ASKED or, in their place, `asked`;
    `names` say what pair each belongs to.
    """
    last: dict[str, tuple[int, int]] = {}
    failed = rows[rows["status"] == "failed"]
    asked = failed["asked"] if "asked" in failed else map(what_was_asked, rows_of(failed[list(ASKED)]))
    for name, reason, this in zip(names[failed.index], failed["reason"], asked, strict=True):
        before, count = last.get(name, (this, 0))
        count = count if before == this else 0
        last[name] = (this, count + POLICIES[Reason(reason)].counted)
    return {name: count for name, (_, count) in last.items()}


def what_was_asked(row: Mapping[str, Any]) -> int:
    """A number that stands for the inputs and parameters of an attempt (columns ASKED), in this process."""
    inputs = row["inputs"] if row["inputs"] is not None else ()
    return hash((row["params_sha256"], *((i["role"], i["uri"], i["etag"], i["start"], i["seconds"]) for i in inputs)))
