"""What the tests of stores share."""

import subprocess
import sys

import pytest

from tasks.records.reasons import PairError


def names(store, prefix):
    return [found.removeprefix(prefix + "/") for found, _ in store.list(prefix)]


def refusal(operation):
    with pytest.raises(PairError) as caught:
        operation()
    return caught.value


def child(code, *arguments, timeout=60, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)
