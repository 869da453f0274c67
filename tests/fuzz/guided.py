"""One target under a coverage-guided fuzzer: `python -m tests.fuzz.guided sounds [libFuzzer's options] FOLDER`.

With files in place of the folder each is tried once: so a finding is looked at again.
"""

import importlib
import resource
import sys

import atheris
import hypothesis  # noqa: F401
import numpy  # noqa: F401 - what is not ours is imported first: only our code guides
import pyarrow.parquet  # noqa: F401
import pydantic  # noqa: F401
import s3fs  # noqa: F401
import soundfile  # noqa: F401

MEMORY_LIMIT = 6 << 30
"""Address space, bytes: libraries reserve much of it and use little."""

name = sys.argv.pop(1)
with atheris.instrument_imports(include=["tasks"]):
    target = importlib.import_module(f"tests.fuzz.{name}")


def mutated(data, max_size, seed):
    """libFuzzer's mutation; every second one with what a container checks first made right again."""
    data = atheris.Mutate(data, max_size)
    return target.mend(data) if seed % 2 else data


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    kwargs = {"custom_mutator": mutated} if hasattr(target, "mend") else {}
    atheris.Setup(sys.argv, lambda data: target.check(data) and None, **kwargs)
    atheris.Fuzz()
