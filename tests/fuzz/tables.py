"""Whatever table lies where a manifest should, in any of its columns' types or in others."""

from datetime import datetime
from functools import cache

import pyarrow as pa
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.records import schema
from tests.fuzz import manifests, uris

DICTIONARY = uris.DICTIONARY
NUMBERS = st.floats() | st.sampled_from([0.0, -1.0, 1e-12, 1e300])
TEXTS = st.text(max_size=20) | st.sampled_from(["a", "a.wav", "optimise", "{}", '{"seed": 1}', '{"widths": [2, 2]}'])
STYLE = st.fixed_dictionaries({"uri": TEXTS | st.none()}, optional=dict.fromkeys(("start", "weight"), NUMBERS))
SLICES = ("content_start", "content_seconds", "style_start", "style_seconds")
PROPER = dict.fromkeys(SLICES, NUMBERS) | {
    "seed": st.integers(-1, 2**63 - 1),
    "styles": st.lists(STYLE | st.none(), max_size=3),
    "tags": st.lists(st.tuples(st.sampled_from("abc"), TEXTS | st.none()), max_size=3),
}
"""What a column may well hold; text where it is not named."""
ODD = (
    TEXTS,
    NUMBERS,
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.none(),
    st.binary(max_size=8),
    st.decimals(-9, 9),
    st.datetimes(datetime(1700, 1, 1)),
    st.lists(TEXTS, max_size=2),
    st.dictionaries(TEXTS, NUMBERS, max_size=2),
)
NAMES = st.sampled_from(schema.MANIFEST.names) | st.just("x_") | st.text(max_size=5).map("x_{}".format)


@st.composite
def tables(draw):
    """The bytes of a parquet file with any columns."""
    rows, more = draw(st.integers(0, 4)), draw(st.sets(NAMES, max_size=4))
    names = {"pair_id", "content_uri", draw(st.sampled_from(["style_uri", "styles"]))} | more
    known = {name: name if name in schema.MANIFEST.names else "" for name in sorted(names)}
    return _written({name: draw(_columns(known[name], rows)) for name in known})


@cache  # a strategy costs more to build than to draw from
def _columns(name, rows):
    def of(values, kind=None):
        return st.lists(st.none() | values, min_size=rows, max_size=rows).map(lambda cells: _array(cells, kind))

    proper = of(PROPER.get(name, TEXTS), schema.MANIFEST.field(name).type if name else None)
    return proper | proper | st.one_of(*map(of, ODD))


def _array(cells, kind):
    try:
        return pa.array(cells, kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
        return None


def _written(columns):
    assume(not any(array is None for array in columns.values()))
    try:
        return manifests.written(pa.table(columns))
    except pa.ArrowException:  # parquet has no such type
        assume(False)


@given(tables())
def _any_table(data):
    manifests.check(data)


check = _any_table.hypothesis.fuzz_one_input
"""Bytes as the choices by which hypothesis draws a table."""


def seeds():
    return [bytes(range(256)), bytes(64), *uris.seeds()]
