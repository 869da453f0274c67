"""What storage and Prefect cost a night: the same pairs as plain calls on a folder, and as a flow on an S3 server with
a Prefect server on PostgreSQL. Where the flow's wall goes is told by the times in its own results.

    python -m tests.bench.bench_night [--pairs 40] [--repeat 1]
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd

from tests.bench import music
from tests.bench.table import figure, machine, markdown, spread
from tests.proxy import Proxy, proxy_to
from tests.servers import free_port, free_s3_ports, make_bucket, prefect_at, s3_server_at

SHARD_PAIRS = 8
STAGES = ("seconds_spectrogram", "seconds_phase", "seconds_refine", "seconds_write")
PLAIN = """
import sys
from tasks.records.run import Job, Options
from tasks.shard import Bench, run_shard
from tasks.submit import prepare_nightly, record
from tasks.worker import Worker
options = Options(shard_pairs=int(sys.argv[3]), threads=1, device="cpu")
planned = prepare_nightly(Job(manifest=sys.argv[1], root=sys.argv[2], options=options))
record(planned)
bench = Bench(planned.root, planned.run, planned.lookup, [Worker("cpu", 1)])
for shard in planned.plan.shards:
    run_shard(bench, shard, {})
bench.close()
"""


@contextmanager
def servers(folder: Path, prefect: bool = True) -> Iterator[tuple[dict[str, str], Proxy]]:
    """Everything a night stands on; the environment that points to it, and a proxy that counts its S3 requests."""
    key, secret, ports = "bench", secrets.token_hex(8), free_s3_ports()
    with ExitStack() as stack:
        stack.enter_context(s3_server_at(ports, folder / "s3", key, secret))
        proxy = stack.enter_context(proxy_to(f"http://127.0.0.1:{ports[3]}"))
        port, settings = free_port(), {"PREFECT_HOME": str(folder / "prefect")}
        if prefect:
            stack.enter_context(prefect_at(port, folder, settings))
        yield (
            settings
            | {
                "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": secret,
                "GRAMOPHONE_S3_ENDPOINT": f"http://127.0.0.1:{ports[3]}",
                "GRAMOPHONE_S3_REGION": "us-east-1",
            },
            proxy,
        )


def clips(folder: Path, pairs: int) -> Path:
    """Excerpts as FLAC, and a manifest of `pairs` rows over them."""
    import soundfile

    folder.mkdir(parents=True)
    found = music.pairs(8)
    for number, pair in enumerate(found):
        for role, samples in (("content", pair.content), ("style", pair.style)):
            soundfile.write(folder / f"{role}-{number}.flac", samples.clamp(-1, 1).numpy(), music.SAMPLE_RATE)
    rows = [
        {
            "pair_id": f"p{n:02}",
            "content_uri": f"content-{n % len(found)}.flac",
            "style_uri": f"style-{(n // len(found) + n) % len(found)}.flac",
            "seed": n,
        }
        for n in range(pairs)
    ]
    pd.DataFrame(rows).to_parquet(folder / "manifest.parquet")
    return folder / "manifest.parquet"


def timed(command: list[str], environment: dict[str, str], folder: Path) -> tuple[float, float]:
    """(wall seconds, time of the start) of a command that must succeed."""
    start, clock = time.time(), time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | environment, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - clock, start


def profile(root: str, start: float, wall: float) -> list[list[str]]:
    """Where the wall of a run went, by the times in its results: parts that follow each other and add up to it."""
    from tasks.layout import Layout
    from tasks.results import read_end, read_results, read_runs
    from tasks.store import open_store

    store, layout = open_store(root), Layout(root)
    run = read_runs(store, layout)[-1]
    rows, end = read_results(store, layout, {run.run_id}), read_end(store, layout, run.run_id)
    assert end is not None
    created, first = run.created_at.timestamp() - start, rows.started_at.min().timestamp() - start
    last, ended = rows.committed_at.max().timestamp() - start, end.ended_at.timestamp() - start
    computed = float(rows[list(STAGES)].sum().sum())
    parts = {
        "start: imports, manifest, plan": created,
        "until the first pair: flow, probe, record, worker": first - created,
        "pairs: spectrogram, phase, refine, encode and measure": computed,
        "pairs: read, decode, store, commit, hand over": last - first - computed,
        "verdict": ended - last,
        "end: last state, artifacts, process": wall - ended,
    }
    return [[name, figure(seconds), f"{100 * seconds / wall:.1f} %"] for name, seconds in parts.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description="What storage and Prefect cost a night.")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gramophone-bench-"))
    manifest = clips(folder / "clips", given.pairs)
    run = [sys.executable, "-m", "flows.cli", "run", "s3://bench/clips/manifest.parquet"]
    options = ["--shard-pairs", str(SHARD_PAIRS), "--threads", "1", "--device", "cpu"]
    plain, flows, table = [], [], []
    try:
        with servers(folder) as (environment, proxy):
            os.environ |= environment
            make_bucket("bench")
            upload(manifest.parent, "s3://bench/clips")
            for turn in range(given.repeat):
                root = f"s3://bench/root-{turn}"
                wall, start = timed([*run, "--root", root, *options], environment, folder)
                flows.append(wall)
                table = profile(root, start, wall)
                command = [sys.executable, "-c", PLAIN, str(manifest), str(folder / f"root-{turn}"), str(SHARD_PAIRS)]
                plain.append(timed(command, {}, folder)[0])
            # Once more over what is done: nothing is computed, all of it is overhead.
            counted = environment | {"GRAMOPHONE_S3_ENDPOINT": proxy.url}
            idle, _ = timed([*run, "--root", root, *options], counted, folder)
            asked = len(proxy.seen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(machine("prefect", "s3fs", "torch", threads=1, pairs=given.pairs, shard_pairs=SHARD_PAIRS), end="\n\n")
    print(music.note(), end="\n\n")
    rows = [
        ["flow on S3 and a Prefect server", spread(flows), spread([f / p for f, p in zip(flows, plain, strict=True)])],
        ["plain calls on a folder", spread(plain), "1"],
        ["the flow once more, all skipped", figure(idle), f"{asked} S3 requests"],
    ]
    print(markdown(["wall seconds", "min / median / max", "ratio"], rows), end="\n\n")
    print(markdown(["the last flow's wall", "seconds", "share"], table))


def upload(folder: Path, uri: str) -> None:
    from tasks.store import join, open_store

    for path in sorted(folder.iterdir()):
        open_store(uri).create(join(uri, path.name), path.read_bytes())


if __name__ == "__main__":
    main()
