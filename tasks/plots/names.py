"""What things are called in a picture: short, told apart, and nothing but text."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tasks.records.reasons import printable
from tasks.records.words import pair_name

Row = Mapping[str, Any] | pd.Series
MOST_CHARACTERS = 34


def names_of(uris: Iterable[str]) -> dict[str, str]:
    """For each URI the shortest of its endings that no other has: its name without suffix, with it, with its folder."""
    endings = {uri: _endings(uri) for uri in uris}
    shared = Counter(end for ends in endings.values() for end in set(ends))
    return {uri: next((end for end in ends if shared[end] == 1), uri) for uri, ends in endings.items()}


def _endings(uri: str) -> list[str]:
    parts = uri.split("/")
    return [parts[-1].rsplit(".", 1)[0] or parts[-1], *("/".join(parts[-n:]) for n in range(1, len(parts)))]


def text(name: str) -> str:
    """A name that a manifest gave, as matplotlib shows it letter by letter and not as a formula, shortened."""
    name = printable(name).replace("\n", " ")
    if len(name) > MOST_CHARACTERS:
        name = f"{name[: MOST_CHARACTERS // 2]}…{name[1 - MOST_CHARACTERS // 2 :]}"
    return name.replace("$", r"\$")


def of_pair(row: Row) -> str:
    return pair_name(row["pair_id"], row["manifest_row"])


def inputs_of(row: Row, role: str) -> list[Mapping[str, Any]]:
    """A row's inputs of one role, in the order in which they were given."""
    return [one for one in (row["inputs"] if row["inputs"] is not None else ()) if one["role"] == role]
