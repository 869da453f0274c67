"""Planning at size: a manifest is read, checked, looked up and cut into shards, in a process of its own for each size.

The content of each row is its own; styles, parameters and lengths repeat. What is named is not there, so that a look
costs what it costs a folder; looks are told apart, for they go in parallel and a bucket's are slower. With `--done`
once more under a root in which every pair is done: all are skipped.

Measured so (two cores of an AMD EPYC): a million rows in 8.6 s and 926 MB, but for looks at a million names (136 s).
A parameter text of its own in each row costs more: each is checked by itself, some 0.2 ms.

    python -m tests.bench.bench_plan [--rows 10000 100000 1000000] [--done]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks import attempts
from tasks.layout import Layout
from tasks.manifest.pairs import ETAGS, Pairs
from tasks.records import schema
from tasks.records.parameters import Parameters
from tasks.store import open_store
from tasks.stored import parquet_bytes
from tests.bench.table import figure, machine, markdown, verdict

SECONDS_TARGET, MB_TARGET, TARGETS_AT = 10.0, 1_000.0, 1_000_000
PARTS = ("read_manifest", "look_up", "looks", "read_done", "make_plan")
STYLES, SHARD_PAIRS, ROWS_OF_A_FILE = 97, 8, 1_000


def manifest_table(rows: int) -> pa.Table:
    params = ['{"content_weight": 0.5}', None]
    made = [
        {
            "pair_id": f"pair-{n}", "content_uri": f"library/content-{n}.flac",
            "style_uri": f"library/style-{n % STYLES}.flac", "content_seconds": (10.0, 25.0, None)[n % 3],
            "seed": n, "params": params[n % 2],
        }
        for n in range(rows)
    ]  # fmt: skip
    return schema.table_of(made, schema.MANIFEST)


def finish(folder: Path, rows: int) -> None:
    """Every pair of the manifest as an `ok` row, in files of a thousand."""
    store, layout = open_store(f"file://{folder}"), Layout(f"file://{folder}/root")
    table = manifest_table(rows)
    for name in ("content_uri", "style_uri"):
        whole = pa.array([f"file://{folder}/{uri}" for uri in table[name].to_pylist()])
        table = table.set_column(table.column_names.index(name), name, whole)
    etags = pa.table([pa.array(["1-1"] * rows)] * 2, names=ETAGS)
    pairs = Pairs(table, Parameters(), etags=etags)
    for number, start in enumerate(range(0, rows, ROWS_OF_A_FILE)):
        found = [
            attempts.of_pair(pair)
            | {"run_id": "old", "manifest_row": pair.manifest_row, "status": "ok",
               "pair_key": f"{pair.manifest_row:064d}", "audio_uri": f"file://{folder}/audio-{pair.manifest_row}"}
            for pair in pairs[start : start + ROWS_OF_A_FILE]
        ]  # fmt: skip
        data = parquet_bytes(schema.table_of(found, schema.RESULTS))
        store.create(layout.shard_results("2026-11-24", "old", number), data)


def child(folder: str, there: bool) -> None:
    """Plan as `gramophone run` does and print the seconds of each part, and the largest resident size."""
    from tasks import look_up, submit
    from tasks.records.run import Job, Options

    seconds: dict[str, float] = {}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed_call(*args: Any, **kwargs: Any) -> Any:
            clock = time.perf_counter()
            found = call(*args, **kwargs)
            seconds[name] = time.perf_counter() - clock
            return found

        return timed_call

    submit.await_manifest = timed("read_manifest", submit.await_manifest)
    submit.look_up = timed("look_up", submit.look_up)
    submit.read_done = timed("read_done", submit.read_done)
    submit.make_plan = timed("make_plan", submit.make_plan)
    look_up._looks = timed("looks", look_up._looks)
    if there:
        look_up.etag_of = lambda uri, roots: "1-1"
        submit.is_there = lambda store, uri: True
    clock = time.perf_counter()
    job = Job(manifest=f"{folder}/m.parquet", root=f"{folder}/root", options=Options(shard_pairs=SHARD_PAIRS))
    plan = submit.prepare_nightly(job).plan
    seconds["all"] = time.perf_counter() - clock
    counted = {"shards": len(plan.shards), "skipped": len(plan.skipped), "peak_mb": peak_mb()}
    print(json.dumps(seconds | counted))


def peak_mb() -> float:
    """The largest resident size of this process since it was begun (getrusage would tell its parent's as well)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def planned(rows: int, done: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(manifest_table(rows), f"{folder}/m.parquet")
        if done:
            finish(Path(folder), rows)
        command = [sys.executable, "-m", "tests.bench.bench_plan", "--child", folder, *(["--done"] if done else [])]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    assert found["skipped"] == (rows if done else 0)
    return found


def table(sizes: list[int], done: bool) -> str:
    header = ["rows", *(part.replace("_", " ") for part in PARTS), "all but looks, s", "largest size, MB", "targets"]
    rows = []
    for size in sizes:
        found = planned(size, done)
        own = found["all"] - found["looks"]
        said = ""
        if size == TARGETS_AT and not done:
            said = f"{verdict([own], SECONDS_TARGET)}; {verdict([found['peak_mb']], MB_TARGET)}"
        parts = [figure(found[part]) for part in PARTS]
        rows.append([f"{size:,}", *parts, figure(own), figure(found["peak_mb"]), said])
    return markdown(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--done", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.done)
        return
    print(machine("pyarrow", "pandas", styles=STYLES, shard_pairs=SHARD_PAIRS), flush=True)
    print(f"\nSeconds, nothing done before; look up has its looks in it.\n\n{table(given.rows, False)}", flush=True)
    if given.done:
        print(f"\nSeconds, every pair done before.\n\n{table(given.rows, True)}")


if __name__ == "__main__":
    main()
