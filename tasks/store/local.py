"""Folders of this machine, or mounted into it."""

import errno
import os
import secrets
import stat as stat_
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tasks.records.reasons import PairError, Reason, UsageError
from tasks.roots import Roots, local_path, shown
from tasks.store.base import AlreadyExists, Stat, Store

TEMPORARY = ".gramophone-"
TEMPORARY_SECONDS = 86_400.0


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
            name, why = shown(f"file://{folder}"), error.strerror or str(error)
            raise PairError(Reason.STORAGE, f"{name} cannot be listed: {why}") from error  # no input's fault
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
    return Stat(found.st_size, f"{found.st_size}-{found.st_mtime_ns}", found.st_mtime)


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
