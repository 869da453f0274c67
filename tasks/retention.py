"""Find the nights that are to be forgotten: results, audio, curves and runs, as far as nothing later rests on them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from tasks.gc import Orphan, going_on, named, removed
from tasks.generations import begun_generations
from tasks.layout import Layout, night_of, run_id_of
from tasks.records import schema
from tasks.records.run import RunRecord
from tasks.results import read_runs
from tasks.store import Stat, Store
from tasks.stored import read_table


@dataclass(frozen=True)
class Forgotten:
    """What goes, stage after stage: a deletion that is broken off leaves no row without its audio, and is taken up
    again, for run.json goes last."""

    nights: tuple[str, ...]
    stages: tuple[tuple[Orphan, ...], ...]

    @property
    def all(self) -> list[Orphan]:
        return list(chain.from_iterable(self.stages))

    def removed(self, store: Store) -> Iterator[tuple[Orphan, str | None]]:
        """Delete it; each comes back with what refused that, or None. No stage begins where one before was refused."""
        for stage in self.stages:
            refused = False
            for one, refusal in removed(store, stage):
                refused = refused or refusal is not None
                yield one, refusal
            if refused:
                return


NOTHING = Forgotten((), ())


def forgotten(store: Store, layout: Layout, first: str, before: float) -> Forgotten:
    """All of the nights before the date `first`, but for runs that serve a pair of a later one, audio that a later row
    names, and runs that wrote anything since `before` (seconds since the epoch, by the store's clock).

    Raises OutOfReach where results, or what a run skipped, cannot be read: they may name any of it.
    """
    results, audio, curves, compacted, runs = (
        list(store.list(prefix))
        for prefix in (layout.results(), layout.all_audio(), layout.all_curves(), layout.compacted(), layout.runs())
    )
    busy = going_on(layout, [*results, *audio, *curves, *runs], before)
    records = read_runs(store, layout)
    kept = {run.run_id for run in records if run.night >= first or run.run_id in busy} | busy
    kept |= _serving(store, layout, [run for run in records if run.run_id in kept])
    nights = {run.run_id: run.night for run in records}
    kept_nights = {nights[run] for run in kept if run in nights}

    def old(uri: str) -> bool:
        path = layout.below(uri)
        return (night_of(path) or first) < first and run_id_of(path) not in kept

    rows = [(uri, found) for uri, found in results if not old(uri) and uri.endswith(".parquet")]
    heard = named(store, layout, [uri for uri, _ in rows])
    goes = {uri.split("/")[-2] for uri, _ in runs} & {run for run, night in nights.items() if night < first} - kept
    of_runs = [(uri, found) for uri, found in runs if uri.split("/")[-2] in goes]
    stages = (
        _markers(store, layout, first, kept_nights),  # found by their parts, hence before them
        _orphans((uri, found) for uri, found in compacted if old(uri) and night_of(uri) not in kept_nights),
        _orphans((uri, found) for uri, found in results if old(uri)),
        _orphans((uri, found) for uri, found in [*curves, *audio] if old(uri) and uri not in heard),
        _orphans((uri, found) for uri, found in of_runs if not uri.endswith("/run.json")),
        _orphans((uri, found) for uri, found in of_runs if uri.endswith("/run.json")),
    )
    every = [one.uri for one in chain.from_iterable(stages)]
    gone = {night_of(layout.below(uri)) or nights.get(uri.split("/")[-2], "") for uri in every}
    return Forgotten(tuple(sorted(night for night in gone if night)), stages)


def _serving(store: Store, layout: Layout, runs: Iterable[RunRecord]) -> set[str]:
    """The runs whose attempts serve the pairs that these skipped."""
    skipped = [layout.run(run.run_id, "skipped.parquet") for run in runs if run.skipped]
    tables = [read_table(store, uri, schema.SKIPPED) for uri in skipped]
    return {served.split("/")[0] for table in tables for served in table["served_by"].to_pylist()}


def _markers(store: Store, layout: Layout, first: str, kept_nights: set[str]) -> tuple[Orphan, ...]:
    """The markers of compacted results, which no listing shows."""
    begun = begun_generations(store, layout)
    uris = [
        layout.generation(night, number)
        for night, numbers in begun.items()
        for number in sorted(numbers)
        if night < first and night not in kept_nights
    ]
    return _orphans((uri, found) for uri in uris if (found := store.stat(uri)))


def _orphans(listed: Iterable[tuple[str, Stat]]) -> tuple[Orphan, ...]:
    return tuple(Orphan(uri, found.size, found.modified) for uri, found in listed)
