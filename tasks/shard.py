"""Carry out one shard: hand its pairs to a worker, bisect what kills it, commit what came back."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tasks import attempts
from tasks.done import Served
from tasks.layout import Layout
from tasks.lineage import machine
from tasks.plan import Shard
from tasks.records.pair import Attempt, Pair
from tasks.records.reasons import PairError, Reason
from tasks.records.run import RunRecord
from tasks.results import commit_shard
from tasks.store import open_store
from tasks.worker import AnyWorker, Listener, Order, WorkerLost

Keep = Callable[[Attempt], None]


@dataclass(frozen=True)
class Bench:
    """The workers, some for each device, and what every shard of a run needs to know."""

    root: str
    run: RunRecord
    lookup: Callable[[list[str]], dict[str, Served]]
    workers: list[AnyWorker]
    stopping: Callable[[], bool] = lambda: False
    finished: Callable[[int, Attempt], None] = lambda shard, attempt: None  # hears of every attempt as it comes in
    working: Callable[[str, tuple[int, ...]], None] = lambda stage, rows: None  # of what a worker has in hand
    shard_failed: Callable[[Exception], None] = lambda error: None  # of a shard that could not be committed
    shard_committed: Callable[[], None] = lambda: None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def worker(self) -> Iterator[AnyWorker | None]:
        """A free worker that has its device; None when the run stops while waiting."""
        while not self.stopping():
            with self._changed:
                worker = self.workers.pop() if self.workers else None
                if worker is None:
                    self._changed.wait(0.5)
                    continue
            ready = False
            try:
                with worker.reserved(self.stopping) as ready:
                    if ready:
                        yield worker
                        return
            finally:
                with self._changed:  # the warm ones are taken first
                    self.workers.insert(len(self.workers) if ready else 0, worker)
                    self._changed.notify()
        yield None

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def run_shard(bench: Bench, shard: Shard, context: dict[str, Any]) -> list[Attempt]:
    """Compute and commit one shard; `context` holds columns that its rows share. Returns the attempts.

    Asked to stop, it commits what is done. Each pair gets at most one attempt; a pair whose worker died or
    hung is tried alone before it fails.
    """
    done: dict[int, Attempt] = {}
    try:
        try:
            compute(bench, shard, done)
        finally:  # what is done is done, also where something went wrong on our side
            if done:
                _commit(bench, shard, list(done.values()), machine() | context)
    except Exception as error:
        bench.shard_failed(error)  # its other pairs stay open
        raise
    if done:
        bench.shard_committed()
    return list(done.values())


def counted(shard: Shard, attempts: Sequence[Attempt]) -> str:
    """What became of a shard's pairs: "2 of 4 pairs done; 1 failed: 1 decode_error; 1 not reached"."""
    why = Counter(str(attempt.values["reason"]) for attempt in attempts if not attempt.ok)
    parts = [f"{len(attempts) - why.total()} of {len(shard.pairs)} pairs done"]
    if why:
        parts.append(f"{why.total()} failed: " + ", ".join(f"{n} {reason}" for reason, n in why.most_common()))
    if left := len(shard.pairs) - len(attempts):
        parts.append(f"{left} not reached")
    return "; ".join(parts)


def _commit(bench: Bench, shard: Shard, done: list[Attempt], context: dict[str, Any]) -> None:
    commit_shard(open_store(bench.root), Layout(bench.root), bench.run, shard.number, done, context)


def compute(bench: Bench, shard: Shard, done: dict[int, Attempt]) -> None:
    """Put the attempts of a shard, not yet committed, into `done`, by manifest row; also those before it raises."""
    tries: Counter[int] = Counter()

    def keep(attempt: Attempt) -> None:
        attempt.values["tries"] = max(1, tries[attempt.manifest_row])
        done[attempt.manifest_row] = attempt
        bench.finished(shard.number, attempt)

    for pair in shard.pairs:
        if error := pair.error():
            keep(attempts.failed(pair, error))
    groups = [[pair for pair in shard.pairs if pair.manifest_row not in done]]
    while groups and not bench.stopping():
        group = groups.pop(0)
        if not group:
            continue
        tries.update(pair.manifest_row for pair in group)
        lost = _hand_over(bench, group, keep)
        if lost is None:
            continue
        left = [pair for pair in group if pair.manifest_row not in done]
        groups = _bisected(left, lost, len(group) == 1 and tries[group[0].manifest_row] > 1, keep) + groups


def _hand_over(bench: Bench, group: list[Pair], keep: Keep) -> WorkerLost | None:
    listener = Listener(
        attempt=keep,
        report=bench.working,
        lookup=bench.lookup,
        stopping=bench.stopping,
    )
    with bench.worker() as worker:
        if worker is None:
            return None
        try:
            worker.run(Order(bench.root, bench.run, tuple(group)), listener, bench.run.options.timeout_seconds)
        except WorkerLost as lost:
            return lost
    return None


def _bisected(left: list[Pair], lost: WorkerLost, again_alone: bool, keep: Keep) -> list[list[Pair]]:
    """What to hand over next after a worker was lost: the suspects in halves, the others as they are.

    A pair fails only when it was alone, and not for the first time.
    """
    suspects = [pair for pair in left if pair.manifest_row in lost.rows] or left
    others = [pair for pair in left if pair not in suspects]
    if len(suspects) == 1:
        pair = suspects[0]
        if again_alone:
            reason = Reason.TIMEOUT if lost.hung else Reason.WORKER_LOST
            keep(attempts.failed(pair, PairError(reason, f"{lost.how}, also when it was alone")))
            return [others]
        return [[pair], others]
    half = len(suspects) // 2
    return [suspects[:half], suspects[half:], others]
