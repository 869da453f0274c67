"""What every store promises: whole, verified reads; create-only writes from memory; one layer of retries."""

import hashlib
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from tasks.records.reasons import PairError, Reason
from tasks.roots import Roots

T = TypeVar("T")
MAX_OBJECT_BYTES = 4 << 30
MAX_REQUESTS = 6
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, GROWTH = 0.3, 20.0, 4
"""Together up to 45 s and half of that on average: a server that was restarted is back by then."""


class AlreadyExists(Exception):
    """Somebody has created the object before: create-only writes never replace one."""


@dataclass(frozen=True)
class Stat:
    """Size in bytes, and what changes with every change of the object (for files: size and time of change).

    `modified` is when that was, by the store's clock, in seconds since the epoch; listings and looks round it apart.
    """

    size: int
    etag: str
    modified: float = field(compare=False)


@dataclass(frozen=True)
class Blob:
    """A whole object, as it was when it had `etag`."""

    uri: str
    data: bytes
    etag: str
    sha256: str


def join(root: str, *parts: str) -> str:
    return "/".join([root.rstrip("/"), *parts])


def with_retries(
    operation: Callable[[], T], transient: Callable[[Exception], bool], sleep: Callable[[float], None] = time.sleep
) -> T:
    """The one layer of retries: at most six tries, pauses that grow from 0.3 s to 20 s, with full jitter."""
    for attempt in range(MAX_REQUESTS - 1):
        try:
            return operation()
        except Exception as error:
            if not transient(error):
                raise
            sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * GROWTH**attempt)))
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
            if tries == 1 or not self._holds(uri, data):
                raise

    def commit(self, uri: str, data: bytes) -> bool:
        """Create an object; where there is one already, say whether it is ours (an answer that was lost)."""
        try:
            self.create(uri, data)
        except AlreadyExists:
            return self._holds(uri, data)
        return True

    def keep(self, uri: str, data: bytes) -> None:
        """Create an object whose name tells its digest: whoever wrote it wrote the same. Raises as `create`."""
        if not self.commit(uri, data):
            raise PairError(Reason.STORAGE, f"{uri} is there already and is not what its name says: move it away")

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

    def _holds(self, uri: str, data: bytes) -> bool:
        """Whether an object has these bytes; not being able to tell is a fault of the writing."""
        return self._writing(uri, lambda: self._read(uri, None, None, MAX_OBJECT_BYTES))[0] == data

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
