import secrets

import pytest


@pytest.fixture
def store_root(tmp_path):
    """An empty root of a store in a folder."""
    return f"file://{tmp_path}/root"


@pytest.fixture(params=["folder", "bucket"])
def any_root(request, tmp_path):
    """An empty root of every kind of store in turn."""
    if request.param == "folder":
        return f"file://{tmp_path}/root"
    return f"{request.getfixturevalue('s3_server')}/{secrets.token_hex(6)}"
