"""Decoding in processes of its own: what a damaged file does to its decoder reaches nobody else."""

import multiprocessing
import os
import resource
import threading
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import connection
from typing import Any

from tasks.audio import Clip, decode
from tasks.records.reasons import PairError, Reason

MEMORY_LIMIT = 8 << 30
"""Address space of a decoder, bytes: beyond what the caps of tasks.audio can need."""


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


class DecodePool:
    """A few decoder processes, spawned when first needed and replaced when one dies."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def decode(self, data: bytes, **options: Any) -> Clip:
        """tasks.audio.decode in another process. Raises PairError; `worker_lost` where the decoder died of it."""
        pool = self._current()
        try:
            return self._submit(pool, data, options).result()
        except BrokenExecutor:
            self._discard(pool)
        alone = self._new(1)  # a neighbour may have killed the pool: once more, alone
        try:
            return self._submit(alone, data, options).result()
        except BrokenExecutor as error:
            raise PairError(
                Reason.WORKER_LOST, "decoding this file ended its decoder twice; the file is damaged or hostile"
            ) from error
        finally:
            alone.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None

    @staticmethod
    def _submit(pool: ProcessPoolExecutor, data: bytes, options: dict[str, Any]) -> "Future[Clip]":
        return pool.submit(decode, data, **options)

    @staticmethod
    def _new(workers: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_decoder)

    def _current(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = self._new(self._workers)
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)
