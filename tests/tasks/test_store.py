"""Objects are read whole or not at all, and created once or not at all."""

import copy
import errno
import hashlib
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.records.reasons import PairError, Reason, UsageError
from tasks.roots import Roots, local_path
from tasks.store import MAX_REQUESTS, AlreadyExists, LocalStore, join, open_store, sweep, with_retries


@pytest.fixture
def store(store_root):
    return open_store(store_root)


@pytest.fixture
def uri(store_root):
    return join(store_root, "results", "shard-00001.parquet")


def names(store, prefix):
    return [found.removeprefix(prefix + "/") for found, _ in store.list(prefix)]


def refusal(operation):
    with pytest.raises(PairError) as caught:
        operation()
    return caught.value


def child(code, *arguments, timeout=60, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)


# --- every store ----------------------------------------------------------------------------------


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


def test_a_commit_is_ours_or_somebody_elses(store, uri):
    assert store.commit(uri, b"ours")
    assert store.commit(uri, b"ours"), "the same bytes: the answer was lost, the object is ours"
    assert not store.commit(uri, b"theirs"), "other bytes: it is somebody else's"
    assert store.read(uri).data == b"ours"


def test_of_many_threads_one_creates(store, store_root):
    def attempt(uri, number, gate):
        gate.wait()
        try:
            store.create(uri, b"%d" % number * 1000)
        except AlreadyExists:
            return None
        return number

    with ThreadPoolExecutor(12) as pool:
        for turn in range(20):
            uri, gate = join(store_root, f"race-{turn}"), threading.Barrier(12)
            won = [n for n in pool.map(lambda n, u=uri, g=gate: attempt(u, n, g), range(12)) if n is not None]
            assert len(won) == 1
            assert store.read(uri).data == b"%d" % won[0] * 1000


RACER = """
import sys, time
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


@pytest.mark.parametrize("root", ["s3://music", "http://music", "music", "gs://music", "/music"])
def test_a_place_that_is_no_store_is_refused(root):
    with pytest.raises(UsageError):
        open_store(root)


# --- retries --------------------------------------------------------------------------------------


def failing(times, error):
    calls = []

    def operation():
        calls.append(None)
        if len(calls) <= times:
            raise error
        return len(calls)

    return operation, calls


def test_a_passing_fault_is_repeated_with_growing_pauses():
    operation, _ = failing(4, OSError(errno.ESTALE, "stale"))
    pauses = []
    assert with_retries(operation, lambda error: True, pauses.append) == 5
    assert len(pauses) == 4
    assert all(0 <= pause <= 0.2 * 2**number for number, pause in enumerate(pauses))


def test_a_lasting_fault_costs_six_requests():
    operation, calls = failing(99, OSError(errno.ESTALE, "stale"))
    with pytest.raises(OSError, match="stale"):
        with_retries(operation, lambda error: True, lambda pause: None)
    assert len(calls) == MAX_REQUESTS == 6


def test_a_fault_that_stays_is_not_repeated():
    operation, calls = failing(99, PermissionError("no"))
    with pytest.raises(PermissionError):
        with_retries(operation, lambda error: False, lambda pause: None)
    assert len(calls) == 1


class Forgetful(LocalStore):
    """A store whose first answer to a creation is lost, after it was carried out, or before."""

    def __init__(self, carried_out):
        self.carried_out, self.forgotten = carried_out, False

    def _create(self, uri, data):
        if not self.forgotten:
            self.forgotten = True
            if self.carried_out:
                super()._create(uri, data)
            raise OSError(errno.ETIMEDOUT, "timed out")
        super()._create(uri, data)


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_lost_answer_to_a_creation_is_no_fault(uri, carried_out):
    store = Forgetful(carried_out)
    store.create(uri, b"one")
    assert store.read(uri).data == b"one"


def test_a_lost_answer_does_not_claim_what_somebody_else_created(uri):
    open_store(uri).create(uri, b"theirs")
    with pytest.raises(AlreadyExists):
        Forgetful(carried_out=False).create(uri, b"ours")


# --- folders of this machine ----------------------------------------------------------------------


@pytest.fixture
def folder(store_root):
    path = local_path(store_root)
    path.mkdir()
    return path


KILLED_AT = """
import os, signal, sys
from tasks import store as module
uri, step, moment = sys.argv[1:]
holder = module.Path if step == "unlink" else os
real = getattr(holder, step)
def deadly(*arguments, **options):
    if moment == "after":
        real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(holder, step, deadly)
