"""Check the promises that storage can show: one row for each attempt, and its audio there, whole."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from tasks.layout import Layout
from tasks.records.reasons import PairError
from tasks.results import read_results, read_runs
from tasks.store import Store


def verify(store: Store, layout: Layout, runs: set[str] | None = None) -> Iterator[str]:
    """What is wrong, a sentence each; nothing where all is right."""
    rows = read_results(store, layout, runs)
    known = {run.run_id: run.pairs for run in read_runs(store, layout)}
    twice = rows[rows.duplicated(["run_id", "manifest_row"], keep=False)]
    for (run_id, number), _ in twice.groupby(["run_id", "manifest_row"]):
        yield f"run {run_id} has more than one attempt for manifest row {number}"
    for run_id, numbers in rows.groupby("run_id")["manifest_row"]:
        if run_id not in known:
            yield f"run {run_id} has results but no run.json"
        elif numbers.max() >= known[run_id]:
            yield f"run {run_id} has an attempt for manifest row {numbers.max()}, but only {known[run_id]} rows"
    ok = rows[rows["status"] == "ok"]
    with ThreadPoolExecutor(8) as pool:
        for sentence in pool.map(lambda row: _audio(store, row), [row for _, row in ok.iterrows()]):
            if sentence:
                yield sentence


def _audio(store: Store, row: "pd.Series[object]") -> str | None:
    name = f"pair {row['pair_id']} of run {row['run_id']}"
    try:
        blob = store.read(str(row["audio_uri"]))
    except PairError as error:
        return f"{name}: {error.message}"
    if len(blob.data) != row["audio_bytes"] or hashlib.sha256(blob.data).hexdigest() != row["audio_sha256"]:
        return f"{name}: {row['audio_uri']} is not what was written"
    return None
