"""Pairs of ten seconds a second on a GPU: of the device alone, and with everything from file to file."""

import tempfile
import time
from pathlib import Path

import torch

from tasks.records.run import Job, Options
from tasks.shard import Bench, run_shard
from tasks.submit import prepare_nightly, record
from tasks.transfer.pipeline import transfer
from tasks.worker import Worker
from tests.bench import bench_night, music, sides
from tests.bench.table import Row, machine, measures, verdict

BATCH = 64
SHARD = 256
TARGETS = {"device time only": (150.0, 300.0), "end to end, decoded and written": (100.0, None)}


def report(name: str, command: str) -> str:
    """The rows of the device of that name: without it they say so."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        rows = [Row(f"pairs a second, {what}", [], "not measured: no GPU here", command) for what in TARGETS]
        return measures(rows)
    found = zip(TARGETS.items(), (device_only(torch.device(name)), end_to_end(name)), strict=True)
    rows = [
        Row(f"pairs a second, {what}", [rate], verdict([rate], target, at_least=True, stretch=stretch), command)
        for (what, (target, stretch)), rate in found
    ]
    card = torch.cuda.get_device_name(name) if name.startswith("cuda") else name
    return f"{machine('torch', device=card, batch=BATCH, shard=SHARD)}\n\n{music.note()}\n\n{measures(rows)}"


def device_only(device: torch.device, batch: int = BATCH) -> float:
    """Pairs a second through the three stages, the second of two batches: signals in and out, no files."""
    found = [sides.item(pair) for pair in music.pairs(8)]
    items = [found[n % len(found)] for n in range(batch)]
    for _ in range(2):
        clock = time.perf_counter()
        sides.returned(transfer(items, sides.settings(), device))
        seconds = time.perf_counter() - clock
    return batch / seconds


def end_to_end(device: str, shard: int = SHARD) -> float:
    """Pairs a second from FLAC to FLAC with all figures, in the second of two shards: read, restyle, measure, write."""
    with tempfile.TemporaryDirectory(prefix="gramophone-bench-") as folder:
        manifest = bench_night.clips(Path(folder) / "clips", 2 * shard)
        options = Options(shard_pairs=shard, device=device)
        planned = prepare_nightly(Job(manifest=str(manifest), root=f"{folder}/root", options=options))
        record(planned)
        bench = Bench(planned.root, planned.run, planned.lookup, [Worker(device, 1)])
        try:
            for part in planned.plan.shards:
                clock = time.perf_counter()
                run_shard(bench, part, {})
                seconds = time.perf_counter() - clock
        finally:
            bench.close()
    return shard / seconds