module.open_store(uri).create(uri, b"x" * 3_000_000)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["mkdir", "open", "fsync", "link", "unlink"])
def test_a_writer_that_is_killed_at_any_step_leaves_all_or_nothing(store, store_root, uri, step, moment):
    if step == "mkdir":
        script = KILLED_AT.replace('if step == "unlink"', "if True")
    else:
        script = KILLED_AT
        local_path(uri).parent.mkdir(parents=True)
    assert child(script, uri, step, moment).returncode == -signal.SIGKILL
    linked = (step, moment) in (("link", "after"), ("unlink", "before"), ("unlink", "after"))
    assert names(store, store_root) == (["results/shard-00001.parquet"] if linked else [])
    assert store.commit(uri, b"x" * 3_000_000), "the next writer finishes it"
    assert store.read(uri).data == b"x" * 3_000_000


KILLED_SOMETIME = """
import sys
from tasks.store import join, open_store
root, store = sys.argv[1], open_store(sys.argv[1])
print("begun", flush=True)
for number in range(10_000):
    store.create(join(root, f"{number:05}"), bytes([number % 256]) * 400_000)
"""


def test_a_writer_that_is_killed_at_random_leaves_only_whole_objects(store, store_root):
    rng = random.Random(4)
    for turn in range(5):
        root = join(store_root, f"turn-{turn}")
        writer = subprocess.Popen([sys.executable, "-c", KILLED_SOMETIME, root], stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(rng.uniform(0.01, 0.15))
        writer.kill()
        writer.wait()
        writer.stdout.close()
        for name in names(store, root):
            assert store.read(join(root, name)).data == bytes([int(name) % 256]) * 400_000


def test_what_killed_writers_left_is_swept_after_a_day(store_root, folder):
    old, new, other = folder / "a/.gramophone-0001", folder / ".gramophone-0002", folder / "a/.keep"
    old.parent.mkdir()
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    assert sweep(store_root) == 1
    assert [path.exists() for path in (old, new, other)] == [False, True, True]


FULL = """
import resource, subprocess, sys
from tasks.store import join, open_store
from tasks.records.reasons import PairError
root = sys.argv[1]
mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", root[7:]]
if sys.argv[2] == "own" and subprocess.run(mount).returncode == 0:
    print("own disk")
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
store = open_store(root)
store.create(join(root, "small"), b"x" * 50_000)
for write in (store.create, store.replace):
    try:
        write(join(root, "large"), b"x" * 1_000_000)
    except PairError as error:
        print(error.reason, "there is no room" in error.message)
import os
print(sorted(os.listdir(root[7:])), [uri.rsplit("/", 1)[1] for uri, _ in store.list(root)])
store.create(join(root, "small too"), b"x" * 50_000)
"""


def test_a_full_disk_is_said_and_nothing_half_written_stays(store_root, folder):
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]  # a small disk of its own, where that is permitted
    try:
        permitted = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        permitted = False
    command = [*(unshare if permitted else []), sys.executable, "-c", FULL, store_root]
    command.append("own" if permitted else "shared")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.removeprefix("own disk\n").splitlines()
    assert said == ["disk_full True", "disk_full True", "['small'] ['small']"]


def test_nothing_is_left_beside_what_was_written(store, folder, store_root):
    store.create(join(store_root, "a"), b"one")
    store.replace(join(store_root, "a"), b"two")
    with pytest.raises(AlreadyExists):
        store.create(join(store_root, "a"), b"three")
    assert os.listdir(folder) == ["a"]


def test_an_object_cannot_lie_below_an_object(store, store_root):
    store.create(join(store_root, "a"), b"one")
    assert refusal(lambda: store.create(join(store_root, "a", "b"), b"two")).reason is Reason.STORAGE


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "pipe with a writer", "socket", "folder", "link to a device"])
def test_what_is_no_file_is_refused_at_once(store, store_root, folder, kind, monkeypatch):
    path, held = folder / "odd", []
    if kind == "folder":
        path.mkdir()
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        monkeypatch.chdir(folder)  # the name of a socket may have 107 bytes
        held.append(socket.socket(socket.AF_UNIX))
        held[0].bind(path.name)
    else:
        os.mkfifo(path)
        if "writer" in kind:
            held.append(os.open(path, os.O_RDWR))
    error = refusal(lambda: store.read(join(store_root, "odd")))
    assert error.reason is Reason.INPUT_UNSUPPORTED
    assert "not a file" in error.message
    for one in held:
        os.close(one) if isinstance(one, int) else one.close()


class Turning(Roots):
    """Places behind whose back something happens: after the path was checked, or after the file was opened."""

    def then(self, checked=None, opened=None):
        object.__setattr__(self, "hooks", (checked, opened))
        return self

    def check(self, uri):
        Roots(self.uris).check(uri)
        if self.hooks[0]:
            self.hooks[0]()

    def check_resolved(self, uri, real):
        Roots(self.uris).check_resolved(uri, real)
        if self.hooks[1]:
            self.hooks[1]()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "elsewhere" / "a.wav"
    path.parent.mkdir()
    path.write_bytes(b"secret")
    return path


