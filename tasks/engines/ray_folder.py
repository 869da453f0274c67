"""Where a Ray cluster that is made for a run has its sockets and logs."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

SHORT = Path("/tmp")
"""Not deep in somebody's folder of temporary files: names of sockets are short."""
NAME, LOCK = "gramophone-ray-", "lock"
YOUNG_SECONDS = 60.0


@contextmanager
def ray_folder() -> Iterator[Path]:
    """A folder that is gone at the end; those whose runs were killed go now."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=NAME, dir=SHORT))
    try:
        with FileLock(folder / LOCK):  # the kernel frees it, however its run ends
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    for left in SHORT.glob(f"{NAME}*/{LOCK}"):
        with suppress(OSError, Timeout):  # it is another user's, or held
            if time.time() - left.stat().st_mtime > YOUNG_SECONDS:  # one that begins has its lock in a moment
                with FileLock(left, timeout=0):
                    shutil.rmtree(left.parent, ignore_errors=True)
