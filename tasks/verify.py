"""Check the promises that storage can show: one row for each attempt, and its audio there, whole."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tasks.layout import Layout
from tasks.records.reasons import PairError
from tasks.results import read_results, read_runs, rows_of
from tasks.store import Store


def verify(store: Store, layout: Layout, runs: set[str] | None = None) -> Iterator[str]:
    """What is wrong, a sentence each; nothing where all is right."""
    rows = read_results(store, layout, runs)
    known = {run.run_id: run.pairs for run in read_runs(store, layout)}
    seen: set[tuple[str, int]] = set()
    for row in rows_of(rows):
        name = (row["run_id"], row["manifest_row"])
        if name in seen:
            yield f"run {name[0]} has more than one attempt for manifest row {name[1]}"
        seen.add(name)
        if name[0] not in known:
            yield f"run {name[0]} has results but no run.json"
        elif name[1] >= known[name[0]]:
            yield f"run {name[0]} has an attempt for manifest row {name[1]}, but only {known[name[0]]} rows"
    ok = rows_of(rows[rows["status"] == "ok"])
    with ThreadPoolExecutor(8) as pool:
        for sentence in pool.map(lambda row: _audio(store, row), ok):
            if sentence:
                yield sentence


def _audio(store: Store, row: Mapping[str, Any]) -> str | None:
    name = f"pair {row['pair_id']} of run {row['run_id']}"
    try:
        blob = store.read(row["audio_uri"])
    except PairError as error:
        return f"{name}: {error.message}"
    if len(blob.data) != row["audio_bytes"] or blob.sha256 != row["audio_sha256"]:
        return f"{name}: {row['audio_uri']} is not what was written"
    return None
