"""Folders: writers that are killed, disks that are full, links that are turned."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.records.reasons import Reason
from tasks.roots import Roots, local_path
from tasks.store import AlreadyExists, join, open_store, sweep
from tests.tasks.store.support import child, names, refusal


@pytest.fixture
def store(store_root):
    return open_store(store_root)


@pytest.fixture
def uri(store_root):
    return join(store_root, "results", "shard-00001.parquet")


@pytest.fixture
def folder(store_root):
    path = local_path(store_root)
    path.mkdir()
    return path


KILLED_AT = """
import os, signal, sys
from tasks.store import local as module, open_store
uri, step, moment = sys.argv[1:]
holder = module.Path if step == "unlink" else os
real = getattr(holder, step)
def deadly(*arguments, **options):
    if moment == "after":
        real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(holder, step, deadly)
open_store(uri).create(uri, b"x" * 3_000_000)
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
    assert done.stdout.split() == ["input_forbidden"] * 2 + ["storage"] * 2, done.stderr


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
