"""Results at size: a night in thousands of small files, read as they are, and compacted.

Rows are made from one real row with figures, names and digests of their own, in as many results files as a night of
eight pairs a shard would leave times `--shard-pairs`. Read are: the whole night by `read_results`, before and after
`gramophone compact`; a question with filters by plain pandas over the compacted parts; one in SQL by the command; and
the loss curves of a run.
On a folder and, with `--s3`, on the S3 server of the tests.

Measured so (two cores of an AMD EPYC), a million rows in 5,000 files, on a folder and on the S3 server: read as they
are 43 and 55 s, compacted into 4 files in 57 and 62 s, read then in 11 s as one DataFrame of all columns; four columns
of one style by plain pandas with filters 0.22 and 1.3 s (target 2); 100,000 loss curves of 100 evaluations 11 and 12 s;
at most 5.0 GB resident. `metrics --sql` with a figure by style takes 5.0 s and 639 MB (on a folder, beside other work).

    python -m tests.bench.bench_results [--rows 1000000] [--files 5000] [--curves 100000] [--s3] [--repeat 3]
"""

import argparse
import hashlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks.compact import compact, uncovered
from tasks.curves import read_curves
from tasks.generations import newest_generations
from tasks.layout import Layout
from tasks.records import schema
from tasks.records.parameters import Parameters
from tasks.records.run import Options, RunRecord
from tasks.results import read_results
from tasks.store import Store, join, open_store
from tasks.stored import parquet_bytes
from tests.bench.table import figure, machine, markdown, spread, verdict

NIGHT = "2026-11-24"
FILTERED_TARGET = 2.0
EVALUATIONS = 100
BY_STYLE = "select style_uri, count(*) pairs, avg(style_loss) loss from results where status = 'ok' group by 1"
ASKING = """
import re, sys
from flows.cli import main
try:
    main()
except SystemExit as left:
    assert not left.code, left
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""
"""The command, and then the kilobytes that it held at most: those of a child's usage begin with its parent's."""


def night(store: Store, layout: Layout, rows: int, files: int) -> None:
    """A night's results files: each a shard of a run of a thousand shards."""
    each = -(-rows // files)

    def write(number: int) -> None:
        count = min(each, rows - number * each)
        if count <= 0:
            return
        data = parquet_bytes(_table(number, number * each, count))
        store.create(layout.shard_results(NIGHT, f"r{number // 1000}", number % 1000), data)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(files)))
    run = RunRecord(
        run_id="r0", root_run_id="r0", night=NIGHT, created_at=datetime.now(UTC), manifest_uri="m", manifest_sha256="m",
        pairs=rows, skipped=0, shards=files, parameters=Parameters(), options=Options(), allowed=(), code_version="1",
        host="h",
    )  # fmt: skip
    store.create(layout.run("r0", "run.json"), run.model_dump_json().encode())


def _table(number: int, first: int, count: int) -> pa.Table:
    draw = np.random.default_rng(number)
    params = Parameters()
    now = datetime.now(UTC)

    def row(n: int) -> dict[str, Any]:
        name, style = f"pair-{first + n}", f"s3://music/library/style-{(first + n) % 97}.flac"
        failed = (first + n) % 100 == 0
        content = f"s3://music/library/content-{first + n}.flac"
        digest = hashlib.sha256(name.encode()).hexdigest()
        figures = dict(zip(_FIGURES, map(float, draw.lognormal(-3, 1, len(_FIGURES))), strict=True))
        return {
            "schema_version": 1, "run_id": f"r{number // 1000}", "manifest_row": first + n, "pair_id": name,
            "pair_key": digest, "shard": number % 1000, "tries": 1, "manifest_uri": "s3://music/manifests/m.parquet",
            "manifest_sha256": "m" * 64, "content_uri": content, "style_uri": style, "content_sha256": digest,
            "style_sha256": hashlib.sha256(style.encode()).hexdigest(), "method": "optimise",
            "inputs": [{"role": "content", "uri": content, "etag": digest[:32], "sha256": digest, "weight": 1.0},
                       {"role": "style", "uri": style, "etag": digest[:32], "sha256": digest, "weight": 1.0}],
            "params": params.canonical_json(), "params_sha256": params.sha256(), "seed": 0, "algorithm_version": 4,
            "code_version": "0.1.0", "lock_sha256": "l" * 64, "torch": "2.11.0", "host": "night-1", "device": "H200",
            "status": "failed" if failed else "ok", "reason": "decode_error" if failed else None,
            "started_at": now, "finished_at": now, "committed_at": now, "evaluations": 100,
            **({} if failed else figures | {"audio_uri": f"{content}.out", "audio_sha256": digest, "audio_bytes": 1}),
        }  # fmt: skip

    return schema.table_of([row(n) for n in range(count)], schema.RESULTS)


