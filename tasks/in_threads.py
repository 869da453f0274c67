"""The same call on many things, in threads, for what waits for a store."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")
THREADS = 16
EACH = 32
"""Calls that a thread makes in a row: what is quick, such as a look at a file, is not worth a task."""
AT_ONCE = 10_000
"""Calls that wait: a million of them at once would take a gigabyte."""


def in_threads(call: Callable[[Given], Found], given: Sequence[Given]) -> Iterator[Found]:
    """What `call` gives for each of them, in their order. Raises what it raises."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(given), AT_ONCE):
            some = given[start : start + AT_ONCE]
            parts = [some[at : at + EACH] for at in range(0, len(some), EACH)]
            yield from chain.from_iterable(pool.map(lambda part: [call(one) for one in part], parts))
