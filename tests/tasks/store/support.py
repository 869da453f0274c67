"""What the tests of stores share."""

import subprocess
import sys
from collections import Counter

import pytest

from tasks.records.reasons import PairError
from tasks.store import LocalStore


class Watched(LocalStore):
    """Folders, how often each object was read, and what was listed."""

    def __init__(self):
        self.reads, self.listed = Counter(), []

    def list(self, prefix):
        self.listed.append(prefix)
        return super().list(prefix)

    def read(self, uri, **demanded):
        self.reads[uri] += 1
        return super().read(uri, **demanded)

    def of_results(self):
        """How often results files were read, in the order of their names."""
        return [number for uri, number in sorted(self.reads.items()) if "/results/" in uri]


def names(store, prefix):
    return [found.removeprefix(prefix + "/") for found, _ in store.list(prefix)]


def refusal(operation):
    with pytest.raises(PairError) as caught:
        operation()
    return caught.value


def child(code, *arguments, timeout=60, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)
