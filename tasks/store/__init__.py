"""The one way to bytes, in folders and buckets alike: `open_store` gives the store that holds a URI."""

import os
from functools import cache

from tasks.records.reasons import UsageError
from tasks.roots import shown
from tasks.store.base import MAX_REQUESTS, AlreadyExists, Blob, Stat, Store, join, with_retries
from tasks.store.local import LocalStore

__all__ = [
    "MAX_REQUESTS", "AlreadyExists", "Blob", "LocalStore", "Stat", "Store", "join", "open_store", "sweep",
    "with_retries",
]  # fmt: skip


def open_store(uri: str) -> Store:
    """The store that holds `uri`, by its scheme. Raises UsageError for a scheme that has none."""
    if uri.startswith("file://"):
        return LocalStore()
    if uri.startswith("s3://"):
        return _s3(os.getpid())
    raise UsageError(
        f"{shown(uri)} is no place to read or write; use a path, file:///absolute/path or s3://bucket/prefix"
    )


@cache
def _s3(process: int) -> Store:
    """One for each process: connections are kept, and do not survive a fork."""
    from tasks.store.s3 import open_s3  # botocore takes half a second to import, for those who have a bucket

    return open_s3()


def sweep(root: str) -> int:
    """Remove the temporaries older than a day below `root`, left by processes that were killed; returns how many."""
    return open_store(root).sweep(root)
