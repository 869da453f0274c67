import io

import pandas as pd
import pytest

from tasks.records import schema
from tasks.stored import parquet_bytes


def test_results_without_a_failure_and_with_failures_only_read_back_together(tmp_path):
    ok = {"run_id": "r1", "manifest_row": 0, "status": "ok", "style_loss": 0.5, "tags": [("a", "b")]}
    failed = {"run_id": "r1", "manifest_row": 1, "status": "failed", "reason": "bug"}
    for number, row in enumerate([ok, failed]):
        folder = tmp_path / "night=2026-01-01" / "run=r1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"shard-{number}.parquet").write_bytes(parquet_bytes(schema.table_of([row], schema.RESULTS)))
    frame = pd.read_parquet(tmp_path).sort_values("manifest_row")
    assert list(frame["status"]) == ["ok", "failed"]
    assert frame["reason"].isna().tolist() == [True, False]
    assert frame["run"].astype(str).unique().tolist() == ["r1"]


def test_a_column_that_is_not_in_the_schema_is_our_mistake():
    with pytest.raises(KeyError, match="stlye_loss"):
        schema.table_of([{"stlye_loss": 1.0}], schema.RESULTS)


def test_every_column_says_what_it_is():
    for column in (*schema.RESULTS_COLUMNS, *schema.MANIFEST_COLUMNS, *schema.CURVES_COLUMNS, *schema.SKIPPED_COLUMNS):
        assert column.doc


def test_curves_read_back_in_pandas():
    row = {"run_id": "r", "manifest_row": 0, "stage": ["spectrogram"], "total": [1.0], "content": [0.5], "style": [0.5]}
    data = parquet_bytes(schema.table_of([row], schema.CURVES))
    assert pd.read_parquet(io.BytesIO(data)).iloc[0]["total"].tolist() == [1.0]
