"""One shard on a device at a time, on the whole machine."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def device_lock(device: str, stopping: Callable[[], bool]) -> Iterator[bool]:
    """Wait for the device, and hold it; False where we stop before. The kernel frees the lock of a killed process."""
    folder = Path(tempfile.gettempdir()) / f"gramophone-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / f"{device.replace(':', '-')}.lock")
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
