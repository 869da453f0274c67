import pytest


@pytest.fixture
def store_root(tmp_path):
    """An empty root of a store."""
    return f"file://{tmp_path}/root"
