"""Decoding in processes of its own: what a damaged file does to its decoder reaches nobody else."""

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import connection
from typing import Any, TypeVar

from tasks.audio import AudioInfo, Clip, decode, probe
from tasks.records.reasons import PairError, Reason

T = TypeVar("T")
MEMORY_LIMIT = 8 << 30
"""Address space of a decoder, bytes: beyond what the caps of tasks.audio can need."""
TIME_LIMIT = 200.0
"""For one file, seconds."""
_SPAWN = multiprocessing.get_context("spawn")


def die_with_parent() -> None:
    """End this process as soon as the one that started it is gone, also by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True, name="parent-watch").start()


def _start_decoder() -> None:
    die_with_parent()
    with suppress(ValueError, OSError):  # not every system lets a process limit itself
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _within(seconds: float, work: Callable[..., T], data: bytes, options: dict[str, Any]) -> T:
    """The work, or the end of this process by SIGALRM: a decoder that hangs may never come back to Python."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return work(data, **options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(
    answers: connection.Connection, seconds: float, work: Callable[..., Any], data: bytes, options: dict[str, Any]
) -> None:
    _start_decoder()
    try:
        answers.send(_within(seconds, work, data, options))
    except Exception as error:
        answers.send(error)


class DecodePool:
    """A few decoder processes, spawned when first needed and replaced when one dies.

    `decode` and `probe` are what they do, those of tasks.audio.
    """

    def __init__(
        self, workers: int, decode: Callable[..., Clip] = decode, probe: Callable[..., AudioInfo] = probe
    ) -> None:
        self._workers, self._decode, self._probe = workers, decode, probe
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def decode(self, data: bytes, *, time_limit: float = TIME_LIMIT, **options: Any) -> Clip:
        """tasks.audio.decode in another process, for at most `time_limit` seconds, twice.

        Raises PairError; `worker_lost` where the decoder died of it, `timeout` where it came to no end.
        """
        return self._done(self._decode, time_limit, data, options)

    def probe(self, data: bytes, *, time_limit: float = TIME_LIMIT, **options: Any) -> AudioInfo:
        """tasks.audio.probe in the same way."""
        return self._done(self._probe, time_limit, data, options)

    def _done(self, work: Callable[..., T], time_limit: float, data: bytes, options: dict[str, Any]) -> T:
        pool = self._current()
        try:
            return self._submit(pool, time_limit, work, data, options).result()
        except BrokenExecutor:
            self._discard(pool)
        return self._alone(work, time_limit, data, options)  # a neighbour may have killed the pool

    def _alone(self, work: Callable[..., T], time_limit: float, data: bytes, options: dict[str, Any]) -> T:
        """The same in a process for this file only, whose end tells what became of it."""
        ours, theirs = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=_answer, args=(theirs, time_limit, work, data, options))
        process.start()
        theirs.close()
        answer: T | Exception | None = None
        try:
            answer = ours.recv()
        except (EOFError, OSError):  # it ended before its answer, or within
            pass
        finally:
            process.join()
            ours.close()
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        if process.exitcode == -signal.SIGALRM:
            raise PairError(Reason.TIMEOUT, f"could not be decoded in {time_limit:g} s; convert it to WAV or FLAC")
        raise PairError(
            Reason.WORKER_LOST, "ended its decoder twice: it is damaged or hostile; convert it, or leave it out"
        )

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None

    def _submit(
        self, pool: ProcessPoolExecutor, time_limit: float, work: Callable[..., T], data: bytes, options: dict[str, Any]
    ) -> "Future[T]":
        return pool.submit(_within, time_limit, work, data, options)

    def _current(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self._workers, mp_context=_SPAWN, initializer=_start_decoder)
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)
