"""Hand out shards, a few at a time, and stop handing out when the run should stop."""

from collections.abc import Iterable
from itertools import islice

from prefect.futures import PrefectFuture, as_completed
from prefect.logging import get_run_logger

from tasks.plan import Shard
from tasks.shard import Bench
from tasks.steps import shard_step, whole


def fan_out(shards: Iterable[Shard], bench: Bench, limit: int) -> None:
    """Run every shard, at most `limit` at once, until all are done or the bench is stopping.

    The results say what became of a shard, not its future: that one also raises when the Prefect API is gone.
    """
    waiting = iter(shards)
    live = [_submit(shard, bench) for shard in islice(waiting, limit)]
    while live:
        future = next(iter(as_completed(live)))
        live.remove(future)
        try:
            future.result()
        except Exception as error:
            get_run_logger().error("A shard's task ended with %s: %s", type(error).__name__, error)
        if not bench.stopping() and (shard := next(waiting, None)) is not None:
            live.append(_submit(shard, bench))


def _submit(shard: Shard, bench: Bench) -> PrefectFuture[dict[str, int]]:
    return shard_step.submit(shard.number, whole(shard), whole(bench))
