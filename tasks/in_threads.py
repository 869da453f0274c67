"""The same call on many things, in threads, for what waits for a store."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")
THREADS = 16
EACH = 32
"""Calls that a thread makes in a row: what is quick, such as a look at a file, is not worth a task."""
AHEAD = 10_000
"""Calls that wait, or whose answers do: a million of them at once would take a gigabyte."""


def in_threads(
    call: Callable[[Given], Found], given: Sequence[Given], each: int = EACH, ahead: int = AHEAD
) -> Iterator[Found]:
    """What `call` gives for each of them, in their order, at most `ahead` of what is taken. Raises what it raises."""
    begun: deque[Future[list[Found]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for start in range(0, len(given), each):
                begun.append(pool.submit(partial(_called, call, given[start : start + each])))
                if len(begun) * each >= ahead:
                    yield from begun.popleft().result()
            while begun:
                yield from begun.popleft().result()
        finally:
            for waiting in begun:
                waiting.cancel()


def _called(call: Callable[[Given], Found], some: Sequence[Given]) -> list[Found]:
    return [call(one) for one in some]
