"""How each pair stands: derived from manifests and results, never stored (blueprint, section 3)."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout

from tasks.layout import Layout
from tasks.quarantine import ASKED, attempts_in_vain, what_was_asked
from tasks.records import schema
from tasks.records.reasons import Reason, UsageError
from tasks.records.run import RunRecord, Stop
from tasks.records.words import at_root
from tasks.results import read_end, read_results, read_runs
from tasks.roots import place
from tasks.store import Store, open_store
from tasks.stored import read_table
from tasks.withdrawn import Withdrawn, read_withdrawn

VERDICT = pa.schema(
    [
        schema.RESULTS.field(name)
        for name in (
            "run_id", "manifest_row", "pair_id", "shard", "status", "reason", "message", "params_sha256", "inputs",
            "content_uri", "style_uri", "committed_at", "style_loss",
        )
    ]
)  # fmt: skip
OPEN = "open"
"""Status of a pair that has no attempt yet: its reason says whether the run still works on it or left it."""


@dataclass(frozen=True)
class Family:
    """A run and its reruns, oldest first."""

    runs: tuple[RunRecord, ...]

    @property
    def first(self) -> RunRecord:
        return self.runs[0]

    @property
    def last(self) -> RunRecord:
        return self.runs[-1]


def known_runs(store: Store, layout: Layout, wanted: Sequence[str] = ()) -> list[RunRecord]:
    """Every run, oldest first. Raises UsageError where there is none, or where one of `wanted` is not among them."""
    runs = read_runs(store, layout)
    if not runs:
        raise UsageError(
            f"no runs under {layout.root} yet; start one with `gramophone run MANIFEST {at_root(layout.root)}`."
        )
    if unknown := sorted(set(wanted) - {run.run_id for run in runs}):
        raise UsageError(f"no run {unknown[0]} under {layout.root}; the latest is {runs[-1].run_id}.")
    return runs


def family_of(store: Store, layout: Layout, run_id: str | None) -> Family:
    """The family that `run_id` (None: the latest run) belongs to. Raises UsageError where there is none."""
    runs = known_runs(store, layout, [run_id] if run_id else [])
    named = runs[-1] if run_id is None else next(run for run in runs if run.run_id == run_id)
    return Family(tuple(r for r in runs if r.root_run_id == named.root_run_id))


def families_of_night(store: Store, layout: Layout, night: str) -> list[Family]:
    """For every manifest that was run in a night the latest run over it, with its reruns."""
    runs = [run for run in read_runs(store, layout) if run.night == night]
    latest = {run.manifest_uri: run.run_id for run in runs if run.parent_run_id is None}
    return [Family(tuple(r for r in runs if r.root_run_id == root)) for root in latest.values()]


def standing(root: str, run_id: str | None = None) -> pd.DataFrame:
    """One row for each pair with the columns of the attempt that it stands by.

    With `run_id` (any run of the family): the pairs of the run and its reruns, by `pair_id`. `status` is `ok`,
    `failed` or `open`; an open pair has no attempt, and its `reason` is preempted, cancelled or lost (null while
    the run still works). `skipped` says that an older run's attempt serves the pair, `attempts` how often it has
    failed by its own fault, `quarantined` that reruns leave it alone for that, `withdrawn` that an input of a pair
    that is done was withdrawn since (`message` says when). Without `run_id`: every pair of every run, by `pair_key`,
    or, where a failure came before there was one, by URIs and parameters.
    """
    layout = Layout(place(root))
    store = open_store(layout.root)
    if run_id is None:
        rows = read_results(store, layout)
        gone = list(read_withdrawn(store, layout).of(rows))  # they stand only where nothing was made anew since
        return across_runs(pd.concat([rows.drop(index=gone), rows.loc[gone]]))
    return of_family(store, layout, family_of(store, layout, run_id))


def across_runs(rows: pd.DataFrame) -> pd.DataFrame:
    """The standing of each pair over the attempts of any runs: the first `ok`, else the newest failure."""
    asked = pd.Series(
        list(zip(rows["content_uri"], rows["style_uri"], rows["params_sha256"], strict=True)),
        index=rows.index,
        dtype=object,
    )
    keyed = rows["pair_key"].notna()
    key_of = dict(zip(asked[keyed], rows.loc[keyed, "pair_key"], strict=True))
    key = rows["pair_key"].where(keyed, asked.map(lambda a: key_of.get(a, a)))
    return _standing_rows(rows, key).reset_index(drop=True)


def of_family(
    store: Store, layout: Layout, family: Family, cap: int | None = None, brief: bool = False
) -> pd.DataFrame:
    """The standing of each pair of a run and its reruns.

    `cap`: attempts after which a pair is quarantined; None: what the last run was given. `brief`: only the columns of
    VERDICT without parameters and, but for what is withdrawn, inputs: some 150 bytes a pair, and 1.2 kB while they are
    sorted and joined (tasks.in_full reads the rest of some of them).
    """
    runs, withdrawn = [run.run_id for run in family.runs], read_withdrawn(store, layout)
    read = partial(read_results, store, layout)
    if brief:
        read = partial(read, wanted=VERDICT, less=partial(_briefly, withdrawn))
    rows = read(runs, nights={run.night for run in family.runs})
    names = _names(rows)
    stood = _standing_rows(rows, names)
    served = _skipped(store, layout, family, read)
    stood = pd.concat([stood, served[~served.index.isin(stood.index[stood["status"] == "ok"])]])
    stood = stood[~stood.index.duplicated(keep="last")]  # a pair that was skipped stands by what serves it
    every = _every_pair(store, layout, family)
    frame = stood.reindex(every.index)
    left = frame["status"].isna()
    for column in every.columns:
        frame[column] = frame[column].where(~left, every[column]).astype(every[column].dtype)
    frame.loc[left, "status"] = OPEN
    frame.loc[left, "reason"] = every.loc[left, "reason"]
    frame["skipped"] = frame.index.isin(served.index) & ~frame["run_id"].isin(runs)
    frame["attempts"] = frame.index.map(attempts_in_vain(rows, names)).fillna(0).astype("int64")
    enough = frame["attempts"] >= (cap or family.last.options.max_attempts)
    frame["quarantined"] = (frame["status"] == "failed") & enough
    _tell_withdrawn(frame, withdrawn)
    return frame.drop(columns="asked", errors="ignore").reset_index(drop=True)


def _tell_withdrawn(frame: pd.DataFrame, withdrawn: Withdrawn) -> None:
    """Of pairs that are done: whether an input is withdrawn since, and in `message` what that means."""
    done = frame["status"] == "ok"
    told = {
        key: f"an input {stone.sentence()}: its audio is deleted" for key, stone in withdrawn.of(frame[done]).items()
    }
    frame["withdrawn"] = frame.index.isin(list(told))
    if told:
        frame["message"] = frame["message"].astype(object)
        frame.loc[list(told), "message"] = pd.Series(told, dtype=object)


def _standing_rows(rows: pd.DataFrame, key: pd.Series) -> pd.DataFrame:
    """Of the rows (oldest commit first) with one key: the first `ok`, else the last failure."""
    ok = rows["status"] == "ok"
    first_ok = rows[ok & ~key.where(ok).duplicated()]
    done = set(key[first_ok.index])
    failed = ~ok & ~key.map(lambda k: k in done)
    last_failed = rows[failed & ~key.where(failed).duplicated(keep="last")]
    stood: pd.DataFrame = pd.concat([first_ok, last_failed]).sort_index()
    stood.index = pd.Index(key[stood.index], name="key")
    return stood


def _names(rows: pd.DataFrame) -> pd.Series:
    """What a pair is known by within a family: its pair_id or, where it has none, its run and row."""
    unnamed = rows["run_id"].astype(str) + "#" + rows["manifest_row"].astype(str)
    return rows["pair_id"].where(rows["pair_id"].notna(), unnamed)


def _every_pair(store: Store, layout: Layout, family: Family) -> pd.DataFrame:
    """Every pair that the family was asked for, with what there is to say of one that has no attempt.

    The newest run that holds a pair tells its URIs and why it was left.
    """
    parts = []
    for run in family.runs:
        table = read_table(store, layout.run(run.run_id, "manifest.parquet"), schema.MANIFEST)
        part = table.select(["pair_id", "content_uri", "style_uri"]).to_pandas()
        part = part.assign(run_id=run.run_id, manifest_row=range(len(part)), reason=_left_because(store, layout, run))
        part.index = pd.Index(_names(part), name="key")
        parts.append(part[~part.index.duplicated()])
    every = pd.concat(parts)
    order = every.index.drop_duplicates()
    newest: pd.DataFrame = every[~every.index.duplicated(keep="last")].reindex(order)
    return newest


def left_by(stop: Stop) -> Reason:
    """Why a pair that a stopped run did not reach has no attempt."""
    reasons = {Stop.PREEMPTED: Reason.PREEMPTED, Stop.UNTIL: Reason.PREEMPTED, Stop.CANCELLED: Reason.CANCELLED}
    return reasons.get(stop, Reason.LOST)


def _left_because(store: Store, layout: Layout, run: RunRecord) -> str | None:
    """Why a pair of the run that has no attempt has none: from end.json, else the run works still or was killed."""
    end = read_end(store, layout, run.run_id)
    if end is not None:
        return left_by(end.stop).value
    return None if is_working(run.run_id) else Reason.LOST.value


def _briefly(withdrawn: Withdrawn, table: pa.Table) -> pa.Table:
    """The rows without parameters and inputs: of a failure a number stands for both; what is withdrawn keeps inputs."""
    failed = pc.equal(table["status"], "failed").combine_chunks()
    numbers = [what_was_asked(row) for row in table.filter(failed).select(list(ASKED)).to_pylist()]
    asked = pc.replace_with_mask(pa.nulls(len(table), pa.int64()), failed, pa.array(numbers, pa.int64()))
    gone = withdrawn.of(table.select(["inputs", "committed_at"]).to_pandas()) if withdrawn.any else {}
    kept = pc.is_in(pa.array(range(len(table))), pa.array(list(gone), pa.int64()))
    inputs = pc.if_else(kept, table["inputs"], pa.scalar(None, table["inputs"].type))
    table = table.set_column(table.column_names.index("inputs"), "inputs", inputs)
    return table.drop_columns("params_sha256").append_column("asked", asked)


def _skipped(store: Store, layout: Layout, family: Family, read: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """The rows of other runs that serve skipped pairs, under the family's names for them."""
    parts = []
    for run in family.runs:
        if run.skipped:
            parts.append(read_table(store, layout.run(run.run_id, "skipped.parquet"), schema.SKIPPED).to_pandas())
    if not parts:
        return read(()).set_index(pd.Index([], name="key", dtype=object))
    skipped = pd.concat(parts).drop_duplicates("pair_id")
    source = skipped["served_by"].str.rsplit("/", n=1, expand=True)
    wanted = skipped.assign(run_id=source[0], manifest_row=source[1].astype("int64"))
    rows = read(set(wanted["run_id"]))
    joined: pd.DataFrame = wanted[["pair_id", "run_id", "manifest_row"]].merge(
        rows.drop(columns=["pair_id"]), on=["run_id", "manifest_row"]
    )
    return joined.set_index(pd.Index(joined["pair_id"], name="key"))[list(rows.columns)]


