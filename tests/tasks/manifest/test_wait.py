"""A manifest that comes late, or does not come."""

import threading

import pandas as pd
import pytest

from tasks.manifest import NoManifest, await_manifest
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError
from tasks.store import join, open_store


@pytest.fixture
def uri(any_root):
    return join(any_root, "manifest.parquet")


def rows():
    return pd.DataFrame([{"pair_id": "a", "content_uri": "a.wav", "style_uri": "b.wav"}]).to_parquet()


def wait(uri, seconds, told):
    return await_manifest(open_store(uri), uri, Parameters(), seconds, told.append, every=0.05)


def test_a_manifest_that_is_there_is_not_waited_for(uri):
    open_store(uri).create(uri, rows())
    told = []
    assert len(wait(uri, 60, told)) == 1
    assert told == []


def test_a_manifest_that_comes_late_is_read(uri):
    told, waiting = [], threading.Event()

    class Told(list):
        def append(self, text):
            told.append(text)
            waiting.set()

    def write():
        waiting.wait(30)
        open_store(uri).create(uri, rows())

    writer = threading.Thread(target=write)
    writer.start()
    assert len(wait(uri, 60, Told())) == 1
    writer.join()
    assert len(told) == 1
    assert "waiting up to 60 s" in told[0]


def test_a_manifest_that_does_not_come_is_said_with_how_long_it_was_waited_for(uri):
    with pytest.raises(NoManifest, match=r"no manifest at .*Waited 0.2 s for it; run again"):
        wait(uri, 0.2, [])


def test_a_manifest_that_is_wrong_is_said_at_once(uri):
    open_store(uri).create(uri, b"pair_id,content_uri")
    with pytest.raises(UsageError, match="not a parquet file"):
        wait(uri, 60, [])
