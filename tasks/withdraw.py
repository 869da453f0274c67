"""Take a clip out: find all that was made from it, say for good that it is withdrawn, delete the sound."""

import hashlib
import platform
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from shlex import quote

import pandas as pd

from tasks.at_work import is_working
from tasks.gc import Orphan
from tasks.layout import Layout
from tasks.lineage.trace import DIGEST, digests_like
from tasks.lineage.trainings import Training, clips_of, read_trainings
from tasks.lineage.uses import made_from, uses
from tasks.records.reasons import UsageError
from tasks.records.tombstone import Tombstone
from tasks.records.words import at_root
from tasks.report import write_report
from tasks.report.write import PAGE
from tasks.results import read_results, read_runs
from tasks.roots import place
from tasks.store import AlreadyExists, Store
from tasks.stored import read_record
from tasks.withdrawn import read_withdrawn

OUTPUTS = ("run_id", "manifest_row", "pair_id", "audio_uri", "served_by")


@dataclass(frozen=True)
class Trained:
    """A network, or the checkpoint of a training without end, that a clip went into."""

    run_id: str
    uri: str
    role: str  # "style" or "corpus"
    ended: bool
    others: int  # outputs that it has made of other clips; they stay


@dataclass(frozen=True)
class Withdrawal:
    """A clip, by its URI or else by its digest, and all that comes from it."""

    named: str
    uri: str | None
    digests: frozenset[str]  # all that lay under the URI, and outputs of it that were inputs again
    files: dict[str, int]  # what lay under its name, by digest: how many of the outputs each was used for
    outputs: pd.DataFrame  # the `ok` attempts that were made from it, with columns OUTPUTS
    networks: list[Trained]  # that were trained for it or on it
    objects: list[Orphan]  # all their files, and curves that are only these outputs', as far as they are still there
    before: Tombstone | None  # what an earlier withdrawal of it says
    tombstone: str  # where that is, or will be
    unknown: tuple[str, ...]  # trainings of which an earlier version did not keep what they were trained on
    unread: bool  # no attempt and no training under the root, whatever became of it, names it
    alike: tuple[str, ...] = ()  # inputs that are called nearly so, where it is unread


def find(store: Store, layout: Layout, asked: str) -> Withdrawal:
    """What withdrawing a clip amounts to; writes nothing.

    `asked` is a URI or a path from the working directory, a sha256 or the beginning of one. Raises UsageError where
    it is none of them.
    """
    rows, trainings = read_results(store, layout), read_trainings(store, layout)
    digest = asked.lower()
    uri = None if DIGEST.fullmatch(digest) else place(asked)
    named = uri or _digest(digests_like(rows, trainings, digest), digest)
    tombstone = layout.tombstone(hashlib.sha256(uri.encode()).hexdigest() if uri else named)
    before = read_record(store, tombstone, Tombstone)
    clips = clips_of(trainings)
    seen = {sha256 for name, sha256 in clips if name == uri} if uri else {named}
    used, digests = made_from(rows, uri, {*(before.sha256 if before else ()), *seen}, {sha256 for _, sha256 in clips})
    outputs = rows.loc[used.index.unique().sort_values()]
    of_it = [(one, role, one.objects(store, layout)) for one in trainings if (role := one.role_of(uri, digests))]
    files = [file for *_, objects in of_it for file in objects]
    others = rows.drop(index=outputs.index)
    objects = _there(store, map(layout.here, (*_audio(outputs), *_curves(rows, outputs), *files)))
    networks = [_trained(one, role, own[0], others) for one, role, own in of_it]
    known = {*uses(rows)["uri" if uri else "sha256"].dropna()}
    known |= {name if uri else sha256 for name, sha256 in clips}
    unread = before is None and named not in known
    alike = _alike(uri, known) if uri and unread else ()
    unknown = tuple(one.record.run_id for one in trainings if not one.record.sources)
    lay = used[used["uri"].eq(uri or "") & used["sha256"].notna()]
    files_of_it = {str(sha256): group.index.nunique() for sha256, group in lay.groupby("sha256")}
    return Withdrawal(
        named,
        uri,
        digests,
        files_of_it,
        outputs[list(OUTPUTS)],
        networks,
        objects,
        before,
        tombstone,
        unknown,
        unread,
        alike,
    )


