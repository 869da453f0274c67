"""A file that a command is told to write: looked at before the work, whole or not at all after it."""

import os
from pathlib import Path

from tasks.records.reasons import UsageError


def check(out: Path, overwrite: bool) -> None:
    """Raises UsageError where `out` is there already, or its folder is none that may be written to."""
    if out.exists() and not overwrite:
        raise UsageError(f"{out} is there already; choose another name, or say --overwrite.")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder; make it first, or choose another.")
    if not os.access(out.parent, os.W_OK):
        raise UsageError(f"{out.parent} may not be written to; choose another folder.")


def write(out: Path, data: bytes) -> None:
    """Raises PairError (disk_full, storage)."""
    from tasks.roots import place
    from tasks.store import open_store

    uri = place(str(out))
    open_store(uri).replace(uri, data)  # by renaming, which also a disk can do that has no links
