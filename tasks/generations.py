"""Compacted results: of each night the newest generation, which stands for the results files that it covers."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from tasks.layout import Layout, run_id_of
from tasks.records.reasons import OutOfReach
from tasks.records.schema import SCHEMA_VERSION
from tasks.store import Store, join
from tasks.stored import parquet_files, read_record

PART = re.compile(r"/night=([^/]+)/(\d+)/part-[^/]+$")


class Generation(BaseModel):
    """compacted/night=<date>/_generation-<n>.json: written last and once; a generation without it is none.

    Paths are from the root, which may be moved.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = SCHEMA_VERSION
    night: str
    number: int
    rows: int
    parts: tuple[str, ...]
    covers: tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """`parts` of generations, with rows of any run of their nights, and results files that none of these covers."""

    parts: tuple[str, ...]
    others: tuple[str, ...]


def begun_generations(store: Store, layout: Layout) -> dict[str, set[int]]:
    """By night the numbers of those that have a part, finished or not."""
    begun: dict[str, set[int]] = {}
    for uri, _ in store.list(layout.compacted()):
        if found := PART.search(uri):
            begun.setdefault(found[1], set()).add(int(found[2]))
    return begun


def newest_generations(
    store: Store, layout: Layout, damaged: Callable[[str], None] = lambda uri: None
) -> dict[str, Generation]:
    """By night the newest that is finished; `damaged` hears of markers that cannot be read.

    Raises PairError (storage).
    """
    finished = {}
    for night, numbers in begun_generations(store, layout).items():
        for number in sorted(numbers, reverse=True):
            try:
                one = read_record(store, layout.generation(night, number), Generation)
            except OutOfReach:  # it is derived, and what it stands for is still there
                damaged(layout.generation(night, number))
                continue
            if one is not None:
                finished[night] = one
                break
    return finished


def files_of(
    store: Store,
    layout: Layout,
    runs: Collection[str] | None = None,
    nights: Collection[str] | None = None,
    compacted: bool = True,
) -> Files:
    """Where all rows lie (or those of `runs`), each once. `nights` of these runs, where they are known: no other is
    listed, of which there may be years.

    Generations are looked for before results are listed: what is committed meanwhile none of them covers. A generation
    is taken where that is fewer files.
    """
    newest = newest_generations(store, layout) if compacted else {}
    prefixes = [layout.results()] if nights is None else [layout.night_results(night) for night in sorted(nights)]
    listed = {uri for prefix in prefixes for uri in parquet_files(store, prefix)}
    others = {uri for uri in listed if runs is None or run_id_of(uri) in runs}
    parts: list[str] = []
    for one in newest.values():
        covers = {join(layout.root, path) for path in one.covers}
        covered = covers & others
        if len(covered) > len(one.parts) and covers <= listed:  # what somebody took away is in no results any more
            parts += [join(layout.root, path) for path in one.parts]
            others -= covered
    return Files(tuple(parts), tuple(sorted(others)))
