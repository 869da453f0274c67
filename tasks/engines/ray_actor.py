"""What Ray keeps on a node for a run: the host of one device's worker process, which relays its messages.

Its worker is a spawned process as on one machine, so that a pair is computed, and killed, in exactly the same way.
"""

import os
import platform
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from tasks.done import Served
from tasks.lineage import code_version, machine
from tasks.records.pair import Attempt
from tasks.worker import Entry, Listener, Order, Worker

NEWS_SECONDS = 0.5
"""How long a question for news waits for some: also how late a wish to stop comes."""


@dataclass(frozen=True)
class Node:
    """Who hosts a worker: what must be the same on every node, and what its messages call it."""

    host: str
    pid: int
    code: str
    torch: str


class Host:
    """One device's worker, an order at a time. Called by one driver, call after call."""

    def __init__(self, device: str, threads: int, settings: Mapping[str, str], entry: Entry | None = None) -> None:
        os.environ |= settings
        vars(sys.modules["__main__"]).pop("__file__", None)  # Ray's program, which the worker would import as its own
        self._worker = Worker(device, threads, entry)
        self._messages: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._answers: SimpleQueue[dict[str, Served]] = SimpleQueue()
        self._stop = threading.Event()

    def node(self) -> Node:
        from importlib.metadata import version  # torch's own import takes seconds, and is the worker's

        return Node(platform.node(), os.getpid(), code_version(), version("torch"))

    def worker_pid(self) -> int | None:
        """Of the process that computes, once there is one."""
        return self._worker.pid

    def begin(self, order: Order, timeout_seconds: float) -> None:
        """Start on an order; its messages are fetched by `news`, up to ("done",), ("stopped",) or ("raised", error)."""
        self._stop.clear()
        threading.Thread(target=self._carry_out, args=(order, timeout_seconds), daemon=True).start()

    def news(self, stop: bool, answer: dict[str, Served] | None) -> list[tuple[Any, ...]]:
        """What the worker has said since, or soon says; none where it is silent. `answer` is that of a look-up."""
        if stop:
            self._stop.set()
        if answer is not None:
            self._answers.put(answer)
        found = []
        try:
            found.append(self._messages.get(timeout=NEWS_SECONDS))
            while True:
                found.append(self._messages.get_nowait())
        except Empty:
            return found

    def _carry_out(self, order: Order, timeout_seconds: float) -> None:
        listener = Listener(
            attempt=self._tell_attempt,
            report=lambda stage, rows: self._messages.put(("report", stage, rows)),
            lookup=self._look_up,
            stopping=self._stop.is_set,
        )
        try:
            done = self._worker.run(order, listener, timeout_seconds)
            self._messages.put(("done",) if done else ("stopped",))
        except Exception as error:
            self._messages.put(("raised", error))

    def _tell_attempt(self, attempt: Attempt) -> None:
        attempt.values = machine() | attempt.values  # this one's, not the driver's
        self._messages.put(("attempt", attempt))

    def _look_up(self, keys: list[str]) -> dict[str, Served]:
        self._messages.put(("lookup", keys))
        return self._answers.get()