_FIGURES = [c.name for c in schema.QUALITY_COLUMNS] + [c.name for c in schema.EFFORT_COLUMNS if c.name[:7] == "seconds"]


def curves(store: Store, layout: Layout, count: int, each: int) -> list[str]:
    """Files of curves of `each` attempts, as shards write them but for their pictures."""
    uris = []
    for number in range(-(-count // each)):
        draw = np.random.default_rng(number)
        rows = [
            {"schema_version": 1, "run_id": "r0", "manifest_row": number * each + n, "pair_id": f"p{n}",
             "stage": ["refine"] * EVALUATIONS,
             **{name: draw.random(EVALUATIONS, dtype=np.float32) for name in ("total", "content", "style")}}
            for n in range(min(each, count - number * each))
        ]  # fmt: skip
        data = parquet_bytes(schema.table_of(rows, schema.CURVES))
        uri = layout.shard_curves(NIGHT, "r0", number, hashlib.sha256(data).hexdigest())
        store.create(uri, data)
        uris.append(uri)
    return uris


def timed(call: Callable[[], Any], repeat: int) -> list[float]:
    found = []
    for _ in range(repeat):
        clock = time.perf_counter()
        call()
        found.append(time.perf_counter() - clock)
    return found


def measure(root: str, given: argparse.Namespace) -> None:
    store, layout = open_store(root), Layout(root)
    night(store, layout, given.rows, given.files)
    wanted = curves(store, layout, given.curves, 2_000)

    def whole() -> None:
        assert len(read_results(store, layout)) == given.rows

    rows = [("all rows, as they were committed", timed(whole, 1), None)]
    [(_, uris)] = uncovered(store, layout).items()
    clock = time.perf_counter()
    made = compact(store, layout, NIGHT, uris)
    rows.append((f"compacting them into {len(made.parts)} files", [time.perf_counter() - clock], None))
    rows.append(("all rows, compacted", timed(whole, given.repeat), None))
    parts = [join(root, path).removeprefix("file://") for path in newest_generations(store, layout)[NIGHT].parts]

    def asked() -> None:
        """The worst of one style, by plain pandas."""
        chosen = [("style_uri", "==", "s3://music/library/style-7.flac"), ("status", "==", "ok")]
        columns = ["pair_id", "style_loss", "content_loss", "audio_uri"]
        found = pd.concat(pd.read_parquet(part, columns=columns, filters=chosen, **_storage(part)) for part in parts)
        assert len(found.nlargest(10, "style_loss")) == 10

    rows.append(("a style's rows and four columns, pandas with filters", timed(asked, given.repeat), FILTERED_TARGET))

    peaks = []

    def in_sql() -> None:
        command = [sys.executable, "-c", ASKING, "metrics", "--root", root, "--sql", BY_STYLE]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stderr) / 1024)

    rows.append(("`metrics --sql`: a figure by style, the whole command", timed(in_sql, given.repeat), None))

    def drawn() -> None:
        assert len(read_curves(wanted)) == given.curves

    rows.append((f"{given.curves:,} loss curves", timed(drawn, given.repeat), None))
    cells = [[name, spread(took), "" if target is None else verdict(took, target)] for name, took, target in rows]
    print(markdown([f"{root.split(':')[0]}, seconds", "min / median / max", "target"], cells))
    print(f"\n`metrics --sql` held at most {figure(max(peaks))} MB.\n", flush=True)


def _storage(part: str) -> dict[str, Any]:
    if not part.startswith("s3://"):
        return {}
    return {"storage_options": {"client_kwargs": {"endpoint_url": os.environ["GRAMOPHONE_S3_ENDPOINT"]}}}


@contextmanager
def roots(s3: bool) -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        if not s3:
            yield [f"file://{folder}"]
            return
        from tests.suite import s3_running

        with s3_running():
            yield [f"file://{folder}", f"s3://gramophone-tests/bench-{random.getrandbits(32):08x}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--curves", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--s3", action="store_true")
    given = parser.parse_args()
    print(machine("pyarrow", "pandas", rows=given.rows, files=given.files, curves=given.curves), flush=True)
    with roots(given.s3) as found:
        for root in found:
            measure(root, given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest resident size, all else in one process: {figure(peak)} MB")


if __name__ == "__main__":
    main()
