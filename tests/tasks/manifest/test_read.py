import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.manifest import read_manifest
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError
from tasks.store import open_store
from tests.fuzz import manifests, tables

GOOD = {"pair_id": "a", "content_uri": "a.wav", "style_uri": "b.wav"}


@pytest.fixture
def read(tmp_path):
    def _read(rows, **columns):
        frame = pd.DataFrame(rows)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        for name, array in columns.items():
            table = table.append_column(name, array)
        pq.write_table(table, tmp_path / "manifest.parquet")
        return read_path(tmp_path / "manifest.parquet")

    return _read


def read_path(path):
    uri = f"file://{path}"
    return read_manifest(open_store(uri), uri, Parameters())


def reasons(manifest):
    return {(fault.row, fault.column, str(fault.reason)) for fault in manifest.all_faults()}


def test_relative_uris_resolve_against_the_manifest(read, tmp_path):
    manifest = read([GOOD])
    [pair] = manifest.pairs(Parameters())
    assert pair.content.uri == f"file://{tmp_path}/a.wav"
    assert not pair.faults


def test_names_are_taken_literally(read, tmp_path):
    manifest = read([GOOD | {"content_uri": "Kick #3 [dry] 100%.wav"}])
    [pair] = manifest.pairs(Parameters())
    assert pair.content.uri == f"file://{tmp_path}/Kick #3 [dry] 100%.wav"


def test_all_faults_are_found_at_once(read):
    manifest = read(
        [
            GOOD,
            GOOD | {"pair_id": None},
            GOOD | {"pair_id": "with space"},
            GOOD | {"pair_id": "twin"},
            GOOD | {"pair_id": "twin"},
            GOOD | {"pair_id": "no-content", "content_uri": None},
            GOOD | {"pair_id": "no-style", "style_uri": ""},
            GOOD | {"pair_id": "web", "content_uri": "http://127.0.0.1/a.wav"},
            GOOD | {"pair_id": "start", "content_start": -1.0},
            GOOD | {"pair_id": "length", "style_seconds": 0.0},
            GOOD | {"pair_id": "infinite", "content_start": float("inf")},
            GOOD | {"pair_id": "method", "method": "magic"},
            GOOD | {"pair_id": "json", "params": "{"},
            GOOD | {"pair_id": "weight", "params": json.dumps({"content_weight": -1, "n_ftt": 3})},
        ]
    )
    assert reasons(manifest) == {
        (1, "pair_id", "row_invalid"),
        (2, "pair_id", "row_invalid"),
        (3, "pair_id", "row_invalid"),
        (4, "pair_id", "row_invalid"),
        (5, "content_uri", "row_invalid"),
        (6, "style_uri", "row_invalid"),
        (7, "content_uri", "input_forbidden"),
        (8, "content_start", "row_invalid"),
        (9, "style_seconds", "row_invalid"),
        (10, "content_start", "row_invalid"),
        (11, "method", "row_invalid"),
        (12, "params", "params_invalid"),
        (13, "params", "params_invalid"),
    }
    assert all(fault.why and fault.remedy for fault in manifest.all_faults())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"pair_id": "a", "style_uri": "b"}], "column 'content_uri' is missing"),
        ([{"pair_id": "a", "content_uri": "b"}], "column 'style_uri' is missing"),
        ([GOOD | {"Pair_ID": "x"}], "column 'Pair_ID' is not known (did you mean 'pair_id'?)"),
        ([GOOD | {"weight": 2}], "column 'weight' is not known"),
        ([GOOD | {"pair_id": 1}], "column 'pair_id' is int64"),
        ([GOOD | {"pair_id": 1.0}], "column 'pair_id' is double"),
        ([GOOD | {"pair_id": b"\xff"}], "column 'pair_id' is binary"),
        ([GOOD | {"pair_id": ["a"]}], "column 'pair_id' is list"),
        ([GOOD | {"content_start": "1"}], "column 'content_start' is"),
    ],
)
def test_a_column_that_is_wrong_is_wrong_for_the_whole_manifest(read, rows, words):
    with pytest.raises(UsageError) as caught:
        read(rows)
    assert words in str(caught.value)


def test_columns_of_ones_own_are_carried(read):
    assert "x_mood" in read([GOOD | {"x_mood": "calm"}]).table.column_names


def test_a_missing_manifest_says_how_to_build_one(tmp_path):
    with pytest.raises(UsageError, match="gramophone manifest build"):
        read_path(tmp_path / "none.parquet")


def test_a_folder_of_parquet_files_is_one_manifest(tmp_path):
    for number, name in enumerate("ab"):
        pd.DataFrame([GOOD | {"pair_id": name}]).to_parquet(tmp_path / f"part-{number}.parquet")
    manifest = read_path(tmp_path)
    assert [pair.pair_id for pair in manifest.pairs(Parameters())] == ["a", "b"]
    assert [pair.manifest_row for pair in manifest.pairs(Parameters())] == [0, 1]


def test_entries_in_styles_are_styles_with_their_slices_and_weights(read):
    kind = pa.list_(
        pa.struct([("uri", pa.string()), ("start", pa.float64()), ("seconds", pa.float64()), ("weight", pa.float64())])
    )
    one = {"uri": "s.wav", "start": 1.0, "seconds": 2.0, "weight": 0.5}
    rows = [{"pair_id": "a", "content_uri": "a.wav"}, {"pair_id": "b", "content_uri": "a.wav"}]
    other = {"uri": "t.wav", "start": None, "seconds": None, "weight": None}
    manifest = read(rows, styles=pa.array([[one], [one, other]], kind))
    single, both = manifest.pairs(Parameters())
    assert (single.style.start, single.style.seconds, single.style.weight) == (1.0, 2.0, 0.5)
    assert [(i.role, i.uri.rsplit("/", 1)[-1], i.weight) for i in both.inputs[1:]] == [
        ("style", "s.wav", 0.5), ("style", "t.wav", 1.0),
    ]  # fmt: skip
    assert not single.faults
    assert not both.faults


def test_tags_and_seed_reach_the_pair(read):
    manifest = read([GOOD], tags=pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())), seed=pa.array([7]))
    [pair] = manifest.pairs(Parameters())
    assert pair.tags == (("k", "v"),)
    assert pair.params.seed == 7


def test_a_tag_that_is_there_twice_is_a_fault_of_its_row(read):
    tags = pa.array([[("k", "v"), ("k", "w")], [("k", "v")]], pa.map_(pa.string(), pa.string()))
    manifest = read([GOOD, GOOD | {"pair_id": "b"}], tags=tags)
    assert reasons(manifest) == {(0, "tags", "row_invalid")}
    assert [len(pair.tags) for pair in manifest.pairs(Parameters())] == [0, 1]


@settings(max_examples=50, deadline=None)
@given(tables.tables())
def test_whatever_a_table_holds_it_is_a_manifest_with_its_faults_or_refused(data):
    manifests.check(data)


EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=3)), min_size=1, max_size=9)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(manifests.seeds()), EDITS)
def test_whatever_becomes_of_the_bytes_of_a_manifest_it_is_one_or_refused(data, edits):
    changed = bytearray(data)
    for at, found in edits:
        changed[at % len(data) : at % len(data) + len(found)] = found
    manifests.check(bytes(changed))


@pytest.mark.slow
def test_a_million_rows_are_read_and_checked_in_bounded_memory(tmp_path):
    names = np.char.add("pair-", np.arange(1_000_000).astype(str))
    path = tmp_path / "manifest.parquet"
    pq.write_table(pa.table({"pair_id": names, "content_uri": names, "style_uri": names}), path)
    assert read_path(path).all_faults() == []