def bury(store: Store, layout: Layout, found: Withdrawal, reason: str = "") -> Tombstone:
    """Write the tombstone, or find it: from now on nothing is made from the clip, skipped for it, or missed."""
    stone = Tombstone(
        uri=found.uri,
        sha256=tuple(sorted(found.digests)),
        withdrawn_at=datetime.now(UTC),
        host=platform.node(),
        command=f"gramophone withdraw --input {quote(found.named)} {at_root(layout.root)}",
        outputs=found.outputs["audio_uri"].nunique(),
        reason=reason,
    )
    if found.before is None or found.before.lifted_at is not None:
        _create(store, found.tombstone, stone)
        return stone
    for digest in found.digests - set(found.before.sha256):  # made by a run that was under way at the time
        _create(store, layout.tombstone(digest), stone.model_copy(update={"uri": None, "sha256": (digest,)}))
    return found.before


def lift(store: Store, layout: Layout, found: Withdrawal) -> list[str]:
    """Undo a withdrawal: the clip may be used again, what was deleted stays so. Returns the tombstones that say it."""
    if found.before is None or found.before.lifted_at is not None:
        other = read_withdrawn(store, layout).by_digest.get(found.named)
        as_ = f"; it is by way of another name: --input {other.uri}" if other and other.uri else ""
        raise UsageError(
            f"{found.named} is not withdrawn by that name under {layout.root}{as_}: there is nothing to undo."
        )
    names = [found.tombstone, *map(layout.tombstone, sorted({*found.digests, *found.before.sha256}))]
    lifted = []
    for uri in dict.fromkeys(names):
        stone = read_record(store, uri, Tombstone)
        if stone is None or stone.command != found.before.command:  # another withdrawal, of its digest
            continue
        if stone.lifted_at is None:
            store.replace(uri, stone.model_copy(update={"lifted_at": datetime.now(UTC)}).model_dump_json().encode())
            lifted.append(uri)
    return lifted


def pages(store: Store, layout: Layout, found: Withdrawal) -> list[str]:
    """Write the pages anew that may show something of it; returns their runs."""
    runs = read_runs(store, layout)
    roots = {run.root_run_id for run in runs if run.run_id in set(found.outputs["run_id"])}
    shown = [run.run_id for run in runs if run.root_run_id in roots or run.skipped]
    shown = [run for run in shown if store.stat(layout.run(run, PAGE)) is not None]
    for run in shown:
        for part, _ in list(store.list(layout.run(run, "report"))):  # pictures, also of pairs beyond the most shown
            store.delete(part)
        write_report(store, layout, run)
    return shown


def at_work_now(store: Store, layout: Layout) -> list[str]:
    """Runs of this machine that may still store what they have read before."""
    return [run.run_id for run in read_runs(store, layout) if is_working(run.run_id)]


def _trained(one: Training, role: str, file: str, others: pd.DataFrame) -> Trained:
    by = others[others["status"].eq("ok") & others["model_sha256"].eq(one.network_sha256 or "")]
    return Trained(one.record.run_id, file, role, one.end is not None, by["audio_uri"].nunique())


def _digest(like: set[str], asked: str) -> str:
    """The one digest that begins so; a whole one may be new here."""
    like = {asked} if len(asked) == 64 else like
    if len(like) != 1:
        some = f"{len(like)} inputs have" if like else "no input has"
        raise UsageError(f"{some} a sha256 that begins with {asked}; give all 64 characters, or a URI.")
    return next(iter(like))


def _alike(uri: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three inputs of the same name in another folder, or else of nearly that name."""
    of_name: dict[str, list[str]] = {}
    for one in sorted(known):
        of_name.setdefault(one.rsplit("/", 1)[-1], []).append(one)
    name = uri.rsplit("/", 1)[-1]
    names = [name] if name in of_name else get_close_matches(name, of_name, n=3, cutoff=0.7)
    return tuple(one for name in names for one in of_name[name])[:3]


def _audio(outputs: pd.DataFrame) -> list[str]:
    return sorted(set(outputs["audio_uri"].dropna()))


def _curves(rows: pd.DataFrame, outputs: pd.DataFrame) -> list[str]:
    """Files of curves and pictures that no other row names."""
    others = rows.loc[rows.index.difference(outputs.index), "curves_uri"]
    return sorted(set(outputs["curves_uri"].dropna()) - set(others.dropna()))


def _there(store: Store, uris: Iterable[str]) -> list[Orphan]:
    uris = list(uris)
    with ThreadPoolExecutor(16) as pool:
        looked = zip(uris, pool.map(store.stat, uris), strict=True)
        return [Orphan(uri, stat.size, stat.modified) for uri, stat in looked if stat is not None]


def _create(store: Store, uri: str, stone: Tombstone) -> None:
    """Write a tombstone where there is none, or one that was undone: what that deleted is gone still."""
    data, there = stone.model_dump_json(indent=2).encode(), read_record(store, uri, Tombstone)
    if there is not None and there.lifted_at is not None:
        store.replace(uri, data)
        return
    with suppress(AlreadyExists):  # another withdrawal of it was sooner
        store.create(uri, data)
