"""How busy a device is kept: pairs of ten seconds from FLAC to FLAC on an S3 server, a clock in place of the device.

Reading, decoding, resampling, encoding, drawing and storing are as in any night. The transfer is not, nor is what else
a GPU does for a pair (its level, the losses and figures of what was written, spectrograms); with `--figures cpu` the
cores do that. The clock runs at 100 pairs a second for 16 cores, as many for each core of this machine, and then
slower. Busy is the share of the time from the first batch's begin to the last one's end.

Measured so (two cores of an AMD EPYC, the S3 server on them): at 12.5 pairs a second busy 0.979 in shards of 128 on
two workers (1,024 pairs), 0.805 on one; 0.918 in shards of 32 and 0.903 in shards of eight on two (512 pairs, of
which some while the second starts); at 6.25 0.952 to 0.995. The cores spend 0.105 to 0.15 s a pair, with the start of
all processes, and the S3 server 0.02: 33 ms in the threads that level contents, encode, decode what was encoded and
draw, 14 in s3fs, 11 in the flow, 10 in the processes that decode. By that they are full at some 16 pairs a second,
which bounds it next. What else a GPU does for a pair has not been timed on one.

    python -m tests.bench.bench_pipeline [--pairs 384] [--shard-pairs 64 ...] [--workers 1 2] [--speeds ...]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tasks.layout import Layout
from tasks.results import read_results
from tasks.store import open_store
from tests.bench import bench_night, device_stub
from tests.bench.table import figure, machine, markdown, verdict
from tests.servers import make_bucket

SPEED_OF_16_CORES, BUSY_TARGET = 100.0, 0.95


def night(
    manifest: str, root: str, shard_pairs: int, workers: int, speed: float, figures: str, busy: Path
) -> list[str]:
    """A row of the table."""
    told = {device_stub.SPEED: str(speed), device_stub.BUSY: str(busy), device_stub.FIGURES: figures}
    before = _cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.device_stub", manifest, root, str(shard_pairs), str(workers)],
        env=os.environ | told, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    cpu = _cpu_seconds() - before
    rows = read_results(open_store(root), Layout(root), {done.stdout.split()[-1]})
    batches = sorted(json.loads(line) for line in busy.read_text().splitlines())
    pairs, wall = sum(many for _, _, many in batches), batches[-1][1] - batches[0][0]
    assert (rows["status"] == "ok").sum() == pairs
    share = sum(end - begin for begin, end, _ in batches) / wall
    return [
        str(shard_pairs),
        str(workers),
        figure(speed),
        figure(pairs / wall),
        f"{share:.3f}",
        figure(cpu / pairs),
        *(figure(rows[name].mean()) for name in ("seconds_read", "seconds_write")),
        verdict([share], BUSY_TARGET, at_least=True),
    ]


def _cpu_seconds() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=384)
    full = SPEED_OF_16_CORES / 16 * (os.cpu_count() or 1)
    parser.add_argument("--speeds", type=float, nargs="+", default=[full, full / 2])
    parser.add_argument("--shard-pairs", type=int, nargs="+", default=[64])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--figures", choices=["device", "cpu"], default="device")
    given = parser.parse_args()
    print(machine("torch", "s3fs", pairs=given.pairs, figures_by=given.figures), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = bench_night.clips(folder / "clips", given.pairs)
        with bench_night.servers(folder, prefect=False) as (environment, _):
            os.environ |= environment
            make_bucket("bench")
            bench_night.upload(manifest.parent, "s3://bench/clips")
            for shard_pairs in given.shard_pairs:
                for workers in given.workers:
                    for speed in given.speeds:
                        case = f"{shard_pairs}-{workers}-{speed:g}"
                        asked = (shard_pairs, workers, speed, given.figures, folder / f"busy-{case}")
                        rows.append(night("s3://bench/clips/manifest.parquet", f"s3://bench/root-{case}", *asked))
                        print(" ".join(rows[-1]), file=sys.stderr, flush=True)
    header = [
        "pairs of a shard",
        "workers",
        "device, pairs a second",
        "reached",
        "busy",
        "CPU s a pair",
        "read, s",
        "write, s",
        "target",
    ]
    print(f"\n{markdown(header, rows)}")


if __name__ == "__main__":
    main()
