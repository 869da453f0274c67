"""A night of a million pairs, scaled down: what everything but the numerics costs, and how it grows.

Runs of `gramophone run` from beginning to end, each ten times as large as the one before: manifest, plan, Prefect on
PostgreSQL, shards, worker process, audio, curves and results on an S3 server, verdict, report. Only what a pair
computes is left out (tests/bench/night_stub.py). The same shards as plain calls, without Prefect, tell its share. The
last column is the largest run's times what a million is of it: of what grows with the pairs, and of the rest once.

Measured figures are in RESULTS.md. With `--engine ray` 2,000 pairs took 84 s, 175 ms a shard: Prefect and Ray together
are 1.05 % of such pairs (two cores of an AMD EPYC, all servers on them, before imports went without the collector).

    python -m tests.bench.bench_million [--pairs 100 1000 10000] [--shard-pairs 8] [--pair-seconds 1.0] [--engine ray]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from tests.bench import bench_night
from tests.bench.table import figure, machine, markdown, verdict
from tests.servers import make_bucket

MILLION = 1_000_000
PREFECT_TARGET = 0.01
CONTENTS, STYLES = 64, 16
PLAIN = """
import sys, time
from tasks.records.run import Job, Options
from tasks.shard import Bench, run_shard
from tasks.submit import prepare_nightly, record
from tasks.worker import Worker
from tests.bench.night_stub import serve
planned = prepare_nightly(Job(manifest=sys.argv[1], root=sys.argv[2], options=Options(shard_pairs=int(sys.argv[3]))))
record(planned)
bench = Bench(planned.root, planned.run, planned.lookup, [Worker("cpu", 1, serve)])
shards = iter(planned.plan.shards)
run_shard(bench, next(shards), {})
clock = time.perf_counter()
for shard in shards:
    run_shard(bench, shard, {})
print(time.perf_counter() - clock)
bench.close()
"""


def manifest(path: Path, pairs: int) -> None:
    rows = [
        {
            "pair_id": f"p{n}", "content_uri": f"s3://bench/clips/content-{n % CONTENTS}.flac",
            "style_uri": f"s3://bench/clips/style-{n // CONTENTS % STYLES}.flac", "seed": n,
        }
        for n in range(pairs)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(path)


def night(folder: Path, pairs: int, shard_pairs: int, engine: str) -> dict[str, float]:
    """Seconds of each part of one run, and what it held and asked."""
    from tasks.layout import Layout
    from tasks.results import read_end, read_results, read_runs
    from tasks.store import open_store

    uri, root = f"s3://bench/m-{pairs}.parquet", f"s3://bench/root-{pairs}"
    manifest(folder / "m.parquet", pairs)
    open_store(uri).create(uri, (folder / "m.parquet").read_bytes())
    peak = folder / f"peak-{pairs}"
    command = [sys.executable, "-m", "tests.bench.night_stub", str(peak), "run", uri, "--root", root]
    start, clock = time.time(), time.perf_counter()
    done = subprocess.run(
        [*command, "--shard-pairs", str(shard_pairs), "--engine", engine], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{done.stderr}")
    wall = time.perf_counter() - clock
    store, layout = open_store(root), Layout(root)
    run = read_runs(store, layout)[-1]
    rows, end = read_results(store, layout), read_end(store, layout, run.run_id)
    assert end is not None
    assert len(rows) == pairs
    created, first = run.created_at.timestamp() - start, rows["started_at"].min().timestamp() - start
    last, ended = rows["committed_at"].max().timestamp() - start, end.ended_at.timestamp() - start
    clock = time.perf_counter()
    plain = subprocess.run(
        [sys.executable, "-c", PLAIN, uri, f"{root}-plain", str(shard_pairs)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        "imports, manifest, plan": created,
        "until the first pair": first - created,
        "shards": last - first,
        "verdict": ended - last,
        "report, events, last state": wall - ended,
        "wall": wall,
        "per shard, ms": 1_000 * (last - first) / (run.shards - 1),
        "per shard without Prefect, ms": 1_000 * float(plain.stdout.split()[-1]) / (run.shards - 1),
        "largest size of the flow, MB": float(peak.read_text()),
    }


GROWING = ("imports, manifest, plan", "shards", "verdict", "report, events, last state")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--shard-pairs", type=int, default=8)
    parser.add_argument("--pair-seconds", type=float, default=1.0, help="what a pair takes its device, for the share")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gramophone-bench-"))
    try:
        with bench_night.servers(folder) as (environment, _):
            os.environ |= environment
            make_bucket("bench")
            clips = folder / "clips"
            clips.mkdir()
            for role, count in (("content", CONTENTS), ("style", STYLES)):
                for n in range(count):
                    (clips / f"{role}-{n}.flac").write_bytes(f"{role}-{n}".encode())
            bench_night.upload(clips, "s3://bench/clips")
            found = [night(folder, pairs, given.shard_pairs, given.engine) for pairs in given.pairs]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        machine(
            "prefect",
            "s3fs",
            engine=given.engine,
            shard_pairs=given.shard_pairs,
            scaled_down_by=MILLION / given.pairs[-1],
        ),
        end="\n\n",
    )
    largest, factor = found[-1], MILLION / given.pairs[-1]
    rows = []
    for name, value in largest.items():
        far = {"wall": sum(largest[part] * factor for part in GROWING) + largest["until the first pair"]}
        far |= {part: largest[part] * factor for part in GROWING}
        told = figure(far.get(name, value)) if "MB" not in name else "-"
        rows.append([name, *(figure(each[name]) for each in found), told])
    header = [
        "seconds, where not said otherwise",
        *(f"{pairs:,} pairs" for pairs in given.pairs),
        "a million, by the last",
    ]
    print(markdown(header, rows), end="\n\n")
    ours = largest["per shard, ms"] - largest["per shard without Prefect, ms"]
    share = ours / (largest["per shard without Prefect, ms"] + 1_000 * given.shard_pairs * given.pair_seconds)
    print(f"Prefect: {figure(ours)} ms a shard, of pairs that take {given.pair_seconds:g} s a share of {share:.2%}: "
          f"{verdict([share], PREFECT_TARGET)}")  # fmt: skip


if __name__ == "__main__":
    main()
