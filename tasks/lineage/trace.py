"""What made an output, and what was made from an input: answered from the results of all runs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.attempts import served_by
from tasks.audio import Tag, read_tag
from tasks.layout import Layout
from tasks.lineage.trainings import Training, clips_of, read_trainings
from tasks.lineage.uses import made_from, uses
from tasks.overrides import changed
from tasks.records.reasons import PairError, UsageError
from tasks.results import read_results, read_runs, rows_of
from tasks.roots import place
from tasks.store import Store, open_store
from tasks.withdrawn import Withdrawn, read_withdrawn

DIGEST = re.compile(r"[0-9a-f]{12,64}")
"""A sha256 or its beginning: as much of it as the names of outputs hold."""
OUTPUT = ("pair_id", "pair_key", "status", "reason", "message", "audio_uri", "audio_sha256")
CODE = (
    "method", "seed", "algorithm_version", "model_sha256", "code_version", "lock_sha256", "image_digest", "torch",
    "cuda", "device", "threads", "host", "prefect_flow_run_id", "started_at", "finished_at", "committed_at",
)  # fmt: skip
DERIVED = (
    "run_id", "manifest_row", "pair_id", "role", "input_uri", "input_sha256", "audio_uri", "served_by", "withdrawn",
)  # fmt: skip
ASKABLE = (
    "ask for the URI, sha256 (12 characters of it or more), pair_id or pair_key of an output, a copy of it, a run, an "
    "attempt (RUN_ID/ROW), the URI or sha256 of an input, a network or its training"
)
COPY_BYTES = 1 << 30


@dataclass(frozen=True)
class Lineage:
    """`made`: the attempts that were asked for, each with what made it. `derived`: the outputs, with columns DERIVED,
    that were made from what was asked for, or by the network that was. `networks`: those that were asked for, and those
    that were trained for what was asked for (`as` is style), or on it (corpus)."""

    asked: str
    made: list[dict[str, Any]]
    derived: pd.DataFrame
    networks: list[dict[str, Any]]


def lineage(store: Store, layout: Layout, asked: str) -> Lineage:
    """Both directions; what no name tells is looked for by what a file of that name holds.

    Raises UsageError where nothing under the root has to do with `asked`.
    """
    rows, trainings = read_results(store, layout), read_trainings(store, layout)
    stones = read_withdrawn(store, layout)
    rows["withdrawn"] = rows.index.isin(list(stones.of(rows)))
    uri = uri_of(asked)
    named, digests = _named(rows, asked, uri), digests_like(rows, trainings, asked)
    derived, networks = _derived(rows, trainings, layout, asked, uri, digests)
    tag = None
    if uri and not named.any() and derived.empty and not networks:
        sha256, tag = _contents(uri)
        named = _copied(rows, sha256, tag)
        derived, networks = _derived(rows, trainings, layout, sha256 or "", None, {sha256} if sha256 else set())
    parents = {run.run_id: run.parent_run_id for run in read_runs(store, layout)}
    of_network = {one.network_sha256: one.about(layout) for one in trainings if one.end}
    history = _History(rows, parents, of_network, stones)
    made = [history.about(row) for row in rows_of(rows[named])]
    if not made and derived.empty and not networks:
        says = f" (its tag says pair_key {tag.pair_key}, run {tag.run_id or 'none'})" if tag else ""
        raise UsageError(f"nothing under {layout.root} was made by or from {asked}{says}; {ASKABLE}.")
    return Lineage(asked, made, derived, networks)


def uri_of(asked: str) -> str | None:
    """What a person typed, as a URI (relative to the working directory), where it can be one."""
    try:
        return place(asked)
    except UsageError:
        return None


def digests_like(rows: pd.DataFrame, trainings: Iterable[Training], asked: str) -> set[str]:
    """The digests of inputs, and of what networks were trained on, that are `asked`, or begin with it."""
    if not DIGEST.fullmatch(asked):
        return set()
    known = {*uses(rows)["sha256"].dropna(), *(sha256 for _, sha256 in clips_of(trainings))}
    return {one for one in known if one.startswith(asked)}


def _derived(
    rows: pd.DataFrame, trainings: Sequence[Training], layout: Layout, asked: str, uri: str | None, digests: set[str]
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """What was made from a clip: one line for each use of it, or of what was made from it; or by a network.

    Also the networks that were asked for, and those that the clip went into, with how many outputs each has made.
    """
    clips = clips_of(trainings)
    under = {sha256 for name, sha256 in clips if name == uri}
    used, known = made_from(rows, uri, digests | under, {sha256 for _, sha256 in clips})
    used = used.rename(columns={"uri": "input_uri", "sha256": "input_sha256"})
    parts, networks = [used[["role", "input_uri", "input_sha256"]].join(rows)[list(DERIVED)]], []
    for one in trainings:
        about = one.about(layout)
        by = rows[rows["status"].eq("ok") & rows["model_sha256"].eq(one.network_sha256 or "")]
        role, is_asked = one.role_of(uri, known), _is_network(one, about["network"], asked, uri)
        if is_asked:
            made_by = {"role": "network", "input_uri": about["network"], "input_sha256": one.network_sha256}
            parts.append(by.assign(**made_by)[list(DERIVED)])
        if is_asked or role:
            networks.append({"as": None if is_asked else role, "outputs": by["audio_uri"].nunique(), **about})
    return pd.concat(parts, ignore_index=True), networks


def _is_network(one: Training, network: str | None, asked: str, uri: str | None) -> bool:
    digest = bool(DIGEST.fullmatch(asked)) and (one.network_sha256 or "").startswith(asked)
    return digest or asked == one.record.run_id or (uri is not None and uri == network)


def _named(rows: pd.DataFrame, asked: str, uri: str | None) -> pd.Series:
    """The attempts that `asked` names, or whose output it is."""
    found = rows["audio_uri"].eq(uri or "")
    for name in ("run_id", "pair_id", "pair_key"):
        found |= rows[name].eq(asked)
    if DIGEST.fullmatch(asked):
        found |= rows["audio_sha256"].str.startswith(asked).eq(True)  # of an attempt without audio: null
    return found | _attempts(rows).eq(asked)


def _contents(uri: str) -> tuple[str | None, Tag | None]:
    """Digest and tag of what lies at `uri`; None and None where nothing does, or too much."""
    try:
        blob = open_store(uri).read(uri, limit=COPY_BYTES)
    except PairError:
        return None, None
    return blob.sha256, read_tag(blob.data)


def _copied(rows: pd.DataFrame, sha256: str | None, tag: Tag | None) -> pd.Series:
    """The attempts whose output has this digest or, converted since, bears this tag."""
    found = rows["audio_sha256"].eq(sha256 or "")
    if tag:
        found |= rows["pair_key"].eq(tag.pair_key) & rows["run_id"].eq(tag.run_id or "")
    return found


def _attempts(rows: pd.DataFrame) -> pd.Series:
    return rows["run_id"].astype(str) + "/" + rows["manifest_row"].astype(str)


class _History:
    """All attempts, to be asked about one of them."""

    def __init__(
        self,
        rows: pd.DataFrame,
        parents: Mapping[str, str | None],
        networks: Mapping[str | None, dict[str, Any]],
        withdrawn: Withdrawn,
    ) -> None:
        names = _attempts(rows).to_dict()
        self._withdrawn = {names[key]: stone.sentence() for key, stone in withdrawn.of(rows).items()}
        self._parents, self._networks = parents, networks
        self._computed = rows[rows["served_by"].isna()].set_index(_attempts(rows[rows["served_by"].isna()]))
        served = rows[rows["served_by"].notna()]
        self._served = _attempts(served).groupby(served["served_by"]).agg(list).to_dict()

    def about(self, row: Mapping[str, Any]) -> dict[str, Any]:
        attempt, computed_by = f"{row['run_id']}/{row['manifest_row']}", served_by(row)
        return {
            "attempt": attempt,
            "withdrawn": f"an input {self._withdrawn[attempt]}" if attempt in self._withdrawn else None,
            **{name: row[name] for name in OUTPUT},
            "inputs": [dict(one) for one in (row["inputs"] if row["inputs"] is not None else ())],
            "parameters": {
                name: {"value": value, "default": usual} for name, (value, usual) in changed(row["params"]).items()
            },
            "run_id": row["run_id"],
            "reruns": self._ancestors(row["run_id"]),
            "manifest_uri": row["manifest_uri"],
            "manifest_sha256": row["manifest_sha256"],
            "served_by": row["served_by"],
            "serves": self._served.get(computed_by, []),
            **self._code(row, computed_by),
            "network": self._networks.get(row["model_sha256"]),
            "tags": dict(row["tags"] or {}),
        }

    def _code(self, row: Mapping[str, Any], computed_by: str) -> dict[str, Any]:
        """Code, packages and machine: those of the attempt that computed the audio."""
        if row["served_by"] and computed_by in self._computed.index:
            [row] = rows_of(self._computed.loc[[computed_by]])
        return {name: row[name] for name in CODE}

    def _ancestors(self, run_id: str) -> list[str]:
        """The runs that a run reruns, its parent first."""
        found: list[str] = []
        while (parent := self._parents.get(run_id)) and parent not in found:
            found.append(parent)
            run_id = parent
        return found
