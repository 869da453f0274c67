"""A worker that computes nothing: each pair becomes a stored object, a row with all figures, and its loss curves."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tasks import attempts
from tasks.decoding import die_with_parent
from tasks.layout import Layout
from tasks.records import schema
from tasks.records.pair import Attempt, Pair
from tasks.store import open_store
from tests.orders import orders

EVALUATIONS, AUDIO_BYTES, PUTS = 100, 16_000, 8
SPEED = "BENCH_PAIRS_A_SECOND"
"""Environment of the bench's workers, which are spawned: how many pairs a second they pretend to compute; 0: any."""
FIGURES = [c.name for c in (*schema.QUALITY_COLUMNS, *schema.EFFORT_COLUMNS) if str(c.type) == "double"]


def serve(connection: Any, stop: Any, device: str, threads: int) -> None:
    """A worker's life (tasks.worker.serve): take orders until the flow's side is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    die_with_parent()
    speed = float(os.environ.get(SPEED, "0"))
    with ThreadPoolExecutor(PUTS) as pool:
        for order in orders(connection):
            until = time.monotonic() + (len(order.pairs) / speed if speed else 0.0)
            for attempt in pool.map(partial(done, order), order.pairs):
                connection.send(("attempt", attempt))
            time.sleep(max(0.0, until - time.monotonic()))
            connection.send(("done",))


def done(order: Any, pair: Pair) -> Attempt:
    began, name = datetime.now(UTC), f"{order.run.run_id}/{pair.manifest_row}"
    data = (name.encode() * AUDIO_BYTES)[:AUDIO_BYTES]
    digest = hashlib.sha256(data).hexdigest()
    uri = Layout(order.root).audio(order.run.night, order.run.run_id, pair.name, digest, "flac")
    open_store(order.root).keep(uri, data)
    inputs = tuple(replace(one, sha256=hashlib.sha256(one.uri.encode()).hexdigest()) for one in pair.inputs)
    values = attempts.of_pair(replace(pair, inputs=inputs)) | dict.fromkeys(FIGURES, 0.5)
    values |= {
        "status": "ok", "audio_uri": uri, "audio_sha256": digest, "audio_bytes": len(data), "audio_rate": 44_100,
        "audio_channels": 2, "audio_frames": 441_000, "evaluations": EVALUATIONS, "stop_reason": "stub",
        "samples_sha256": digest, "started_at": began, "finished_at": datetime.now(UTC), "device": "stub",
    }  # fmt: skip
    curve = [1.0 / (n + 1) for n in range(EVALUATIONS)]
    curves = {"stage": ["refine"] * EVALUATIONS, "total": curve, "content": curve, "style": curve}
    return Attempt(pair.manifest_row, values, curves)


def with_such_workers(made: Any) -> Any:
    """A cluster made for a run whose hosts have them; Ray may be imported only once it is."""

    @contextmanager
    def cluster() -> Iterator[Any]:
        with made() as found:
            from tasks.engines import ray_workers
            from tests.bench import night_stub

            ray_workers.RayWorker = partial(ray_workers.RayWorker, entry=night_stub.serve)
            yield found

    return cluster


def main() -> None:
    """`gramophone` with such workers; the flow's largest resident size goes into the file of the first argument."""
    import sys
    from pathlib import Path

    from tasks import worker
    from tasks.engines import ray_cluster
    from tests.bench import night_stub
    from tests.bench.bench_plan import peak_mb

    worker.serve = night_stub.serve  # by its name, under which a spawned process finds it
    ray_cluster.made = with_such_workers(ray_cluster.made)
    from flows.cli import main as command

    file = Path(sys.argv.pop(1))
    try:
        command()
    finally:
        file.write_text(f"{peak_mb():.0f}")


if __name__ == "__main__":
    main()