# --- is a run still at work? ----------------------------------------------------------------------


def _run_lock(run_id: str) -> FileLock:
    folder = Path(tempfile.gettempdir()) / f"gramophone-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return FileLock(folder / f"run-{run_id}.lock")


@contextmanager
def at_work(run_id: str) -> Iterator[None]:
    """While this is held, `is_working` says yes on this machine, and no once the process is gone, however it went."""
    lock = _run_lock(run_id)
    with lock:
        yield
    Path(lock.lock_file).unlink(missing_ok=True)


def is_working(run_id: str) -> bool:
    """Whether a process of this machine works on the run. Of other machines it cannot tell: no."""
    lock = _run_lock(run_id)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """Pairs by status, and of the `ok` ones those that were skipped."""
    found = frame["status"].value_counts()
    return {
        "pairs": len(frame),
        "ok": int(found.get("ok", 0)),
        "failed": int(found.get("failed", 0)),
        "open": int(found.get(OPEN, 0)),
        "skipped": int(frame["skipped"].sum()) if "skipped" in frame else 0,
    }


def reasons(frame: pd.DataFrame) -> dict[str, int]:
    """Reasons of the pairs that are not done, most frequent first."""
    found = frame.loc[frame["status"] != "ok", "reason"].value_counts()
    return {str(reason): int(number) for reason, number in found.items()}
