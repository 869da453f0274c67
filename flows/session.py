"""What the command line and a flow share while a run goes on: the wish to stop, who listens, the verdict."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pandas as pd
from prefect.exceptions import FailedRun
from prefect.runtime import flow_run

from flows.deadline import Deadline
from tasks.records.pair import Attempt
from tasks.records.run import EndRecord, RunRecord, Stop

SECONDS_AFTER_VERDICT = 60.0
"""What Prefect gets to take down the final state: more than a server needs to come back. The verdict stands anyway."""
SIGNALS = {signal.SIGINT: Stop.CANCELLED, signal.SIGTERM: Stop.PREEMPTED}


@dataclass
class Session:
    """One run in one process. `prepared` is what the command line has planned before it started Prefect."""

    prepared: Any = None

    on_start: Callable[[RunRecord], None] = lambda run: None
    on_attempt: Callable[[Attempt], None] = lambda attempt: None
    on_work: Callable[[str, tuple[int, ...]], None] = lambda stage, rows: None
    on_verdict: Callable[[EndRecord, pd.DataFrame], None] = lambda end, pairs: None
    on_signal: Callable[[], None] = lambda: None
    on_fault: Callable[[Exception], None] = lambda error: None
    stop: Stop = Stop.FINISHED
    catching: bool = False
    _asked: threading.Event = field(default_factory=threading.Event)

    def stopping(self) -> bool:
        return self._asked.is_set()

    def ask_to_stop(self, why: Stop) -> None:
        """No new shard; what is in hand is left, what is done is committed. The first reason stands."""
        if not self._asked.is_set():
            self.stop = why
            self._asked.set()

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask to stop, a second Ctrl-C leaves at once. Does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGINT and self._asked.is_set():
                raise KeyboardInterrupt
            self.ask_to_stop(SIGNALS[signal.Signals(number)])
            self.on_signal()

        before: dict[signal.Signals, Any] = {number: signal.signal(number, handle) for number in SIGNALS}
        self.catching = True
        try:
            yield
        finally:
            self.catching = False
            for number, handler in before.items():
                signal.signal(number, handler)


# At DEBUG it logs what it sends, and the first of that is Prefect's password.
logging.getLogger("websockets").setLevel(logging.WARNING)

_current: Session | None = None


def current() -> Session:
    """The session of this process: the command line's, one for a Prefect worker's, or a plain one."""
    own = flow_run.id is not None and str(flow_run.id) == os.environ.get("PREFECT__FLOW_RUN_ID")
    return _current or (_under_a_worker() if own else Session())


def _is_news(record: logging.LogRecord) -> bool:
    """Not so: Prefect's engine tells a Failed state once more, as an unexpected exception with its traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


def _under_a_worker() -> Session:
    """A process of its own for one flow run: it ends soon after its verdict, whether the API hears of it or not."""
    for name in ("prefect.flow_runs", "prefect.engine"):
        logging.getLogger(name).addFilter(_is_news)
    return Session(on_verdict=lambda end, pairs: Deadline().arm(SECONDS_AFTER_VERDICT, end.exit_code))


@contextmanager
def hosting(session: Session) -> Iterator[None]:
    """Make `session` the current one."""
    global _current
    _current = session
    try:
        yield
    finally:
        _current = None
