"""The one way to bytes: whole-object reads that are verified, create-only writes from memory.

Local folders today; an object store is another subclass of Store behind `open_store`.
"""

import errno
import hashlib
import os
import random
import secrets
import stat as stat_
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from tasks.records.reasons import PairError, Reason, UsageError
from tasks.roots import Roots, local_path

T = TypeVar("T")
MAX_OBJECT_BYTES = 4 << 30
MAX_REQUESTS = 6
TEMPORARY = ".gramophone-"
TEMPORARY_SECONDS = 86_400.0


class AlreadyExists(Exception):
    """Somebody has created the object before: create-only writes never replace one."""


@dataclass(frozen=True)
class Stat:
    size: int
    etag: str


@dataclass(frozen=True)
class Blob:
    """A whole object, as it was when it had `etag`."""

    uri: str
    data: bytes
    etag: str
    sha256: str


def join(root: str, *parts: str) -> str:
    return "/".join([root.rstrip("/"), *parts])


def open_store(uri: str) -> "Store":
    """The store that holds `uri`, by its scheme. Raises UsageError for a scheme that has none."""
    if uri.startswith("file://"):
        return LocalStore()
    raise UsageError(f"{uri}: this version reads and writes local folders only; use a path or file:///...")


def with_retries(operation: Callable[[], T], transient: Callable[[Exception], bool]) -> T:
    """The one layer of retries: at most six tries, 0.2 s doubling to 20 s, with full jitter."""
    for attempt in range(MAX_REQUESTS):
        try:
            return operation()
        except Exception as error:
            if attempt == MAX_REQUESTS - 1 or not transient(error):
                raise
            time.sleep(random.uniform(0, min(20.0, 0.2 * 2**attempt)))
    raise AssertionError("unreachable")


class Store(ABC):
    """Objects by canonical URI. Built in the process that uses it: it does not travel."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a store is built where it is used (open_store); it is not handed to other processes")

    @abstractmethod
    def stat(self, uri: str) -> Stat | None:
        """Size and etag; None where there is no such object."""

    @abstractmethod
    def read(self, uri: str, *, etag: str | None = None, allowed: Roots | None = None) -> Blob:
        """The whole object, its length verified.

        With `etag`: exactly that version. With `allowed`: only from there, links followed. Raises PairError:
        input_missing, input_changed, input_forbidden, input_unsupported (no regular file), input_too_long, storage.
        """

    @abstractmethod
    def create(self, uri: str, data: bytes) -> None:
        """Write a new object, whole or not at all. Raises AlreadyExists, or PairError (disk_full, storage)."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        """Objects below a prefix, sorted; names that begin with '.' or '_' are not ours to see."""

    @abstractmethod
    def delete(self, uri: str) -> None:
        """Remove an object; it is no fault if it is gone."""

    def commit(self, uri: str, data: bytes) -> bool:
        """Create an object; where there is one already, say whether it is ours (an answer that was lost)."""
        try:
            self.create(uri, data)
        except AlreadyExists:
            return self.read(uri).data == data
        return True


class LocalStore(Store):
    """A folder of this machine.

    By system calls and not by fsspec's local file system, which can neither create exclusively nor tell a pipe
    from a file before it hangs on it.
    """

    def stat(self, uri: str) -> Stat | None:
        try:
            found = os.stat(_path(uri))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _explained(uri, error) from error
        return None if stat_.S_ISDIR(found.st_mode) else _stat(found)

    def read(self, uri: str, *, etag: str | None = None, allowed: Roots | None = None) -> Blob:
        if allowed is not None:
            allowed.check(uri)
        try:
            # The real path is opened without following a last link: what was checked is what is read.
            real = os.path.realpath(_path(uri))
            handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _explained(uri, error) from error
        with os.fdopen(handle, "rb") as file:
            before = os.fstat(handle)
            if not stat_.S_ISREG(before.st_mode):
                raise PairError(Reason.INPUT_UNSUPPORTED, f"{uri} is not a regular file")
            if before.st_size > MAX_OBJECT_BYTES:
                raise PairError(
                    Reason.INPUT_TOO_LONG, f"{uri} has {before.st_size} bytes; the limit is {MAX_OBJECT_BYTES}"
                )
            found = _stat(before)
            if etag is not None and found.etag != etag:
                raise PairError(Reason.INPUT_CHANGED, f"{uri} has been replaced since the run was planned")
            try:
                data = file.read()
            except OSError as error:
                raise _explained(uri, error) from error
            if len(data) != before.st_size or _stat(os.fstat(handle)) != found:
                raise PairError(Reason.INPUT_CHANGED, f"{uri} changed while it was read")
        return Blob(uri, data, found.etag, hashlib.sha256(data).hexdigest())

    def create(self, uri: str, data: bytes) -> None:
        path = _path(uri)
        temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(temporary, data)
            os.link(temporary, path)  # atomic, and refuses where there is one
            _sync_folder(path.parent)
        except FileExistsError as error:
            raise AlreadyExists(uri) from error
        except OSError as error:
            raise _explained(uri, error) from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def list(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        top = _path(prefix)
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
            for name in sorted(names):
                uri = f"file://{folder}/{name}"
                if not name.startswith((".", "_")) and (found := self.stat(uri)) is not None:
                    yield uri, found

    def delete(self, uri: str) -> None:
        with suppress(FileNotFoundError):
            _path(uri).unlink()

    def sweep(self, prefix: str) -> int:
        """Remove temporary files older than a day, left by processes that were killed; returns how many."""
        swept = 0
        for path in _path(prefix).rglob(f"{TEMPORARY}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > TEMPORARY_SECONDS:
                    path.unlink()
                    swept += 1
        return swept


def _path(uri: str) -> Path:
    path = local_path(uri)
    if path is None:
        raise UsageError(f"{uri} is not a local file")
    return path


def _stat(found: os.stat_result) -> Stat:
    return Stat(found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(uri: str, error: OSError) -> PairError:
    """The failure of an operation as a reason and a sentence."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return PairError(Reason.INPUT_MISSING, f"{uri} is not there")
    if error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP):
        return PairError(Reason.INPUT_FORBIDDEN, f"{uri} may not be opened: {error.strerror}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return PairError(Reason.DISK_FULL, f"no room for {uri}: {error.strerror}")
    if error.errno in (errno.EISDIR, errno.ENXIO):
        return PairError(Reason.INPUT_UNSUPPORTED, f"{uri} is not a regular file")
    return PairError(Reason.STORAGE, f"{uri}: {error.strerror or error}")
