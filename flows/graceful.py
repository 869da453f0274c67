"""`python -m flows.graceful prefect worker start ...`: a Prefect worker whose end reaches its flows first.

By itself a worker that gets SIGTERM kills its flows without a word, and what they had in hand is lost. A container is
stopped so. Here its flows get SIGTERM, commit what is done and end; then the worker does. Linux only: /proc.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

SECONDS = 25.0
"""What flows get to end: they promise 20. Whoever stops the container must wait for longer than this."""


def main(command: Sequence[str]) -> int:
    """The command's exit code; 0 where it was told to stop."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    # In a session of its own: a terminal's Ctrl-C, and a signal to the whole group, reach it through us alone.
    worker = subprocess.Popen(command, start_new_session=True)
    while not asked.wait(0.2):
        if worker.poll() is not None:
            return worker.returncode
    _end_flows(worker)
    worker.terminate()
    worker.wait()
    return 0


def _end_flows(worker: subprocess.Popen[bytes]) -> None:
    """SIGTERM to each flow of the worker, once, also to one that it begins meanwhile, until none is left."""
    told: set[int] = set()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and (flows := _children(worker.pid)):
        for pid in flows - told:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        told |= flows
        time.sleep(0.2)


def _children(pid: int) -> set[int]:
    """Its own, not theirs, and none that has ended. Not from /proc/PID/task/*/children, which misses some where others
    come and go."""
    return {child for child in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(child) == pid}


def _parent(pid: int) -> int | None:
    """None for a process that has ended."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[:2]  # names may be no text
    except OSError:
        return None
    return None if state == b"Z" else int(parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
