"""One shard at a time on each seat of a device, on the whole machine: a seat for each worker that a run has on it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def device_lock(device: str, stopping: Callable[[], bool], seat: int = 0) -> Iterator[bool]:
    """Wait for a seat of the device, and hold it; False where we stop before. The kernel frees a killed process's."""
    folder = Path(tempfile.gettempdir()) / f"gramophone-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = device.replace(":", "-") + (f"-seat-{seat}" if seat else "")
    lock = FileLock(folder / f"{name}.lock")
    locked = False
    while not locked and not stopping():
        try:
            lock.acquire(timeout=0.5)
            locked = True
        except Timeout:
            continue
    try:
        yield locked
    finally:
        lock.release()
