"""What the Prefect tasks add to the plain functions: keys of assets."""

import pytest
from prefect.assets import Asset

from tasks.steps import asset_key


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://music/root/results/night=2026-11-24", "s3://music/root/results/night=2026-11-24"),
        ("file:///home/me/my music/{a} 100%.parquet", "file:///home/me/my_music/_a__100_.parquet"),
        ("s3://music/" + "a" * 600, "s3://music/" + "a" * 501),
    ],
)
def test_a_uri_is_a_key_that_prefect_takes(uri, key):
    assert Asset(key=asset_key(uri)).key == key


def test_a_key_holds_no_credential():
    assert "secret" not in asset_key("s3://me:secret@music/manifest.parquet?X-Amz-Signature=secret")
