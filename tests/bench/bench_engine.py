"""What an engine costs: its start, each order, the driver's memory over many, and its CPU while a worker is silent.

    python -m tests.bench.bench_engine [--orders 2000] [--turns 3]

The orders compute nothing. Each engine and turn has a process of its own; engines take turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks import attempts
from tasks.engines.ray_cluster import made
from tasks.overrides import checked
from tasks.records.pair import Attempt, Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.run import Options, RunRecord
from tasks.worker import AnyWorker, Listener, Order, Worker
from tests.bench.table import machine, markdown, spread
from tests.orders import orders

ENGINES = ("local", "ray")
PAIRS, SILENT_SECONDS = 8, 10.0


def idle(connection: Any, stop: Any, device: str, threads: int) -> None:
    """A worker that has done all pairs at once; an order of one pair takes it some silent seconds."""
    for order in orders(connection):
        if len(order.pairs) == 1:
            time.sleep(SILENT_SECONDS)
        for pair in order.pairs:
            connection.send(("report", "batch", (pair.manifest_row,)))
            connection.send(("attempt", Attempt(pair.manifest_row, attempts.of_pair(pair) | {"status": "ok"})))
        connection.send(("done",))


def order_of(pairs: int) -> Order:
    inputs = (Input("content", "file:///a.wav"), Input("style", "file:///b.wav"))
    run = RunRecord(
        run_id="r", root_run_id="r", night="2026-01-01", created_at=datetime.now(UTC), manifest_uri="file:///m",
        manifest_sha256="m", pairs=pairs, skipped=0, shards=1, parameters=Parameters(), options=Options(), allowed=(),
        code_version="1", host="h",
    )  # fmt: skip
    return Order("file:///r", run, tuple(Pair(n, f"p{n}", inputs, "optimise", checked({})) for n in range(pairs)))


def megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measured(engine: str, orders: int) -> dict[str, float]:
    """Figures of one engine, in this process."""
    heard: list[Attempt] = []
    listener = Listener(heard.append, lambda stage, rows: None, lambda keys: {}, lambda: False)
    clock = time.perf_counter()
    with ExitStack() as stack:
        worker: AnyWorker = Worker("bench:engine", 1, idle)  # a lock of its own
        if engine == "ray":
            cluster = stack.enter_context(made())
            from tasks.engines.ray_worker import RayWorker

            worker = RayWorker(cluster, "cpu", 1, cpus=1, entry=idle)
        stack.callback(worker.close)

        def carry_out(order: Order) -> None:
            ready = False
            while not ready:
                with worker.reserved(lambda: False) as ready:
                    if ready:
                        worker.run(order, listener, 60)

        carry_out(order_of(2))
        found = {"start": time.perf_counter() - clock}
        for _ in range(100):
            carry_out(order_of(PAIRS))
        found["before"], took = megabytes(), []
        for _ in range(orders):
            heard.clear()
            clock = time.perf_counter()
            carry_out(order_of(PAIRS))
            took.append(1e3 * (time.perf_counter() - clock))
        found |= {"order": statistics.median(took), "after": megabytes()}
        used = time.process_time()
        carry_out(order_of(1))
        found["silent"] = 1e3 * (time.process_time() - used) / SILENT_SECONDS
        clock = time.perf_counter()
    return found | {"end": time.perf_counter() - clock}


MEASURES = {
    "start": "from nothing to the first order done, s",
    "order": f"an order of {PAIRS} pairs, ms",
    "before": "resident memory of the driver after 100 orders, MB",
    "after": "the same after {orders} more, MB",
    "silent": "CPU of the driver for each second of a silent worker, ms",
    "end": "until all of it has ended, s",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--orders", type=int, default=2_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        from tests.bench.bench_engine import measured as by_name  # workers import what they run by its module's name

        print(json.dumps(by_name(given.engine, given.orders)))
        return
    found: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    for _ in range(given.turns):
        for engine in ENGINES:
            command = [
                sys.executable,
                "-m",
                "tests.bench.bench_engine",
                "--engine",
                engine,
                "--orders",
                str(given.orders),
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[engine].append(json.loads(done.stdout))
    print(machine("ray", "prefect", orders=given.orders, turns=given.turns), end="\n\n")
    rows = [
        [text.format(orders=given.orders), *(spread([turn[name] for turn in found[engine]]) for engine in ENGINES)]
        for name, text in MEASURES.items()
    ]
    print(markdown(["min / median / max", *ENGINES], rows))


if __name__ == "__main__":
    main()
