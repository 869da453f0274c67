"""The end of a run at size: verdict, report and OpenLineage events from results that are there, each in a process of
its own, with what it took of time and of memory beyond what the process had before.

Results are made as shards commit them, without their audio and curves: every content its own, few styles, one pair in
a hundred failed. On a folder and, with `--s3`, on the S3 server of the tests.

Measured so on a folder (two cores of an AMD EPYC), in seconds and MB: 20,000 pairs in 2,500 shards: verdict 4.7 and
47, report 14 (of which the verdict's reading is 5, spared in a run) and 119, events 9.7 and 77. A million pairs in
1,954 shards (`--shard-pairs 512`): verdict 8 and 441, report 12 and 499, events 266 and 126. The verdict of that
million took 26 and 1,222 while pairs were known by their names and not by numbers, and rows that are done kept their
URIs.

    python -m tests.bench.bench_end [--pairs 2000 20000] [--shard-pairs 8] [--s3]
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from tasks import attempts
from tasks.layout import Layout
from tasks.records import schema
from tasks.records.pair import Attempt, Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.records.run import EndRecord, Options, RunRecord, Stop
from tasks.results import commit_shard, read_run
from tasks.store import join, open_store
from tasks.stored import parquet_bytes
from tests.bench.bench_plan import peak_mb
from tests.bench.bench_results import roots
from tests.bench.table import figure, machine, markdown

RUN, NIGHT, STYLES = "r1", "2026-11-24", 97
PARTS = ("verdict", "report", "events")
FIGURES = [c.name for c in (*schema.QUALITY_COLUMNS, *schema.EFFORT_COLUMNS) if str(c.type) == "double"]


def night(root: str, pairs: int, shard_pairs: int) -> None:
    """A run whose shards are all committed, and that has no verdict yet."""
    store, layout = open_store(root), Layout(root)
    shards = -(-pairs // shard_pairs)
    run = RunRecord(
        run_id=RUN, root_run_id=RUN, night=NIGHT, created_at=datetime.now(UTC), manifest_uri="s3://music/m.parquet",
        manifest_sha256="m" * 64, pairs=pairs, skipped=0, shards=shards, parameters=Parameters(), options=Options(),
        allowed=(), code_version="1", host="h",
    )  # fmt: skip
    asked = [{"pair_id": f"p{n}", "content_uri": _uri("content", n), "style_uri": _uri("style", n)}
             for n in range(pairs)]  # fmt: skip
    store.create(layout.run(RUN, "manifest.parquet"), parquet_bytes(schema.table_of(asked, schema.MANIFEST)))
    store.create(layout.run(RUN, "run.json"), run.model_dump_json().encode())
    context = {"code_version": "1", "lock_sha256": "l" * 64, "torch": "2.11.0", "host": "night-1", "device": "H200",
               "prefect_flow_run_id": "0" * 32}  # fmt: skip

    def commit(shard: int) -> None:
        rows = range(shard * shard_pairs, min(pairs, (shard + 1) * shard_pairs))
        commit_shard(store, layout, run, shard, [_attempt(layout, row) for row in rows], context)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(commit, range(shards)))


def _uri(role: str, row: int) -> str:
    return f"s3://music/library/{role}-{row if role == 'content' else row % STYLES}.flac"


def _attempt(layout: Layout, row: int) -> Attempt:
    inputs = tuple(Input(role, _uri(role, row), etag="e" * 32, sha256=_digest(_uri(role, row)))
                   for role in ("content", "style"))  # fmt: skip
    pair, now = Pair(row, f"p{row}", inputs, "optimise", Parameters()), datetime.now(UTC)
    if row % 100 == 0:
        return attempts.failed(pair, PairError(Reason.DECODE_ERROR, f"{inputs[0].uri} is no sound"), now)
    digest = _digest(pair.name)
    figures = {name: (hash(name) ^ row * 2_654_435_761) % 1_000 / 1_000 for name in FIGURES}
    return Attempt(row, attempts.of_pair(pair) | figures | {
        "status": "ok", "audio_uri": layout.audio(NIGHT, RUN, pair.name, digest, "flac"), "audio_sha256": digest,
        "audio_bytes": 1_000_000, "audio_rate": 44_100, "audio_channels": 2, "audio_frames": 441_000,
        "samples_sha256": digest, "evaluations": 100, "stop_reason": "tolerance", "started_at": now,
        "finished_at": now,
    })  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def child(root: str, part: str) -> None:
    """Carry out one part of the end, and print what it took."""
    from flows.outcome import conclude
    from tasks.lineage.events import write_events
    from tasks.report import write_report

    store, layout = open_store(root), Layout(root)
    run = read_run(store, layout, RUN)
    assert run is not None
    end = EndRecord(run_id=RUN, stop=Stop.FINISHED, exit_code=1, message="some failed", counts={}, reasons={},
                    ended_at=datetime.now(UTC))  # fmt: skip
    before, clock, cpu = peak_mb(), time.perf_counter(), time.process_time()
    if part == "verdict":
        conclude(SimpleNamespace(store=store, layout=layout, run=run), Stop.FINISHED)  # type: ignore[arg-type]
    elif part == "report":
        write_report(store, layout, RUN)
    else:
        write_events(store, layout, run, end)
    seconds = {"seconds": time.perf_counter() - clock, "CPU seconds": time.process_time() - cpu}
    print(json.dumps(seconds | {"MB more": peak_mb() - before}))


def measured(root: str) -> dict[str, dict[str, float]]:
    found = {}
    for part in PARTS:
        command = [sys.executable, "-m", "tests.bench.bench_end", "--child", root, part]
        found[part] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--shard-pairs", type=int, default=8)
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    print(machine("pyarrow", "pandas", "s3fs", shard_pairs=given.shard_pairs), flush=True, end="\n\n")
    with roots(given.s3) as places:
        for place in places:
            found: list[dict[str, Any]] = []
            for pairs in given.pairs:
                root = join(place, f"root-{pairs}")
                night(root, pairs, given.shard_pairs)
                found.append(measured(root))
            rows = [[f"{part}, {what}", *(figure(each[part][what]) for each in found)]
                    for part in PARTS for what in found[0][part]]  # fmt: skip
            print(markdown([place.split(":")[0], *(f"{pairs:,} pairs" for pairs in given.pairs)], rows), flush=True)


if __name__ == "__main__":
    main()
