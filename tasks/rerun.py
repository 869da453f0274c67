"""Choose what a rerun computes: the failed and open pairs of a run and its reruns, and nothing else."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import Field

from tasks.at_work import is_working
from tasks.in_full import in_full
from tasks.layout import Layout
from tasks.lineage import code_version
from tasks.look_up import look_up
from tasks.manifest import Manifest, read_manifest
from tasks.manifest.read import manifest_of
from tasks.overrides import ParamsInvalid, overrides
from tasks.records import schema
from tasks.records.form import Form
from tasks.records.pair import Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import POLICIES, QUARANTINED, Reason, UsageError
from tasks.records.run import Options, RunRecord
from tasks.records.texts import RayAddress, TimeOfDay
from tasks.records.words import pair_name
from tasks.results import rows_of
from tasks.roots import Roots, place
from tasks.standing import VERDICT, Family, family_of, of_family
from tasks.store import Store, open_store
from tasks.stored import read_table
from tasks.submit import Request, Submission, allowed_roots, check_overrides, submission
from tasks.withdrawn import read_withdrawn

CONSIDERED = schema.some(schema.RESULTS, *VERDICT.names, "code_version")
"""What an attempt tells of whether another may end otherwise."""
OF_WEIGHTS = (Reason.CHECKPOINT_INVALID, Reason.INPUT_MISSING, Reason.INPUT_FORBIDDEN)
"""What a file of weights may have been the reason for. It is none of the inputs whose change is seen: it is looked at
again."""


class RerunJob(Form):
    """What a rerun is asked to do."""

    root: str = Field("gramophone-data", min_length=1, description="URI under which the run was written")
    run_id: str = Field("", description="any run of the family; empty: the latest")
    reasons: tuple[Reason, ...] = Field((), description="only pairs that failed for one of these reasons")
    manifest: str = Field("", description="URI of a manifest whose rows replace those of equal pair_id; empty: none")
    set: dict[str, Any] = Field(
        default_factory=dict, description='parameters to change, as JSON: {"content_weight": 0.1}'
    )
    allow: tuple[str, ...] = Field((), description="further places that inputs may come from, as URIs")
    force: bool = Field(False, description="also what is quarantined, and permanent failures that nothing has changed")
    max_attempts: int = Field(
        0, ge=0, le=1_000, description="leave pairs alone that have failed so often; 0: as the last run was given it"
    )
    until: TimeOfDay = Field("", description=Options.model_fields["until"].description)
    engine: Literal["", "local", "ray"] = Field("", description="local or ray; empty: as the last run was given it")
    ray_address: RayAddress = Field("", description="a Ray cluster that stands; empty: as the last run was given it")


@dataclass(frozen=True)
class Selection:
    """What stands behind a rerun: the pairs to compute, those that would only fail again or failed too often."""

    family: Family
    chosen: pd.DataFrame
    withheld: pd.DataFrame
    quarantined: pd.DataFrame
    submission: Submission | None  # None: nothing to compute
    unmatched: tuple[str, ...] = ()  # rows of a mended manifest whose pair_id is not among those left to do

    def besides(self) -> tuple[str, ...]:
        """What is not done and is not computed either, in words: it keeps the rerun from ending green."""
        why = {
            "not tried again, since nothing about them has changed": self.withheld,
            f"{QUARANTINED}, since they have failed too often": self.quarantined,
        }
        return tuple(f"{len(pairs)} {text}" for text, pairs in why.items() if len(pairs))


def prepare_rerun(job: RerunJob, scheduled: datetime | None = None) -> Selection:
    """Plan a rerun; writes nothing. Raises UsageError where there is no such run, or it still goes on."""
    root = place(job.root)
    store, layout = open_store(root), Layout(root)
    family = family_of(store, layout, job.run_id or None)
    working = [run.run_id for run in family.runs if is_working(run.run_id)]
    if working:
        raise UsageError(f"run {working[0]} is still going on; stop it first, or wait for its end.")
    check_overrides(job.set)
    cap = job.max_attempts or family.last.options.max_attempts
    stood = of_family(store, layout, family, cap, brief=True)
    left = stood[stood["status"] != "ok"]
    if job.reasons:
        left = left[left["reason"].isin([str(r) for r in job.reasons])]
    left = in_full(store, layout, family, left, CONSIDERED)
    table = _rows_of(store, layout, family, left)
    replaced: set[str] = set()
    mended = _mended(job, family.last.options)
    if mended is not None:
        table, replaced = _replaced(table, mended, left)
    table = _with_overrides(table, job.set)
    options = family.last.options
    allow = (*options.allow, *(uri for uri in job.allow if uri not in options.allow))
    changed = {"allow": allow, "force": job.force, "until": job.until, "max_attempts": cap}
    where = {"engine": job.engine, "ray_address": job.ray_address}
    options = options.model_copy(update=changed | {name: value for name, value in where.items() if value})
    roots = _roots(family, mended, job, root)
    uri = mended.uri if mended else family.last.manifest_uri
    manifest = manifest_of(
        uri,
        uri.rsplit("/", 1)[0],  # the rows' URIs are absolute already
        mended.sha256 if mended else family.last.manifest_sha256,
        table,
        family.first.parameters,
        options.max_cell_kb,
    )
    pairs = look_up(manifest.pairs(family.first.parameters), roots, read_withdrawn(store, layout))
    fates = [
        _CHOSEN if p.pair_id is not None and (job.force or p.pair_id in replaced) else _fate(p, row)
        for p, row in zip(pairs, rows_of(left), strict=True)
    ]
    chosen, withheld, quarantined = (left[[fate == one for fate in fates]] for one in (_CHOSEN, _WITHHELD, QUARANTINED))
    ids = set(left["pair_id"])
    named = enumerate(mended.table["pair_id"].to_pylist() if mended else ())
    unmatched = tuple(pair_name(name, row) for row, name in named if name not in ids)
    if chosen.empty:
        return Selection(family, chosen, withheld, quarantined, None, unmatched)
    kept = [number for number, fate in enumerate(fates) if fate == _CHOSEN]
    request = Request(
        root=root,
        manifest_uri=manifest.uri,
        manifest_sha256=manifest.sha256,
        table=table.take(kept),
        pairs=pairs.renumbered(kept),
        parameters=family.first.parameters,
        options=options,
        roots=roots,
        night=family.first.night,
        scheduled=scheduled or datetime.now(UTC),
        parent=_named(family, job.run_id) if job.run_id else family.last,
    )
    return Selection(family, chosen, withheld, quarantined, submission(request), unmatched)


def _named(family: Family, run_id: str) -> RunRecord:
    return next(run for run in family.runs if run.run_id == run_id)


def _rows_of(store: Store, layout: Layout, family: Family, left: pd.DataFrame) -> pa.Table:
    """The manifest rows of the pairs left over, each from the run that the pair stands by."""
    wanted = list(zip(left["run_id"], left["manifest_row"].astype("int64"), strict=True))
    runs = {run_id for run_id, _ in wanted}
    tables = {run: read_table(store, layout.run(run, "manifest.parquet"), schema.MANIFEST) for run in sorted(runs)}
    ends = accumulate(map(len, tables.values()))
    begins = {run: end - len(table) for (run, table), end in zip(tables.items(), ends, strict=True)}
    every = pa.concat_tables([schema.MANIFEST.empty_table(), *tables.values()])
    return every.take(pa.array([begins[run] + row for run, row in wanted], pa.int64())).combine_chunks()


def _mended(job: RerunJob, options: Options) -> Manifest | None:
    if not job.manifest:
        return None
    uri = place(job.manifest)
    return read_manifest(open_store(uri), uri, Parameters(), options)


def _replaced(table: pa.Table, mended: Manifest, left: pd.DataFrame) -> tuple[pa.Table, set[str]]:
    """The rows with those of the mended manifest in place of their equals by pair_id, and the ids that changed."""
    own = mended.table.select(schema.MANIFEST.names)
    where = {name: row for row, name in enumerate(own["pair_id"].to_pylist()) if name is not None}
    parts, changed = [], set()
    for row, name in enumerate(left["pair_id"]):
        old = table.slice(row, 1)
        new = own.slice(where[name], 1) if name in where else old
        if not new.equals(old):
            changed.add(str(name))
        parts.append(new)
    return pa.concat_tables([schema.MANIFEST.empty_table(), *parts]).combine_chunks(), changed


def _with_overrides(table: pa.Table, values: Mapping[str, Any]) -> pa.Table:
    """`--set` merged into the rows' params, above what they say themselves."""
    if not values:
        return table

    def merged(text: str | None) -> str | None:
        try:
            return json.dumps({**overrides(text), **values})
        except ParamsInvalid:
            return text  # not JSON: nothing to merge into; the row's fault stands

    params = pa.array([merged(text) for text in table["params"].to_pylist()], pa.string())
    table = table.set_column(table.column_names.index("params"), "params", params)
    if "seed" in values:
        table = table.set_column(table.column_names.index("seed"), "seed", pa.nulls(table.num_rows, pa.int64()))
    return table


