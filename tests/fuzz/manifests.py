"""Whatever bytes lie where a manifest should: a table of the schema and the faults of its rows, or a refusal."""

import io
import json
import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tasks.manifest import read_manifest
from tasks.records import schema
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, UsageError
from tasks.records.run import Options
from tasks.roots import canonical_uri
from tasks.store import open_store

OPTIONS = Options(max_manifest_mb=8, max_rows=10_000, max_cell_kb=4)
DICTIONARY = (*schema.MANIFEST.names, "x_", "PAR1", "ARROW:schema", "list", "element", "key_value", "key", "value")

ROWS = [
    {"pair_id": "a", "content_uri": "a.wav", "style_uri": "b.wav", "seed": 7, "method": "optimise"},
    {"pair_id": "b", "content_uri": "s3://music/a.wav", "styles": [{"uri": "b.wav", "start": 0.5, "weight": 2.0}]},
    {"pair_id": "c", "content_uri": "/c.wav", "style_uri": "c.wav", "content_start": 1.0, "style_seconds": 2.0},
    {"pair_id": "d", "content_uri": "../d.wav", "style_uri": "d.wav", "params": json.dumps({"widths": [2, 8]})},
    {"pair_id": "e", "content_uri": "e.wav", "style_uri": "e.wav", "tags": [("mood", "calm"), ("bpm", "90")]},
]


def seeds():
    """The same rows in the ways in which parquet can be written, small as the fuzzer likes it."""
    tables = [schema.table_of(rows, schema.MANIFEST) for rows in (ROWS, ROWS[:1], [])]
    tables.append(tables[0].select(["pair_id", "content_uri", "style_uri"]))
    tables.append(tables[0].append_column("x_mood", [["calm"] * 5]))
    ways = (
        {"compression": "none"},
        {"compression": "snappy", "row_group_size": 2},
        {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"},
        {"compression": "zstd", "write_page_checksum": True},
        {"compression": "none", "store_schema": False, "write_statistics": False},
    )
    return [written(table, **way) for table in tables for way in ways]


def check(data):
    """Bytes as a manifest. Returns what came of it."""
    path = Path(_folder().name, "manifest.parquet")
    path.write_bytes(data)
    files = len(os.listdir("/proc/self/fd"))
    try:
        manifest = read_manifest(open_store(path.as_uri()), path.as_uri(), Parameters(), OPTIONS)
    except UsageError as error:
        return _refused(str(error), path.as_uri())
    finally:
        assert len(os.listdir("/proc/self/fd")) <= files, "a file is left open"
    _check_table(manifest.table)
    pairs = list(manifest.pairs(Parameters()))
    assert [pair.manifest_row for pair in pairs] == list(range(len(manifest)))
    assert set(manifest.faults) <= set(range(len(manifest)))
    for pair in pairs:
        _check_pair(pair)
    return "faulty" if manifest.faults else "read"


def _refused(message, uri):
    assert uri in message
    assert message.replace("\n", "").isprintable(), message
    return "refused"


def _check_table(table):
    table.validate(full=True)
    assert table.num_rows <= OPTIONS.max_rows
    assert table.select(schema.MANIFEST.names).schema.types == schema.MANIFEST.types
    assert all(name.startswith("x_") for name in table.column_names if name not in schema.MANIFEST.names)
    again = pq.read_table(io.BytesIO(written(table)))  # a run keeps its own copy
    assert again.num_rows == table.num_rows


def _check_pair(pair):
    if pair.faults:
        assert isinstance(pair.error(), PairError)
        assert pair.error().message.isprintable()
        return
    assert pair.params is not None
    assert len(pair.params.sha256()) == 64
    for given in pair.inputs:
        assert canonical_uri(given.uri, "file:///") == given.uri
        assert np.isfinite([given.start or 0.0, given.seconds or 1.0, given.weight]).all()
        assert (given.start or 0.0) >= 0 < (given.seconds or 1.0) * given.weight


def written(table, **way):
    file = io.BytesIO()
    pq.write_table(table, file, **way)
    return file.getvalue()


@cache
def _folder():
    return tempfile.TemporaryDirectory(prefix="gramophone-fuzz-")
