"""Pairs as a manifest makes them, from what inputs and parameters they should have."""

import pyarrow as pa

from tasks.manifest.pairs import ETAGS, Pairs
from tasks.records import schema
from tasks.records.parameters import Parameters


def row(number, **cells):
    return {"pair_id": f"p{number}", "content_uri": f"file:///c{number}.wav", "style_uri": "file:///s.wav"} | cells


def pairs_of(*rows, etags=None, base=None):
    """The pairs of some rows (default: as `row`) whose inputs have ETAGS, a tuple for each."""
    table = schema.table_of(list(rows), schema.MANIFEST)
    looked_up = None
    if etags is not None:
        kind = pa.schema([pa.field(name, pa.string()) for name in ETAGS])
        looked_up = pa.Table.from_pylist([dict(zip(ETAGS, one, strict=True)) for one in etags], kind)
    return Pairs(table, base or Parameters(), etags=looked_up)
