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
from tasks.roots import Roots, local_path, shown

T = TypeVar("T")
MAX_OBJECT_BYTES = 4 << 30
MAX_REQUESTS = 6
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 20.0
TEMPORARY = ".gramophone-"
TEMPORARY_SECONDS = 86_400.0


class AlreadyExists(Exception):
    """Somebody has created the object before: create-only writes never replace one."""


@dataclass(frozen=True)
class Stat:
    """Size in bytes, and what changes with every change of the object (for files: size and time of change)."""

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
    if uri.startswith("s3://"):
        raise UsageError(f"{shown(uri)}: this version reads and writes local folders only, buckets not yet")
    raise UsageError(f"{shown(uri)} is no place to read or write; use a path or file:///absolute/path")


def sweep(root: str) -> int:
    """Remove the temporaries older than a day below `root`, left by processes that were killed; returns how many."""
    return open_store(root).sweep(root)


def with_retries(
    operation: Callable[[], T], transient: Callable[[Exception], bool], sleep: Callable[[float], None] = time.sleep
) -> T:
    """The one layer of retries: at most six tries, 0.2 s doubling to 20 s, with full jitter."""
    for attempt in range(MAX_REQUESTS - 1):
        try:
            return operation()
        except Exception as error:
            if not transient(error):
                raise
            sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)))
    return operation()