def test_a_link_out_of_the_allowed_places_is_refused(store, store_root, folder, secret):
    (folder / "a.wav").symlink_to(secret)
    roots = Roots.resolve([store_root])
    assert refusal(lambda: store.read(join(store_root, "a.wav"), allowed=roots)).reason is Reason.INPUT_FORBIDDEN


@pytest.mark.parametrize("without_proc", [False, True])
@pytest.mark.parametrize("turned", ["file", "folder"])
def test_a_link_that_is_turned_after_the_check_is_refused(
    store, store_root, folder, secret, turned, without_proc, monkeypatch
):
    readlink = os.readlink
    (folder / "clips").mkdir()
    (folder / "clips/a.wav").write_bytes(b"mine")

    def turn():
        if turned == "file":
            (folder / "clips/a.wav").unlink()
            (folder / "clips/a.wav").symlink_to(secret)
        else:
            (folder / "clips").rename(folder / "old")
            (folder / "clips").symlink_to(secret.parent)
        if without_proc:
            monkeypatch.setattr(os, "readlink", lambda path: readlink(path) if "/proc/" not in path else readlink(""))

    roots = Turning.resolve([store_root]).then(checked=turn)
    error = refusal(lambda: store.read(join(store_root, "clips/a.wav"), allowed=roots))
    assert error.reason in (Reason.INPUT_FORBIDDEN, Reason.INPUT_CHANGED)


def test_a_link_within_the_allowed_places_is_read(store, store_root, folder):
    (folder / "a.wav").write_bytes(b"mine")
    (folder / "b.wav").symlink_to("a.wav")
    assert store.read(join(store_root, "b.wav"), allowed=Roots.resolve([store_root])).data == b"mine"


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written anew"])
def test_a_file_that_changes_while_it_is_read_is_refused(store, store_root, folder, change):
    path = folder / "a.wav"
    path.write_bytes(b"x" * 1000)
    os.utime(path, ns=(0, 0))
    after = {"grows": b"x" * 1001, "shrinks": b"x" * 10, "is written anew": b"y" * 1000}[change]
    roots = Turning.resolve([store_root]).then(opened=lambda: path.write_bytes(after))
    error = refusal(lambda: store.read(join(store_root, "a.wav"), allowed=roots))
    assert error.reason is Reason.INPUT_CHANGED
    assert "while it was read" in error.message


def test_a_file_is_another_version_when_its_time_is_another(store, store_root, folder):
    (folder / "a.wav").write_bytes(b"one")
    planned = store.stat(join(store_root, "a.wav")).etag
    os.utime(folder / "a.wav", (1, 1))
    assert planned.startswith("3-")
    assert store.stat(join(store_root, "a.wav")).etag == "3-1000000000"
    assert refusal(lambda: store.read(join(store_root, "a.wav"), etag=planned)).reason is Reason.INPUT_CHANGED


FORBIDDEN = """
import os, sys
from tasks.store import open_store
from tasks.records.reasons import PairError
store = open_store(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
uri = sys.argv[1] + "/closed/a.wav"
for attempt in (store.stat, store.read, lambda uri: list(store.list(sys.argv[1])), lambda uri: store.create(uri, b"")):
    try:
        print(attempt(uri))
    except PairError as error:
        print(error.reason)
"""


def test_what_may_not_be_read_is_forbidden_and_no_listing_hides_it(tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/a.wav").write_bytes(b"one")
    (tmp_path / "closed").chmod(0)
    done = child(FORBIDDEN, f"file://{tmp_path}")
    (tmp_path / "closed").chmod(0o700)
    assert done.stdout.split() == ["input_forbidden"] * 3 + ["storage"], done.stderr


def test_a_broken_link_is_missing_and_a_circle_is_forbidden(store, store_root, folder):
    (folder / "broken").symlink_to("nowhere")
    (folder / "circle").symlink_to("circle")
    assert refusal(lambda: store.read(join(store_root, "broken"))).reason is Reason.INPUT_MISSING
    assert refusal(lambda: store.read(join(store_root, "circle"))).reason is Reason.INPUT_FORBIDDEN
    assert store.stat(join(store_root, "broken")) is None


def test_a_name_that_is_too_long_is_missing(store, store_root, folder):
    assert refusal(lambda: store.read(join(store_root, "x" * 300))).reason is Reason.INPUT_MISSING


def test_a_file_whose_name_is_no_text_is_not_listed(store, store_root, folder):
    (folder / "seen").write_bytes(b"")
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.wav")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only text for names")
    assert names(store, store_root) == ["seen"]


def test_another_users_umask_decides_who_may_read(store, store_root):
    old = os.umask(0o027)
    try:
        store.create(join(store_root, "a"), b"one")
    finally:
        os.umask(old)
    assert (local_path(store_root) / "a").stat().st_mode & 0o777 == 0o640
