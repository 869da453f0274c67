"""What may be heard of a root: its outputs, and the inputs of its rows as they were read, unless withdrawn."""

import mimetypes
from dataclasses import dataclass, field
from typing import Any

from tasks.layout import Layout
from tasks.records.pair import Input
from tasks.records.reasons import PairError, Reason
from tasks.results import read_results, read_run
from tasks.roots import Roots
from tasks.store import Store, open_store
from tasks.store.base import MAX_OBJECT_BYTES
from tasks.withdrawn import NOTHING, Withdrawn, read_withdrawn

ANY = "application/octet-stream"


@dataclass(frozen=True)
class Sound:
    """An object, the version of it that is meant, and the places that it may lie in, links followed."""

    uri: str
    etag: str | None
    within: Roots

    def read(self, limit: int = MAX_OBJECT_BYTES) -> bytes:
        """Raises PairError: gone, changed since, elsewhere, of more than `limit` bytes."""
        return open_store(self.uri).read(self.uri, etag=self.etag, allowed=self.within, limit=limit).data

    @property
    def kind(self) -> str:
        return kind_of(self.uri)


@dataclass
class Heard:
    """The sounds of a root. Tombstones are looked for each time: what is withdrawn meanwhile is not heard again."""

    root: str
    _stones: tuple[Any, Withdrawn] = ((), NOTHING)
    _inputs: dict[tuple[str, int, int], Input] = field(default_factory=dict)
    _allowed: dict[str, Roots] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def store(self) -> Store:
        return open_store(self.root)

    def withdrawn(self) -> Withdrawn:
        """Raises OutOfReach, PairError (storage)."""
        listed = tuple(self.store.list(self.layout.tombstones()))
        if listed != self._stones[0]:
            self._stones = listed, read_withdrawn(self.store, self.layout)
        return self._stones[1]

    def output(self, uri: str) -> Sound:
        """An output, below the root as it is called now, in the version that is there. Raises PairError."""
        uri = self.layout.here(uri)
        found = self.store.stat(uri)
        if found is None:
            raise PairError(Reason.INPUT_MISSING, f"{uri} is not there")
        return Sound(uri, found.etag, Roots.resolve((self.root,)))

    def input(self, run_id: str, one: Input) -> Sound:
        """An input of a run, in the version that was read, where that run might read.

        Raises PairError (input_forbidden) where it is withdrawn.
        """
        if refusal := self.withdrawn().refusal(one):
            raise refusal
        if run_id not in self._allowed:  # which does not change
            run = read_run(self.store, self.layout, run_id)
            self._allowed[run_id] = Roots(run.allowed if run else ())
        return Sound(one.uri, one.etag, self._allowed[run_id])

    def input_of(self, run_id: str, row: int, number: int) -> Sound:
        """The same by its place: which input of which row. Raises PairError (input_missing) where there is none."""
        place = run_id, row, number
        if place not in self._inputs:  # a browser asks for one input many times, and rows do not change
            rows = read_results(self.store, self.layout, {run_id})
            found = [one for inputs in rows.loc[rows["manifest_row"] == row, "inputs"].dropna() for one in inputs]
            if number >= len(found):
                raise PairError(Reason.INPUT_MISSING, f"run {run_id} has no input {number} in row {row}")
            self._inputs[place] = Input(**found[number])
        return self.input(run_id, self._inputs[place])


def kind_of(uri: str) -> str:
    """The media type of a sound by its name; never one that a browser would run or show."""
    suffix = "." + uri.rsplit(".", 1)[-1].lower()
    kind = {".opus": "audio/ogg", ".flac": "audio/flac"}.get(suffix) or mimetypes.guess_type(f"x{suffix}")[0] or ANY
    return kind if kind.startswith("audio/") else ANY
