"""What no result names is found once its run is over; what one names, or may name yet, is never touched."""

import os
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.at_work import at_work
from tasks.gc import orphans, removed
from tasks.layout import Layout
from tasks.records.reasons import OutOfReach
from tasks.store import join, open_store
from tasks.store.s3 import S3Store
from tests.proxy import Fault, proxy_to
from tests.tasks.store.support import child
from tests.tasks.test_verify import Results

IN_THE_FUTURE = 4e9  # by then nothing is young


@pytest.fixture
def results(any_root):
    """A run whose two pairs are committed."""
    return Results(any_root)


def left_behind(results, name="audio/night=2026-01-01/run=killed/p0.0123456789ab.flac", data=b"sound"):
    """An object that a killed run has stored and never named."""
    uri = join(results.layout.root, name)
    results.store.create(uri, data)
    return uri


def found(results, before=IN_THE_FUTURE):
    return [orphan.uri for orphan in orphans(results.store, results.layout, before)]


def after(store, uri):
    """A moment after an object was changed and before the next change, by the store's own clock."""
    beside, changed = f"{uri}-clock", store.stat(uri).modified
    while True:
        store.replace(beside, secrets.token_bytes(4))
        now = store.stat(beside).modified
        if now > changed:
            store.delete(beside)
            return now


def test_what_a_row_names_is_never_found(results):
    assert found(results) == []


def test_audio_and_curves_that_nothing_names_and_probes_are_found(results):
    left = [
        left_behind(results),
        left_behind(results, "curves/night=2026-01-01/run=killed/shard-00000.0123456789ab.parquet"),
        left_behind(results, "probe/0123456789abcdef-3"),
    ]
    left_behind(results, "models/0123/net.safetensors")
    assert found(results) == left
    assert [orphan.size for orphan in orphans(results.store, results.layout, IN_THE_FUTURE)] == [5, 5, 5]


def test_of_a_run_that_has_committed_only_what_it_does_not_name_is_found(results):
    loser = left_behind(results, "audio/night=2026-01-01/run=r/p0.0123456789ab.flac")
    assert found(results) == [loser], "of two executors of one shard, one was dropped"


def test_what_is_deleted_is_gone_and_verify_finds_nothing_new(results):
    left_behind(results)
    gone = list(removed(results.store, orphans(results.store, results.layout, IN_THE_FUTURE)))
    assert [refusal for _, refusal in gone] == [None]
    assert found(results) == []
    assert results.faults() == []


def test_what_is_younger_is_kept(results):
    old = left_behind(results)
    moment = after(results.store, old)
    young = left_behind(results, "audio/night=2026-01-01/run=killed-later/p0.0123456789ab.flac")
    assert found(results, moment) == [old]
    assert found(results) == sorted([old, young])


@pytest.mark.parametrize(
    "sign",
    [
        "audio/night=2026-01-01/run=killed/p1.0123456789ab.flac",
        "results/night=2026-01-01/run=killed/shard-00007.parquet",
        "runs/killed/run.json",
    ],
)
def test_a_run_that_has_written_anything_lately_keeps_all_that_it_has_written(results, sign):
    old = left_behind(results)
    moment = after(results.store, old)
    results.store.create(
        join(results.layout.root, sign), results.store.read(results.layout.shard_results("2026-01-01", "r", 0)).data
    )
    assert found(results, moment) == []
    assert old in found(results)


def test_a_run_that_works_on_this_machine_keeps_what_it_wrote_whatever_its_age(results):
    left_behind(results)
    with at_work("killed"):
        assert found(results) == []
    assert len(found(results)) == 1


def test_nothing_is_found_where_results_cannot_be_read_since_they_may_name_it(results):
    left_behind(results)
    results.store.replace(results.layout.shard_results("2026-01-01", "r", 0), b"PAR1 and no more")
    with pytest.raises(OutOfReach, match=r"shard-00000\.parquet cannot be read"):
        found(results)


def test_a_folder_that_was_moved_keeps_what_its_rows_name(tmp_path):
    Results(f"file://{tmp_path}/before")
    os.rename(tmp_path / "before", tmp_path / "after")
    moved = f"file://{tmp_path}/after"
    assert orphans(open_store(moved), Layout(moved), IN_THE_FUTURE) == []


def test_more_objects_than_one_page_of_a_listing_are_found_and_deleted(results):
    with ThreadPoolExecutor(16) as pool:
        names = [f"audio/night=2026-01-01/run=killed/p{n}.0123456789ab.flac" for n in range(1_010)]
        left = sorted(pool.map(lambda name: left_behind(results, name, b"x"), names))
    orphaned = orphans(results.store, results.layout, IN_THE_FUTURE)
    assert [orphan.uri for orphan in orphaned] == left
    assert not any(refusal for _, refusal in removed(results.store, orphaned))
    assert found(results) == []
    assert results.faults() == []


def test_a_delete_that_a_bucket_refuses_is_said_and_the_others_go_on(s3_server, s3_address):
    results = Results(join(s3_server, secrets.token_hex(6)))
    left = [left_behind(results, f"probe/{n}") for n in range(3)]
    with proxy_to(s3_address) as proxy:
        proxy.script = lambda method, path, number: Fault.DENIED_403 if path.endswith("probe/1") else None
        store = S3Store(proxy.url, os.environ.get("GRAMOPHONE_S3_REGION"))
        said = list(removed(store, orphans(store, results.layout, IN_THE_FUTURE)))
    assert [refusal and "AccessDenied" in refusal for _, refusal in said] == [None, True, None]
    assert found(results) == [left[1]]


REMOVE = """
import os, sys
from tasks.gc import orphans, removed
from tasks.layout import Layout
from tasks.store import open_store
root = sys.argv[1]
found = orphans(open_store(root), Layout(root), 4e9)
if os.geteuid() == 0:
    os.setuid(65534)
for _, refusal in removed(open_store(root), found):
    print(refusal)
"""


def test_a_delete_that_a_folder_refuses_is_said(tmp_path):
    results = Results(f"file://{tmp_path}/root")
    uri = left_behind(results, "probe/1")
    (tmp_path / "root/probe").chmod(0o555)
    done = child(REMOVE, results.layout.root)
    (tmp_path / "root/probe").chmod(0o755)
    assert "root/probe/1" in done.stdout, done.stderr
    assert "Permission denied" in done.stdout
    assert found(results) == [uri]
