"""Objects are read whole or not at all, and created once or not at all: in folders and in buckets."""

import copy
import hashlib
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.records.reasons import OutOfReach, PairError, Reason, UsageError
from tasks.store import AlreadyExists, LocalStore, join, open_store
from tasks.store.probe import probe
from tests.tasks.store.support import child, names, refusal


@pytest.fixture
def store_root(any_root):
    return any_root


@pytest.fixture
def store(store_root):
    return open_store(store_root)


@pytest.fixture
def uri(store_root):
    return join(store_root, "results", "shard-00001.parquet")


def test_what_was_created_is_read_with_its_digest(store, uri):
    store.create(uri, b"one")
    blob = store.read(uri)
    assert (blob.uri, blob.data, blob.sha256) == (uri, b"one", hashlib.sha256(b"one").hexdigest())
    assert store.stat(uri).size == 3
    assert store.stat(uri).etag == blob.etag
    assert store.read(uri, etag=blob.etag) == blob


def test_an_empty_object_is_an_object(store, uri):
    store.create(uri, b"")
    assert store.read(uri).data == b""


def test_what_is_there_is_not_created_again(store, uri):
    store.create(uri, b"one")
    with pytest.raises(AlreadyExists):
        store.create(uri, b"two")
    assert store.read(uri).data == b"one"


def test_what_is_named_by_its_digest_is_kept_and_other_bytes_of_that_name_are_told(store, uri):
    store.keep(uri, b"ours")
    store.keep(uri, b"ours")
    with pytest.raises(PairError, match="is not what its name says") as found:
        store.keep(uri, b"theirs")
    assert found.value.reason is Reason.STORAGE


def test_a_commit_is_ours_or_somebody_elses(store, uri):
    assert store.commit(uri, b"ours")
    assert store.commit(uri, b"ours"), "the same bytes: the answer was lost, the object is ours"
    assert not store.commit(uri, b"theirs"), "other bytes: it is somebody else's"
    assert store.read(uri).data == b"ours"


def test_of_many_threads_one_creates(store, store_root):
    turns, racers = 5, 12
    gate = threading.Barrier(turns * racers)

    def attempt(number):
        gate.wait()
        try:
            store.create(join(store_root, f"race-{number % turns}"), b"%d" % number * 1000)
        except AlreadyExists:
            return None
        return number

    with ThreadPoolExecutor(turns * racers) as pool:
        won = [number for number in pool.map(attempt, range(turns * racers)) if number is not None]
    assert sorted(number % turns for number in won) == list(range(turns))
    for number in won:
        assert store.read(join(store_root, f"race-{number % turns}")).data == b"%d" % number * 1000


RACER = """
import sys, time
from tasks.records.reasons import PairError, Reason
from tasks.store import AlreadyExists, join, open_store
root, me, start = sys.argv[1], sys.argv[2], float(sys.argv[3])
store = open_store(root)
time.sleep(max(0, start - time.time()))
for turn in range(60):
    try:
        store.create(join(root, f"race-{turn:02}"), me.encode() * 5000)
        print(turn)
    except AlreadyExists:
        pass
"""


def test_of_many_processes_one_creates(store, store_root):
    start = time.time() + 1.5
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda me: child(RACER, store_root, me, start), "abcd"))
    assert [run.stderr for run in done] == [""] * 4
    winners = {turn: me for me, run in zip("abcd", done, strict=True) for turn in map(int, run.stdout.split())}
    assert sum(len(run.stdout.split()) for run in done) == len(winners) == 60
    for turn, me in winners.items():
        assert store.read(join(store_root, f"race-{turn:02}")).data == me.encode() * 5000


def test_derived_objects_may_be_replaced(store, uri):
    store.replace(uri, b"one")
    store.replace(uri, b"two")
    assert store.read(uri).data == b"two"
    assert names(store, uri.rsplit("/", 1)[0]) == ["shard-00001.parquet"]


def test_what_was_replaced_is_not_the_version_that_was_planned(store, uri):
    store.create(uri, b"one")
    planned = store.stat(uri).etag
    store.replace(uri, b"another")
    assert refusal(lambda: store.read(uri, etag=planned)).reason is Reason.INPUT_CHANGED


def test_what_is_missing_is_said(store, uri):
    assert store.stat(uri) is None
    error = refusal(lambda: store.read(uri))
    assert error.reason is Reason.INPUT_MISSING
    assert "shard-00001.parquet" in error.message


def test_a_limit_bounds_what_is_read(store, uri):
    store.create(uri, b"x" * 1000)
    error = refusal(lambda: store.read(uri, limit=999))
    assert error.reason is Reason.INPUT_TOO_LONG
    assert "1,000 bytes" in error.message
    assert store.read(uri, limit=1000).data == b"x" * 1000


def test_a_listing_is_sorted_and_complete(store, store_root):
    given = ["b/2", "b/10", "a", "b.x", "b/c/d", "z ä [1] 100%#.wav"]
    for name in given:
        store.create(join(store_root, name), name.encode())
    assert names(store, store_root) == sorted(given)
    assert names(store, join(store_root, "b")) == ["10", "2", "c/d"]
    assert [found.size for _, found in store.list(store_root)] == [len(name.encode()) for name in sorted(given)]


def test_a_listing_leaves_out_what_is_hidden(store, store_root):
    for name in (".hidden", "_marker", "a/.hidden/b", "a/_old/b", "a/seen"):
        store.create(join(store_root, name), b"")
    assert names(store, store_root) == ["a/seen"]


def test_a_listing_of_nothing_is_empty(store, store_root):
    assert names(store, join(store_root, "nowhere")) == []


def test_what_is_deleted_is_gone_and_may_be_deleted_again(store, uri):
    store.create(uri, b"one")
    store.delete(uri)
    store.delete(uri)
    assert store.stat(uri) is None
    store.create(uri, b"two")


def test_a_store_does_not_travel(store):
    for attempt in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="built where it is used"):
            attempt(store)


@pytest.mark.parametrize("root", ["s4://music", "http://music", "music", "gs://music", "/music"])
def test_a_place_that_is_no_store_is_refused(root):
    with pytest.raises(UsageError):
        open_store(root)


def test_a_store_that_keeps_create_only_writes_passes_the_probe_and_keeps_nothing_of_it(store, store_root):
    probe(store, store_root)
    assert names(store, store_root) == []


class Careless(LocalStore):
    """A store that takes every creation, as one does that does not know the condition."""

    def _create(self, uri, data):
        self._replace(uri, data)


class Hasty(LocalStore):
    """A store that looks first and writes then."""

    def _create(self, uri, data):
        if self._stat(uri):
            raise AlreadyExists(uri)
        time.sleep(0.01)
        self._replace(uri, data)


@pytest.mark.parametrize("kind", [Careless, Hasty])
def test_a_store_that_lets_two_create_one_object_is_refused(kind, tmp_path):
    with pytest.raises(OutOfReach, match="does not keep create-only writes"):
        probe(kind(), f"file://{tmp_path}/root")


def test_a_place_that_cannot_be_written_is_refused_by_the_probe(tmp_path):
    (tmp_path / "root").write_bytes(b"a file, and no folder")
    with pytest.raises(OutOfReach, match="cannot be written"):
        probe(open_store("file:///"), f"file://{tmp_path}/root")