def _roots(family: Family, mended: Manifest | None, job: RerunJob, root: str) -> Roots:
    """The roots of the run that is rerun, with those of a mended manifest and of --allow."""
    more: Collection[str] = [place(uri) for uri in job.allow]
    resolved = Roots.resolve(more).uris if more else ()
    if mended is not None:
        resolved += allowed_roots(mended.folder, root, family.last.options).uris
    return Roots(tuple(dict.fromkeys((*family.first.allowed, *resolved))))


_CHOSEN, _WITHHELD = "chosen", "withheld"


def _fate(pair: Pair, row: Mapping[str, Any]) -> str:
    """What becomes of a pair that is left: it is tried again where that can end otherwise, and not for ever."""
    if row["quarantined"] and not _is_another(pair, row):
        return QUARANTINED
    # A row without a name cannot be told from another in a later run: it is mended in the manifest and run anew.
    return _WITHHELD if pair.pair_id is None or not _may_help(pair, row) else _CHOSEN


def _may_help(pair: Pair, row: Mapping[str, Any]) -> bool:
    """Whether another try can end otherwise: not for a permanent failure of which nothing has changed."""
    if row["status"] != "failed" or not POLICIES[Reason(row["reason"])].permanent:
        return True
    if pair.faults or row["reason"] == Reason.ROW_INVALID:  # alone in its manifest, one of two equal ids looks right
        return False
    if row["code_version"] != code_version() or _is_another(pair, row):
        return True
    by_network = pair.method == "feedforward"  # which may have been trained meanwhile
    return bool(pair.params and (pair.params.weights_uri or by_network) and row["reason"] in OF_WEIGHTS)


def _is_another(pair: Pair, row: Mapping[str, Any]) -> bool:
    """Whether its parameters or inputs have changed since that attempt."""
    if pair.params is None or row["params_sha256"] != pair.params.sha256():
        return True
    before = {(i["role"], i["uri"]): i["etag"] for i in row["inputs"]}
    return any(before.get((i.role, i.uri)) != i.etag for i in pair.inputs)
