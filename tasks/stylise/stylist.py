"""The pairs of a shard in their worker process: each ends in one attempt, handed on as soon as its audio is stored.

Three things go on at once: inputs are read and decoded ahead, the device works, results are measured and written.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

import torch

from tasks import attempts
from tasks.decoding import DecodePool
from tasks.done import Served
from tasks.layout import Layout
from tasks.records.pair import Attempt, Pair
from tasks.records.run import RunRecord
from tasks.roots import Roots
from tasks.store import Store
from tasks.stylise.ahead import Ahead
from tasks.stylise.batch import Stopped, batches, transfer_batch
from tasks.stylise.inputs import Loaded, ReadStyle, load, style_shelf
from tasks.stylise.output import write
from tasks.stylise.shelf import Shelf
from tasks.stylise.track import Piece, Track
from tasks.transfer.pipeline import Outcome, Step
from tasks.withdrawn import Withdrawn, read_withdrawn

CPU_BATCH_MB = 4_000
SOUNDS_MB = 1_000
"""Decoded sounds that wait or are in work at a time: ten minutes of stereo are some 400."""


class Crew(NamedTuple):
    """Threads that read and that write, how many pairs are waited for before a batch begins, and how many are read
    before they are: while one batch is computed, the next but one."""

    readers: int
    at_least: int
    ahead: int
    writers: int


GPU_CREW, CPU_CREW = Crew(8, 16, 32, 4), Crew(2, 1, 2, 1)


def crew_of(device: torch.device) -> Crew:
    """A GPU is fed by many threads and takes much at once; a CPU shares its cores with them."""
    return GPU_CREW if device.type == "cuda" else CPU_CREW


@dataclass
class Stylist:
    """Restyles pairs of one run on one device and hands on each attempt as soon as its audio is stored.

    `lookup` finds earlier `ok` rows by pair_key, `emit` takes the attempts, `report` hears what is in hand; `shelf`
    outlives a shard.
    """

    store: Store
    layout: Layout
    run: RunRecord
    device: torch.device
    pool: DecodePool
    lookup: Callable[[list[str]], dict[str, Served]]
    emit: Callable[[Attempt], None]
    report: Callable[[str, tuple[int, ...]], None]
    stopping: Callable[[], bool]
    shelf: Shelf[ReadStyle] = field(default_factory=style_shelf)
    _writers: ThreadPoolExecutor = field(init=False)
    _writing: dict[int, "Future[Attempt]"] = field(default_factory=dict)

    def stylise(self, pairs: Sequence[Pair]) -> None:
        """Every pair ends in one attempt. Raises Stopped when asked to stop; what was emitted stays."""
        crew = crew_of(self.device)
        with (
            ThreadPoolExecutor(crew.writers) as self._writers,
            Ahead(self._read, pairs, crew.readers, crew.ahead, SOUNDS_MB << 20, _bytes) as ahead,
        ):
            try:
                while ahead.left:
                    self._check_stop()
                    self._report("read", (pair.manifest_row for pair in ahead.in_hand))
                    found = ahead.take(crew.at_least)
                    self._restyle(self._tracks(self._unserved(found)))
                    ahead.done(found)
            finally:
                self._emit_written(wait=True)  # also when asked to stop: what is computed is kept

    def _read(self, pair: Pair) -> Loaded | Attempt:
        started_at = datetime.now(UTC)
        try:
            loaded = load(pair, Roots(self.run.allowed), self.pool, self.run.options, self.layout.root, self.shelf)
            pair = loaded.pair  # with its digests
            self._withdrawn.check(pair.inputs)
            return loaded
        except Exception as error:  # one pair fails alone, whatever it is
            return attempts.failed(pair, error, started_at)

    @cached_property
    def _withdrawn(self) -> Withdrawn:
        """As it is when the shard begins. Where that cannot be read, a pair fails by the storage's fault."""
        return read_withdrawn(self.store, self.layout)

    def _unserved(self, found: Sequence[Loaded | Attempt]) -> list[Loaded]:
        """Emit the pairs that failed and those that an earlier attempt serves; the rest is to be computed."""
        loaded = [one for one in found if isinstance(one, Loaded)]
        for one in found:
            if isinstance(one, Attempt):
                self.emit(one)
        keys = {one.pair.manifest_row: one.pair.key() for one in loaded}
        served = {} if self.run.options.force else self.lookup(list(keys.values()))
        rest = []
        for one in loaded:
            row = served.get(keys[one.pair.manifest_row])
            if row is None:
                rest.append(one)
            else:
                self.emit(attempts.served(one.pair, row, one.started_at))
        return rest

    def _tracks(self, loaded: Sequence[Loaded]) -> list[Track]:
        tracks = []
        for one in loaded:
            try:
                tracks.append(Track(one))
            except Exception as error:  # a track that cannot be cut fails alone
                self.emit(attempts.failed(one.pair, error, one.started_at))
        return tracks

    def _restyle(self, tracks: Sequence[Track]) -> None:
        """Compute all pieces of some tracks, and have each track written as soon as its last piece is done."""
        left = list(tracks)
        for batch in batches(tracks, self._budget_mb()):
            places = [(t, n) for t, n in batch if n in tracks[t].open]  # a track that failed is left alone
            rows = [tracks[t].loaded.pair.manifest_row for t, _ in places]
            outcomes = self._transfer([tracks[t].pieces[n] for t, n in places], rows) if places else []
            for (t, n), outcome in zip(places, outcomes, strict=True):
                tracks[t].outcomes[n] = outcome
            for track in [track for track in left if not track.open]:
                left.remove(track)
                self._write(track)
        for track in left:  # nothing of it needed restyling
            self._write(track)

    def _transfer(self, pieces: Sequence[Piece], rows: Sequence[int]) -> list[Outcome | Exception]:
        def on_step(step: Step) -> None:
            self._check_stop()
            self._emit_written()
            self.report(step.stage, tuple(rows[i] for i in step.active))

        self._report("batch", rows)
        return transfer_batch(pieces, self.device, on_step)

    def _write(self, track: Track) -> None:
        row = track.loaded.pair.manifest_row
        self._writing[row] = self._writers.submit(self._written, track)

    def _emit_written(self, wait: bool = False) -> None:
        """Hand on what has been written meanwhile."""
        for row, future in list(self._writing.items()):
            if wait or future.done():
                if wait:
                    self._report("write", (row,))
                self.emit(future.result())
                del self._writing[row]

    def _written(self, track: Track) -> Attempt:
        one = track.loaded
        try:
            restyled = write(track, track.outcome(), self.run.run_id, self.device)
            uri = self.layout.audio(
                self.run.night,
                self.run.run_id,
                one.pair.name,
                restyled.values["audio_sha256"],
                one.params.audio_format,
            )
            self.store.keep(uri, restyled.data)
        except Exception as error:
            return attempts.failed(one.pair, error, one.started_at)
        values = attempts.of_pair(one.pair) | restyled.values
        values |= {"audio_uri": uri, "started_at": one.started_at, "finished_at": datetime.now(UTC)}
        return Attempt(one.pair.manifest_row, values, restyled.curves)

    def _report(self, stage: str, rows: Iterable[int]) -> None:
        """What is in hand: if this process dies now, one of these rows or of those being written did it."""
        self.report(stage, tuple({*rows, *self._writing}))

    def _budget_mb(self) -> float:
        if self.run.options.batch_mb:
            return float(self.run.options.batch_mb)
        if self.device.type == "cuda":
            # What this process holds for later is its own; of the rest the device's other workers take as much.
            held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            parts = max(2, self.run.options.workers_per_device)
            return (torch.cuda.mem_get_info(self.device)[0] + held) / parts / 1e6
        return CPU_BATCH_MB

    def _check_stop(self) -> None:
        if self.stopping():
            raise Stopped


def _bytes(one: Loaded | Attempt) -> int:
    return one.bytes if isinstance(one, Loaded) else 0
