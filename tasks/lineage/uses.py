"""Which attempts used which clips, also by way of outputs that were inputs again."""

from collections.abc import Collection, Iterable

import pandas as pd

from tasks.records import schema


def uses(rows: pd.DataFrame) -> pd.DataFrame:
    """A line for each input of each attempt, with the columns of an input and the index of its attempt."""
    inputs = rows["inputs"].explode().dropna()
    return pd.DataFrame(inputs.tolist(), index=inputs.index, columns=[field.name for field in schema.INPUT])


def made_from(
    rows: pd.DataFrame, uri: str | None, digests: Iterable[str], trained_on: Collection[str] = ()
) -> tuple[pd.DataFrame, frozenset[str]]:
    """The uses by `ok` attempts of a clip, by its URI or a digest, and of whatever was made from it.

    Also the digests that count as it: those given, all that lay under its URI, and the outputs that were used again,
    as an input or (`trained_on`) by a training.
    """
    used = uses(rows)
    known = set(digests) | (set(used.loc[used["uri"] == uri, "sha256"].dropna()) if uri else set())
    used = used[(rows.loc[used.index, "status"] == "ok").to_numpy()]
    while True:
        found = used[used["sha256"].isin(known) | (used["uri"] == uri)]
        made = set(rows.loc[found.index.unique(), "audio_sha256"].dropna())
        again = (made & {*used["sha256"], *trained_on}) - known
        if not again:
            return found, frozenset(known)
        known |= again