class Store(ABC):
    """Objects by canonical URI. Built in the process that uses it: it does not travel.

    Subclasses say how one request is made and what its faults mean; retries and the rule of commits are here.
    """

    def __reduce__(self) -> NoReturn:
        raise TypeError("a store is built where it is used (open_store); it is not handed to other processes")

    def stat(self, uri: str) -> Stat | None:
        """Size and etag; None where there is no such object. Raises PairError (input_forbidden, storage)."""
        return self._reading(uri, lambda: self._stat(uri))

    def read(
        self, uri: str, *, etag: str | None = None, allowed: Roots | None = None, limit: int | None = None
    ) -> Blob:
        """The whole object, its length verified.

        With `etag`: exactly that version. With `allowed`: only from there, links followed. `limit` in bytes. Raises
        PairError: input_missing, input_changed, input_forbidden, input_unsupported (no regular file), input_too_long,
        storage.
        """
        if allowed is not None:
            allowed.check(uri)
        most = MAX_OBJECT_BYTES if limit is None else limit
        data, found = self._reading(uri, lambda: self._read(uri, etag, allowed, most))
        return Blob(uri, data, found.etag, hashlib.sha256(data).hexdigest())

    def create(self, uri: str, data: bytes) -> None:
        """Write a new object, whole or not at all. Raises AlreadyExists, or PairError (disk_full, storage)."""
        tries = 0

        def once() -> None:
            nonlocal tries
            tries += 1
            self._create(uri, data)

        try:
            self._writing(uri, once)
        except AlreadyExists:
            # A try that was repeated may have met the object that its forerunner wrote and had no answer to.
            if tries == 1 or self.read(uri).data != data:
                raise

    def commit(self, uri: str, data: bytes) -> bool:
        """Create an object; where there is one already, say whether it is ours (an answer that was lost)."""
        try:
            self.create(uri, data)
        except AlreadyExists:
            return self.read(uri).data == data
        return True

    def replace(self, uri: str, data: bytes) -> None:
        """Write an object over the one there may be: derived files only, never results. Raises as `create`."""
        self._writing(uri, lambda: self._replace(uri, data))

    def delete(self, uri: str) -> None:
        """Remove an object; it is no fault if it is gone. Raises PairError (storage)."""
        self._writing(uri, lambda: self._delete(uri))

    @abstractmethod
    def list(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        """Objects below a prefix, sorted by URI; names that begin with '.' or '_' are not ours to see.

        Raises PairError where a part of it cannot be seen: a listing with gaps would pass for a small one.
        """

    @abstractmethod
    def sweep(self, prefix: str) -> int:
        """Remove what killed writers left below a prefix a day ago and earlier; returns how many."""

    @abstractmethod
    def _stat(self, uri: str) -> Stat | None: ...

    @abstractmethod
    def _read(self, uri: str, etag: str | None, allowed: Roots | None, limit: int) -> tuple[bytes, Stat]: ...

    @abstractmethod
    def _create(self, uri: str, data: bytes) -> None:
        """One try. Raises AlreadyExists where there is an object."""

    @abstractmethod
    def _replace(self, uri: str, data: bytes) -> None: ...

    @abstractmethod
    def _delete(self, uri: str) -> None: ...

    @abstractmethod
    def _transient(self, error: Exception) -> bool:
        """Whether the same request may succeed in a moment."""

    @abstractmethod
    def _fault(self, uri: str, error: OSError, writing: bool) -> PairError:
        """What went wrong, as a reason and a sentence."""

    def _reading(self, uri: str, operation: Callable[[], T]) -> T:
        try:
            return with_retries(operation, self._transient)
        except OSError as error:
            raise self._fault(uri, error, writing=False) from error

    def _writing(self, uri: str, operation: Callable[[], T]) -> T:
        try:
            return with_retries(operation, self._transient)
        except OSError as error:
            raise self._fault(uri, error, writing=True) from error


class LocalStore(Store):
    """Folders of this machine, or mounted into it.

    By system calls and not by fsspec's local file system, which can neither create exclusively, nor tell a pipe
    from a file before it hangs on it, nor say which file it opened.
    """

    def list(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        yield from self._listed(_path(prefix))

    def sweep(self, prefix: str) -> int:
        swept = 0
        for path in _path(prefix).rglob(f"{TEMPORARY}*"):
            with suppress(OSError):
                found = path.lstat()
                if stat_.S_ISREG(found.st_mode) and time.time() - found.st_mtime > TEMPORARY_SECONDS:
                    path.unlink()
                    swept += 1
        return swept

    def _listed(self, folder: Path) -> Iterator[tuple[str, Stat]]:
        try:
            with os.scandir(folder) as entries:
                # A folder sorts as its name with the slash behind it, as it does in an object store.
                found = sorted((e.name + "/" if e.is_dir(follow_symlinks=False) else e.name, e.path) for e in entries)
        except (FileNotFoundError, NotADirectoryError):
            return  # removed meanwhile
        except OSError as error:
            raise self._fault(f"file://{folder}", error, writing=False) from error
        for name, path in found:
            if name.startswith((".", "_")) or not _is_text(name):
                continue
            if name.endswith("/"):
                yield from self._listed(Path(path))
            elif (one := self.stat(f"file://{path}")) is not None:
                yield f"file://{path}", one

    def _stat(self, uri: str) -> Stat | None:
        try:
            found = os.stat(_path(uri))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if stat_.S_ISDIR(found.st_mode) else _stat(found)

    def _read(self, uri: str, etag: str | None, allowed: Roots | None, limit: int) -> tuple[bytes, Stat]:
        # Without waiting: a pipe that nobody writes to would hold the opening up for good.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        handle = os.open(_path(uri), flags)
        with os.fdopen(handle, "rb") as file:
            before = os.fstat(handle)
            if not stat_.S_ISREG(before.st_mode):
                raise PairError(Reason.INPUT_UNSUPPORTED, f"{shown(uri)} is {_kind(before)}, not a file")
            if allowed is not None:
                # Of the very file that is open: a link may have been turned since the path was checked.
                allowed.check_resolved(uri, f"file://{_opened_path(handle, before, uri)}")
            if before.st_size > limit:
                raise PairError(
                    Reason.INPUT_TOO_LONG, f"{shown(uri)} has {before.st_size:,} bytes; at most {limit:,} are read"
                )
            found = _stat(before)
            if etag is not None and found.etag != etag:
                raise PairError(Reason.INPUT_CHANGED, f"{shown(uri)} has been replaced since the run was planned")
            data = file.read(before.st_size + 1)
            if len(data) != before.st_size or _stat(os.fstat(handle)) != found:
                raise PairError(Reason.INPUT_CHANGED, f"{shown(uri)} changed while it was read")
        return data, found

    def _create(self, uri: str, data: bytes) -> None:
        path = _path(uri)
        with _Temporary(path, data) as temporary:
            try:
                os.link(temporary, path)  # atomic, and refuses where there is one
            except FileExistsError as error:
                raise AlreadyExists(uri) from error
            _sync_folder(path.parent)

    def _replace(self, uri: str, data: bytes) -> None:
        path = _path(uri)
        with _Temporary(path, data) as temporary:
            os.replace(temporary, path)
            _sync_folder(path.parent)

    def _delete(self, uri: str) -> None:
        with suppress(FileNotFoundError):
            _path(uri).unlink()

    def _transient(self, error: Exception) -> bool:
        return isinstance(error, OSError) and error.errno in (errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EBUSY)

    def _fault(self, uri: str, error: OSError, writing: bool) -> PairError:
        name, why, number = shown(uri), error.strerror or str(error), error.errno
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return PairError(Reason.DISK_FULL, f"there is no room for {name}: {why}")
        if writing and number in (errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK):
            return PairError(
                Reason.STORAGE,
                f"{name} cannot be written: {why}; its file system may have no hard links, which results need",
            )
        if writing:
            return PairError(Reason.STORAGE, f"{name} cannot be written: {why}")
        if number in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return PairError(Reason.INPUT_MISSING, f"{name} is not there: {why}")
        if number in (errno.EACCES, errno.EPERM, errno.ELOOP):
            return PairError(Reason.INPUT_FORBIDDEN, f"{name} may not be opened: {why}")
        if number in (errno.EISDIR, errno.ENXIO):
            return PairError(Reason.INPUT_UNSUPPORTED, f"{name} is not a file: {why}")
        return PairError(Reason.STORAGE, f"{name} cannot be read: {why}")


class _Temporary:
    """A written and synced file beside `path`, under a name that no reader looks at; gone at the end."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        self._data = data

    def __enter__(self) -> Path:
        _make_folder(self._path.parent)
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with os.fdopen(handle, "wb") as file:
                file.write(self._data)
                file.flush()
                os.fsync(handle)
        except BaseException:
            self.__exit__()
            raise
        return self._path

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._path.unlink()


def _path(uri: str) -> Path:
    path = local_path(uri)
    if path is None:
        raise UsageError(f"{shown(uri)} is not a local file")
    return path


def _stat(found: os.stat_result) -> Stat:
    return Stat(found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def _kind(found: os.stat_result) -> str:
    if stat_.S_ISDIR(found.st_mode):
        return "a folder"
    return "a pipe" if stat_.S_ISFIFO(found.st_mode) else "a device"


def _is_text(name: str) -> bool:
    """Whether a name can stand in a URI: names of other encodings hold lone surrogates here."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _opened_path(handle: int, found: os.stat_result, uri: str) -> str:
    """Where an open file really lies, links followed."""
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{handle}")
    # No /proc: the path is followed again, and must lead to the file that is open.
    path = os.path.realpath(_path(uri))
    with suppress(OSError):
        if os.path.samestat(os.stat(path, follow_symlinks=False), found):
            return path
    raise PairError(Reason.INPUT_CHANGED, f"{shown(uri)} was replaced while it was opened")


def _make_folder(folder: Path) -> None:
    """A folder and those above it, each on disk before there is something in it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk, where its file system and our rights to it allow that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(handle)
