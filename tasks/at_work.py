"""Whether a process of this machine works on a run."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def _run_lock(run_id: str) -> FileLock:
    folder = Path(tempfile.gettempdir()) / f"gramophone-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return FileLock(folder / f"run-{run_id}.lock")


@contextmanager
def at_work(run_id: str) -> Iterator[None]:
    """While this is held, `is_working` says yes on this machine, and no once the process is gone, however it went."""
    lock = _run_lock(run_id)
    with lock:
        yield
    Path(lock.lock_file).unlink(missing_ok=True)


def is_working(run_id: str) -> bool:
    """Whether a process of this machine works on the run. Of other machines it cannot tell: no."""
    lock = _run_lock(run_id)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
