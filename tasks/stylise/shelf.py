"""What a worker keeps at hand from one shard to the next: styles, which many pairs share."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class Shelf(Generic[Kept]):
    """At most `limit` bytes of what was made last or asked for last. For several threads."""

    def __init__(self, limit: int, size: Callable[[Kept], int]) -> None:
        self._limit, self._size = limit, size
        self._kept: OrderedDict[Hashable, Future[Kept]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What lies under a key, or is made and laid there. Raises what `make` raises, which is not kept."""
        with self._lock:
            future = self._kept.get(key)
            ours = future is None
            if future is None:
                future = self._kept[key] = Future()
            self._kept.move_to_end(key)
        if ours:
            return self._made(key, future, make)
        try:
            return future.result()
        except Exception:  # somebody else's, and perhaps it has passed
            return make()

    def _made(self, key: Hashable, future: "Future[Kept]", make: Callable[[], Kept]) -> Kept:
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._kept[key]  # first: what is done and lies here is whole
            future.set_exception(error)
            raise
        future.set_result(made)
        self._make_room()
        return made

    def _make_room(self) -> None:
        with self._lock:
            sizes = {key: self._size(one.result()) for key, one in self._kept.items() if one.done()}
            held = sum(sizes.values())
            for key, size in sizes.items():
                if held <= self._limit:
                    return
                del self._kept[key]
                held -= size
