"""How busy a device is kept: pairs of ten seconds from FLAC to FLAC on an S3 server, a clock in place of the device.

Reading, decoding, resampling, storing and the figures of what was written are as in any night; only the transfer is
not. The losses of what was written are a GPU's work, as the transfer is, and left out; with `--figures cpu` the cores
compute them. The clock runs at 100 pairs a second for 16 cores, as many for each core of this machine, and then slower,
until the cores keep up. Busy is the share of the time from the first batch's begin to the last one's end; a device that
is faster than what the cores sustain is kept busy for a while, but what it made waits to be written.

Measured so (two cores of an AMD EPYC, 128 pairs in a shard): busy 0.935 at 12.5 pairs a second and 0.962 at 6.25, by
0.63 CPU seconds a pair: the cores sustain 3.2 pairs a second, 25 on sixteen, and not 100. What bounds it next are the
figures of what was written (by ear, true peak, pictures), not files or storage. In shards of eight nothing overlaps:
0.36 at 3 pairs a second.

    python -m tests.bench.bench_pipeline [--pairs 96] [--shard-pairs 96] [--speeds ...] [--figures device]
"""

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path

from tasks.layout import Layout
from tasks.records.run import Job, Options
from tasks.results import read_results
from tasks.shard import Bench, run_shard
from tasks.store import open_store
from tasks.submit import prepare_nightly, record
from tasks.worker import Worker
from tests.bench import bench_night, device_stub
from tests.bench.table import figure, machine, markdown, verdict
from tests.servers import make_bucket

SPEED_OF_16_CORES, BUSY_TARGET = 100.0, 0.95


def night(
    manifest: str, root: str, pairs: int, shard_pairs: int, speed: float, figures: str, folder: Path
) -> list[str]:
    """A row of the table: a shard of that many pairs on one worker."""
    busy = folder / f"busy-{shard_pairs}-{speed:g}"
    os.environ |= {device_stub.SPEED: str(speed), device_stub.BUSY: str(busy), device_stub.FIGURES: figures}
    planned = prepare_nightly(Job(manifest=manifest, root=root, options=Options(shard_pairs=shard_pairs, threads=1)))
    record(planned)
    bench = Bench(
        root=planned.root, run=planned.run, lookup=planned.lookup, finished=lambda shard, attempt: None,
        working=lambda stage, rows: None, shard_failed=print, stopping=lambda: False,
        workers=[Worker("cpu", 1, device_stub.serve)],
    )  # fmt: skip
    before = _cpu_seconds()
    try:
        for shard in planned.plan.shards:
            run_shard(bench, shard, {})
    finally:
        bench.close()
    cpu = _cpu_seconds() - before
    rows = read_results(open_store(root), Layout(planned.root), {planned.run.run_id})
    assert (rows["status"] == "ok").sum() == pairs
    batches = [json.loads(line) for line in busy.read_text().splitlines()]
    wall = batches[-1][1] - batches[0][0]
    share = sum(end - begin for begin, end, _ in batches) / wall
    means = [figure(rows[name].mean()) for name in ("seconds_read", "seconds_write")]
    return [
        str(shard_pairs),
        figure(speed),
        figure(pairs / wall),
        f"{share:.3f}",
        figure(cpu / pairs),
        figure(pairs / cpu * (os.cpu_count() or 1)),
        *means,
        verdict([share], BUSY_TARGET, at_least=True),
    ]


def _cpu_seconds() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=96)
    full = SPEED_OF_16_CORES / 16 * (os.cpu_count() or 1)
    parser.add_argument("--speeds", type=float, nargs="+", default=[full / 2**n for n in range(5)])
    parser.add_argument("--shard-pairs", type=int, nargs="+", default=[96])
    parser.add_argument("--figures", choices=["device", "cpu"], default="device")
    given = parser.parse_args()
    print(machine("torch", "s3fs", pairs=given.pairs, losses_by=given.figures), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = bench_night.clips(folder / "clips", given.pairs)
        with bench_night.servers(folder, prefect=False) as (environment, _):
            os.environ |= environment
            make_bucket("bench")
            bench_night.upload(manifest.parent, "s3://bench/clips")
            for shard_pairs in given.shard_pairs:
                for speed in given.speeds:
                    root = f"s3://bench/root-{shard_pairs}-{speed:g}"
                    asked = (given.pairs, shard_pairs, speed, given.figures)
                    rows.append(night("s3://bench/clips/manifest.parquet", root, *asked, folder))
    header = [
        "pairs of a shard",
        "device, pairs a second",
        "reached",
        "busy",
        "CPU s a pair",
        "cores sustain",
        "read, s",
        "write, s",
        "target",
    ]
    print(f"\n{markdown(header, rows)}")


if __name__ == "__main__":
    main()
