"""An end that comes even when the Prefect API is gone: results are committed before, so nothing is lost by leaving."""

import os
import sys
import threading
from collections.abc import Callable


class Deadline:
    """Leaves the process with a code some time after it is armed, unless it is called off."""

    def __init__(self, before_leaving: Callable[[], None] = lambda: None) -> None:
        self._before_leaving = before_leaving
        self._timer: threading.Timer | None = None

    def arm(self, seconds: float, code: int) -> None:
        self._timer = threading.Timer(seconds, self._leave, (code,))
        self._timer.daemon = True
        self._timer.start()

    def call_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _leave(self, code: int) -> None:
        try:
            self._before_leaving()
            sys.stdout.flush()
        finally:
            os._exit(code)
