"""Merge the results files of a night into few, beside them: for readers, to whom a thousand small objects are slow.

compacted/night=<date>/<number>/part-<k>.<digest>.parquet    rows by style
compacted/night=<date>/_generation-<number>.json             last, created once: what it covers

The results files stay as they are, and are the truth. A reader takes a generation as a whole or not at all, and reads
what it does not cover where it lies: no moment shows a row twice, or not at all. By its statistics a question about one
style reads a few row groups of each part.
"""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from tasks.generations import Generation, begun_generations, newest_generations
from tasks.layout import Layout, night_of
from tasks.records import schema
from tasks.store import Store
from tasks.stored import parquet_bytes, parquet_files, read_table

PART_ROWS = 250_000
GROUP_ROWS = 16_384
BY = [("style_uri", "ascending"), ("content_uri", "ascending")]
READERS = 8


def uncovered(store: Store, layout: Layout) -> dict[str, list[str]]:
    """All results files of each night that has several, some of which are in no generation; in order."""
    newest = newest_generations(store, layout)
    found: dict[str, list[str]] = {}
    for uri in parquet_files(store, layout.results()):
        if night := night_of(uri):
            found.setdefault(night, []).append(uri)
    return {
        night: sorted(uris)
        for night, uris in sorted(found.items())
        if len(uris) > 1 and not {*map(layout.below, uris)} <= {*(newest[night].covers if night in newest else ())}
    }


def compact(store: Store, layout: Layout, night: str, uris: Iterable[str], part_rows: int = PART_ROWS) -> Generation:
    """Write the next generation of a night over these results files.

    Memory is that of one part. Raises AlreadyExists where another writer was first, OutOfReach for a results file that
    cannot be read, PairError (storage, disk_full); then there is no marker, and what was written is no generation.
    """
    uris = list(uris)
    number = max(begun_generations(store, layout).get(night, ()), default=-1) + 1
    while store.stat(layout.generation(night, number)) is not None:  # its parts were deleted
        number += 1
    parts: list[str] = []
    rows = 0
    for table in _parts(store, uris, part_rows):
        data = parquet_bytes(table.sort_by(BY), GROUP_ROWS)
        part = layout.part(night, number, len(parts), hashlib.sha256(data).hexdigest())
        store.keep(part, data)  # its name tells what it holds: another writer at the same time does no harm
        parts.append(layout.below(part))
        rows += table.num_rows
    covers = tuple(map(layout.below, uris))
    made = Generation(night=night, number=number, rows=rows, parts=tuple(parts), covers=covers)
    store.create(layout.generation(night, number), made.model_dump_json(indent=2).encode())
    return made


def _parts(store: Store, uris: list[str], part_rows: int) -> Iterator[pa.Table]:
    """Their rows in tables of about so many."""
    held: list[pa.Table] = []
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(uris), READERS):
            held += pool.map(lambda uri: read_table(store, uri, schema.RESULTS), uris[start : start + READERS])
            if sum(table.num_rows for table in held) >= part_rows:
                yield pa.concat_tables(held)
                held = []
    if held:
        yield pa.concat_tables(held)
