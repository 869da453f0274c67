"""Compacted results: of each night the newest generation, which stands for the results files that it covers."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from tasks.layout import Layout, run_id_of
from tasks.records.schema import SCHEMA_VERSION
from tasks.store import Store, join
from tasks.stored import read_record

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


def newest_generations(store: Store, layout: Layout) -> dict[str, Generation]:
    """By night. Raises OutOfReach where a marker is damaged, PairError (storage)."""
    begun: dict[str, set[int]] = {}
    for uri, _ in store.list(layout.compacted()):
        if found := PART.search(uri):
            begun.setdefault(found[1], set()).add(int(found[2]))
    finished = {}
    for night, numbers in begun.items():
        for number in sorted(numbers, reverse=True):
            if one := read_record(store, layout.generation(night, number), Generation):
                finished[night] = one
                break
    return finished


def files_of(store: Store, layout: Layout, runs: Collection[str] | None = None, compacted: bool = True) -> Files:
    """Where all rows lie (or those of `runs`), each once.

    Generations are looked for before results are listed: what is committed meanwhile none of them covers. A generation
    is taken where that is fewer files.
    """
    newest = newest_generations(store, layout).values() if compacted else ()
    others = {uri for uri, _ in store.list(layout.results()) if uri.endswith(".parquet")}
    if runs is not None:
        others = {uri for uri in others if run_id_of(uri) in runs}
    parts: list[str] = []
    for one in newest:
        covered = {join(layout.root, path) for path in one.covers} & others
        if len(covered) > len(one.parts):
            parts += [join(layout.root, path) for path in one.parts]
            others -= covered
    return Files(tuple(parts), tuple(sorted(others)))
