"""Hand out shards, a few at a time, and stop handing out when the run should stop."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from prefect.futures import PrefectFuture, as_completed
from prefect.logging import get_run_logger

from tasks.plan import Shard
from tasks.records.words import amount
from tasks.shard import Bench
from tasks.steps import shard_step, whole


def fan_out(shards: Iterable[Shard], bench: Bench, limit: int, closed: Callable[[], bool]) -> bool:
    """Run every shard, at most `limit` at once, until all are done, the bench is stopping, or it is `closed`.

    The results say what became of a shard, not its future: that one also raises when the Prefect API is gone.
    Returns whether all were handed out.
    """
    waiting, live = iter(shards), list[PrefectFuture[Any]]()
    following = next(waiting, None)
    while True:
        while following and len(live) < limit and not bench.stopping() and not closed():
            live.append(_submit(following, bench))
            following = next(waiting, None)
        if not live:
            return following is None
        future = _next(live)
        live.remove(future)
        try:
            future.result()
        except Exception as error:
            get_run_logger().error("A shard's task ended with %s: %s", type(error).__name__, error)


def _next(live: list[PrefectFuture[Any]]) -> PrefectFuture[Any]:
    """The next future that is done. Prefect breaks into a deployed flow when it cannot renew its concurrency slot, as
    when its server was away for long: the run goes on, for its results need no Prefect."""
    while True:
        try:
            return next(iter(as_completed(live)))
        except asyncio.CancelledError:
            get_run_logger().warning("Prefect has lost this run's concurrency slot; the run goes on")


def _submit(shard: Shard, bench: Bench) -> PrefectFuture[Any]:
    return shard_step.submit(shard.number, amount(len(shard.pairs), "pair"), whole(shard), whole(bench))
