"""How each pair stands: derived from manifests and results, never stored (blueprint, section 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.asked import Asked, Numbers, read_asked
from tasks.at_work import is_working
from tasks.layout import Layout
from tasks.quarantine import TOGETHER, WAS_ASKED, attempts_in_vain, what_was_asked
from tasks.records import schema
from tasks.records.reasons import Reason, UsageError
from tasks.records.run import RunRecord, Stop
from tasks.records.words import at_root
from tasks.results import read_end, read_results, read_runs
from tasks.roots import place
from tasks.store import Store, open_store
from tasks.stored import read_table
from tasks.withdrawn import Withdrawn, read_withdrawn

VERDICT = schema.some(
    schema.RESULTS, "run_id", "manifest_row", "pair_id", "shard", "status", "reason", "message", "params_sha256",
    "inputs", "content_uri", "style_uri", "committed_at", "style_loss",
)  # fmt: skip
URIS = ("content_uri", "style_uri")
SERVED = schema.some(schema.SKIPPED, "manifest_row", "pair_id", "served_by")
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
    called = pd.Series(
        list(zip(rows["content_uri"], rows["style_uri"], rows["params_sha256"], strict=True)),
        index=rows.index,
        dtype=object,
    )
    keyed = rows["pair_key"].notna()
    key_of = dict(zip(called[keyed], rows.loc[keyed, "pair_key"], strict=True))
    pair, keys = pd.factorize(rows["pair_key"].where(keyed, called.map(lambda one: key_of.get(one, one))))
    frame: pd.DataFrame = rows.iloc[np.sort(_stood_by(rows, pair, len(keys)))]
    return frame.reset_index(drop=True)


def of_family(
    store: Store,
    layout: Layout,
    family: Family,
    cap: int | None = None,
    brief: bool = False,
    also: Sequence[str] = (),
) -> pd.DataFrame:
    """The standing of each pair of a run and its reruns, in the order in which they were first asked for.

    `cap`: attempts after which a pair is quarantined; None: what the last run was given. `brief`: only the columns of
    VERDICT and `also`, without parameters and, but for what is withdrawn, inputs, and URIs only of pairs that are not
    done (tasks.in_full reads the rest of some pairs): 110 bytes a pair, and 440 while they are sorted and joined.
    """
    withdrawn, asked = read_withdrawn(store, layout), read_asked(store, layout, family.runs)
    read = partial(read_results, store, layout)
    if brief:
        wanted = schema.some(schema.RESULTS, *VERDICT.names, *also)
        read = partial(read, wanted=wanted, less=partial(_briefly, withdrawn))
    runs = [run.run_id for run in family.runs]
    rows = read(runs, nights={run.night for run in family.runs})
    pair = asked.pair_of(rows)
    stands, own = _stood_by(rows, pair, len(asked)), len(rows)
    attempts = attempts_in_vain(rows, pair, len(asked))
    served = _served(store, layout, family, asked, read)
    if served is not None:
        rows, stands = _with_served(rows, stands, served)
    frame = rows.reindex(stands)  # -1, of a pair that has no attempt, is no row
    del rows
    frame.index = pd.RangeIndex(len(frame))
    _tell_open(store, layout, family, asked, frame, np.flatnonzero(stands < 0))
    frame["skipped"], frame["attempts"] = (stands >= own) & ~frame["run_id"].isin(runs), attempts
    enough = frame["attempts"] >= (cap or family.last.options.max_attempts)
    frame["quarantined"] = (frame["status"] == "failed") & enough
    _tell_withdrawn(frame, withdrawn)
    return frame.drop(columns=WAS_ASKED, errors="ignore")


def _stood_by(rows: pd.DataFrame, pair: Numbers, pairs: int) -> Numbers:
    """For each of so many pairs where among its rows (oldest commit first) the first `ok` is, else the last failure;
    -1 where it has none. `pair`: which one each row belongs to, -1 for none."""
    stands = np.full(pairs, -1)
    ok, known = _ok(rows), pair >= 0
    for some in (np.flatnonzero(known & ~ok), np.flatnonzero(known & ok)[::-1]):
        stands[pair[some]] = some  # of several for one place the last stays
    return stands


def _ok(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return (rows["status"] == "ok").to_numpy(bool)


def _tell_withdrawn(frame: pd.DataFrame, withdrawn: Withdrawn) -> None:
    """Of pairs that are done: whether an input is withdrawn since, and in `message` what that means."""
    frame["withdrawn"] = False
    if not withdrawn.any:
        return
    done = frame["status"] == "ok"
    told = {
        key: f"an input {stone.sentence()}: its audio is deleted" for key, stone in withdrawn.of(frame[done]).items()
    }
    if told:
        frame.loc[list(told), "withdrawn"] = True
        frame["message"] = frame["message"].astype(object)
        frame.loc[list(told), "message"] = pd.Series(told, dtype=object)


def _tell_open(store: Store, layout: Layout, family: Family, asked: Asked, frame: pd.DataFrame, left: Numbers) -> None:
    """Of pairs that have no attempt: what the newest run that holds them asks for, and why it left them."""
    frame["manifest_row"] = frame["manifest_row"].fillna(-1).astype("int64")
    if not len(left):
        return
    told = asked.rows(store, layout, left)
    because = {run.run_id: _left_because(store, layout, run) for run in family.runs}
    told = told.assign(status=OPEN, reason=told["run_id"].map(because))
    for name in told.columns.intersection(frame.columns):
        frame.loc[left, name] = told[name].astype(frame[name].dtype).to_numpy()


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
    some = table.filter(failed)

    def of_failed(values: pa.Array) -> pa.Array:
        return pc.replace_with_mask(pa.nulls(len(table), values.type), failed, values)

    numbers = pa.array([what_was_asked(row) for row in some.select(list(TOGETHER)).to_pylist()], pa.int64())
    brief = table.drop_columns(["params_sha256", "inputs", *URIS]).append_column(WAS_ASKED, of_failed(numbers))
    for name in URIS:
        brief = brief.append_column(name, of_failed(some[name].combine_chunks()))
    if withdrawn.any:
        gone = withdrawn.of(table.select(["inputs", "committed_at"]).to_pandas())
        kept = pc.is_in(pa.array(range(len(table))), pa.array(list(gone), pa.int64()))
        none = pa.scalar(None, table["inputs"].type)
        brief = brief.append_column("inputs", pc.if_else(kept, table["inputs"], none))
    return brief


def _served(
    store: Store, layout: Layout, family: Family, asked: Asked, read: Callable[..., pd.DataFrame]
) -> pd.DataFrame | None:
    """The rows that serve skipped pairs, under the family's names for them, and which pair each serves (`pair`)."""
    parts = []
    for run in family.runs:
        if run.skipped:
            table = read_table(store, layout.run(run.run_id, "skipped.parquet"), SERVED)
            by = pc.split_pattern(table["served_by"], "/", max_splits=1, reverse=True)
            part = table.drop_columns("served_by").to_pandas()
            pair = asked.pair_of(part.assign(run_id=run.run_id))
            run_id, row = (pc.list_element(by, n).to_pandas() for n in (0, 1))
            parts.append(part.assign(pair=pair, run_id=run_id, manifest_row=row.astype("int64"))[pair >= 0])
    if not parts:
        return None
    skipped = pd.concat(parts).drop_duplicates("pair")
    rows = read(set(skipped["run_id"])).drop_duplicates(["run_id", "manifest_row"], keep="last")
    where, by_run = np.full(len(skipped), -1), skipped.groupby("run_id").indices
    for run_id, numbers in rows.groupby("run_id")["manifest_row"]:
        if (some := by_run.get(run_id)) is not None:
            held = pd.Series(numbers.index, numbers)
            where[some] = held.reindex(skipped["manifest_row"].iloc[some], fill_value=-1)
    known = where >= 0
    named = skipped[known]
    served: pd.DataFrame = rows.loc[where[known]].reset_index(drop=True)
    return served.assign(pair_id=named["pair_id"].array, pair=named["pair"].array)


def _with_served(rows: pd.DataFrame, stands: Numbers, served: pd.DataFrame) -> tuple[pd.DataFrame, Numbers]:
    """The rows with those that serve skipped pairs behind them, and where each pair stands then."""
    pair = served["pair"].to_numpy()
    better = np.flatnonzero(~np.append(_ok(rows), False)[stands][pair])
    stands = stands.copy()
    stands[pair[better]] = len(rows) + better
    return pd.concat([rows, served.drop(columns="pair")], ignore_index=True), stands


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
