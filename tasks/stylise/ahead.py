"""Results that threads make ahead of who takes them, within a bound of memory."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


class Ahead(Generic[Given, Made]):
    """`make` of each of `given`, in order, at most `ahead` of what is taken.

    Nothing is begun while the results at hand take `limit` bytes or more.
    """

    def __init__(
        self,
        make: Callable[[Given], Made],
        given: Iterable[Given],
        threads: int,
        ahead: int,
        limit: int,
        size: Callable[[Made], int],
    ) -> None:
        self._make, self._size, self._limit, self._ahead = make, size, limit, ahead
        self._waiting = deque(given)
        self._begun: deque[tuple[Given, Future[Made]]] = deque()
        self._held = 0
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def left(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._begun or self._waiting)

    @property
    def in_hand(self) -> list[Given]:
        """What is being made, or waits to be taken."""
        return [given for given, _ in self._begun]

    def take(self, at_least: int) -> list[Made]:
        """The next results: as many as wanted where they fit the bound, and all that are there already."""
        taken: list[Made] = []
        while self.left:
            self._begin(one_for_sure=not taken)
            if not self._begun or (len(taken) >= at_least and not self._begun[0][1].done()):
                break
            _, future = self._begun.popleft()
            taken.append(future.result())
            self._held += self._size(taken[-1])
        self._begin()
        return taken

    def done(self, results: Sequence[Made]) -> None:
        """These are no longer held."""
        self._held -= sum(self._size(result) for result in results)

    def _begin(self, one_for_sure: bool = False) -> None:
        ready = sum(self._size(f.result()) for _, f in self._begun if f.done() and not f.exception())
        while self._waiting and len(self._begun) < self._ahead:
            if self._held + ready >= self._limit and not (one_for_sure and not self._begun):
                return
            given = self._waiting.popleft()
            self._begun.append((given, self._pool.submit(self._make, given)))
