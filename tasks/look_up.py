"""Look at the inputs of pairs before anything is read: what is there, in which version, and what may not be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.in_threads import in_threads
from tasks.manifest.pairs import ETAGS, Pairs
from tasks.overrides import shown
from tasks.records.pair import Fault, Input, Pair
from tasks.records.reasons import PairError, Reason
from tasks.roots import Roots
from tasks.store import open_store
from tasks.withdrawn import NOTHING, Withdrawn


def look_up(pairs: Pairs, roots: Roots, withdrawn: Withdrawn = NOTHING) -> Pairs:
    """Give every input its ETag, where it has one, and every pair that may not be read its fault.

    A missing input keeps no ETag: the worker that reads it says so in its attempt.
    """
    listed = sorted({one["uri"] for styles in _styles(pairs) for one in styles or ()})
    uris = _sound(pairs, listed)
    etags, forbidden = _looks(uris.to_pylist(), roots)

    def of(some: Any) -> Any:
        return pc.take(etags, pc.index_in(some, value_set=uris))

    columns = [of(pairs.table[name]) for name in ("content_uri", "style_uri")]
    found = replace(
        pairs,
        etags=pa.table(columns, names=ETAGS),
        etags_of_styles=dict(zip(listed, of(pa.array(listed, pa.string())).to_pylist(), strict=True)),
    )
    return replace(found, faults={**found.faults, **_refused(found, forbidden, withdrawn)})


def etag_of(uri: str, roots: Roots) -> str | PairError | None:
    """The ETag of an input, None where there is none, or what keeps it from being looked at."""
    try:
        roots.check(uri)
        stat = open_store(uri).stat(uri)
        return stat.etag if stat else None
    except PairError as error:
        return error


def _styles(pairs: Pairs) -> Iterator[Any]:
    """The column `styles` of the rows that have no fault."""
    column = pairs.table["styles"]
    if column.null_count < len(column):
        yield from (styles for row, styles in enumerate(column.to_pylist()) if row not in pairs.faults)


def _sound(pairs: Pairs, listed: Sequence[str]) -> pa.Array:
    """Every URI once, but for those of rows that have a fault."""
    table = pairs.table.select(["content_uri", "style_uri", "styles"])
    if pairs.faults:
        sound = np.ones(table.num_rows, bool)
        sound[list(pairs.faults)] = False
        table = table.filter(pa.array(sound))
    own = pc.equal(pc.fill_null(pc.list_value_length(table["styles"]), 0), 0)  # an empty list is none
    chunks = [*table["content_uri"].chunks, *pc.filter(table["style_uri"], own).chunks, pa.array(listed, pa.string())]
    return pc.unique(pc.drop_null(pa.chunked_array(chunks, pa.string()))).sort()


def _looks(uris: Sequence[str], roots: Roots) -> tuple[pa.Array, dict[str, PairError]]:
    """The ETags of some URIs, null where there is none, and what is forbidden among them."""
    etags: list[str | None] = []
    forbidden: dict[str, PairError] = {}
    for uri, found in zip(uris, in_threads(lambda uri: etag_of(uri, roots), uris), strict=True):
        etags.append(found if isinstance(found, str) else None)
        if isinstance(found, PairError) and found.reason is Reason.INPUT_FORBIDDEN:
            forbidden[uri] = found
    return pa.array(etags, pa.string()), forbidden


def _refused(pairs: Pairs, forbidden: Mapping[str, PairError], withdrawn: Withdrawn) -> dict[int, tuple[Fault, ...]]:
    """The faults of pairs with an input that may not be read."""
    uris = pa.array({*forbidden, *withdrawn.by_uri}, pa.string())
    if not len(uris):
        return {}
    masks = [np.asarray(pc.is_in(pairs.table[name], value_set=uris)) for name in ("content_uri", "style_uri")]
    lists = np.asarray(pc.fill_null(pc.greater(pc.list_value_length(pairs.table["styles"]), 0), False))
    suspects = pairs.only(np.flatnonzero(masks[0] | masks[1] | lists))
    refused = {}
    for pair in suspects:
        if not pair.faults and (faults := tuple(_faults(pair, forbidden, withdrawn))):
            refused[pair.manifest_row] = faults
    return refused


def _faults(pair: Pair, forbidden: Mapping[str, PairError], withdrawn: Withdrawn) -> Iterator[Fault]:
    def errors(one: Input) -> Iterator[tuple[PairError | None, str]]:
        yield withdrawn.refusal(one), "choose another"
        yield forbidden.get(one.uri), "or mend the row"

    for one in pair.inputs:
        for error, remedy in errors(one):
            if error is not None:
                yield Fault(pair.manifest_row, f"{one.role}_uri", shown(one.uri), error.reason, error.message, remedy)
