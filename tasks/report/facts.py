"""What a report tells of a run and its reruns, as plain values: every pair in a line, and all about each in parts."""

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasks.attempts import served_by
from tasks.curves import read_curves
from tasks.in_full import in_full
from tasks.layout import Layout
from tasks.overrides import changed
from tasks.records import schema
from tasks.records.pair import Input
from tasks.records.reasons import named, remedy
from tasks.records.run import EndRecord, RunRecord
from tasks.records.words import at_root, pair_name
from tasks.report.links import link
from tasks.results import read_end, rows_of
from tasks.standing import Family, counts, of_family
from tasks.store import Store
from tasks.withdrawn import NOTHING, Withdrawn, read_withdrawn

PART = 20
"""Pairs of one part: with three pictures of some 9 kB each it stays below a megabyte."""
FIGURES = {c.name: c.doc for c in (*schema.QUALITY_COLUMNS, *schema.EFFORT_COLUMNS)}
LINEAGE = (
    "run_id", "manifest_row", "pair_key", "served_by", "params_sha256", "algorithm_version", "model_sha256",
    "code_version", "lock_sha256", "image_digest", "torch", "cuda", "device", "threads", "host",
    "prefect_flow_run_id", "committed_at",
)  # fmt: skip
LINE = ("pair_id", "status", "reason", "style_loss", "content_loss", "style_loss_heldout", "seconds_total")


@dataclass(frozen=True)
class Facts:
    root: str
    family: Family
    end: EndRecord | None  # of the last run
    counts: Mapping[str, int]
    failures: list[dict[str, Any]]  # reason, pairs, what to do
    pairs: pd.DataFrame  # as they stand, those that are not done first; at most so many as were asked for
    left_out: int
    gone: int = 0  # of those that are done, pairs whose audio was withdrawn
    withdrawn: Withdrawn = NOTHING

    @property
    def run(self) -> RunRecord:
        return self.family.last

    def lines(self) -> list[list[Any]]:
        """Each pair as the values of LINE."""
        return [[_name(row), row["status"], _reason(row), *(_short(row[c]) for c in LINE[3:])] for row in self._rows()]

    def column(self, name: str) -> list[float]:
        """The figures of all pairs that have one."""
        return [float(value) for value in self.pairs.loc[self.pairs["status"] == "ok", name].dropna()]

    def part(self, number: int, folder: str) -> list[dict[str, Any]]:
        """All about the pairs of one part; links are from `folder`."""
        rows = list(rows_of(self.pairs.iloc[number * PART : (number + 1) * PART]))
        curves = read_curves({row["curves_uri"] for row in rows if row["curves_uri"]}, list(map(served_by, rows)))
        return [self._about(row, curves.get(served_by(row), {}), folder) for row in rows]

    @property
    def parts(self) -> int:
        return -(-len(self.pairs) // PART)

    def _rows(self) -> Iterable[dict[str, Any]]:
        return rows_of(self.pairs)

    def _about(self, row: Mapping[str, Any], curve: Mapping[str, Any], folder: str) -> dict[str, Any]:
        return {
            "name": _name(row),
            "status": row["status"],
            "reason": _reason(row),
            "message": row["message"],
            "remedy": self._remedy(row),
            "skipped": bool(row["skipped"]),
            "sounds": self._sounds(row, folder),
            "pictures": _pictures(row, curve),
            "curve": {name: [_short(v) for v in curve[name]] for name in ("style", "content") if curve.get(name)},
            "stages": curve.get("stage") or [],
            "figures": {name: _short(row[name]) for name in FIGURES if row.get(name) is not None},
            "changed": changed(row["params"]),
            "lineage": _lineage(row),
            "tags": dict(row["tags"] or ()),
        }

    def _sounds(self, row: Mapping[str, Any], folder: str) -> dict[str, Any]:
        """Content, first style and result: where each is, its slice, its loudness (LUFS), or why it is withdrawn."""
        sounds: dict[str, Any] = {}
        inputs = [Input(**one) for one in (row["inputs"] if row["inputs"] is not None else ())]
        for number, one in enumerate(inputs):
            if one.role not in sounds:
                refusal = self.withdrawn.refusal(one)
                sounds[one.role] = {
                    "uri": one.uri, "link": None if refusal else link(one.uri, folder),
                    "input": None if refusal else number, "withdrawn": refusal.message if refusal else None,
                    "start": one.start or 0.0, "seconds": one.seconds,
                    "lufs": _short(row.get(f"{one.role}_loudness_lufs")),
                }  # fmt: skip
        if row["audio_uri"]:
            uri = Layout(self.root).here(row["audio_uri"])
            sounds["result"] = {
                "uri": uri, "link": None if row["withdrawn"] else link(uri, folder), "start": 0.0,
                "withdrawn": row["message"] if row["withdrawn"] else None,
                "seconds": row["audio_frames"] / row["audio_rate"], "lufs": _short(row["loudness_lufs"]),
            }  # fmt: skip
        return {"sounds": sounds, "inputs": [_input(one) for one in row["inputs"]] if inputs else []}

    def _remedy(self, row: Mapping[str, Any]) -> str | None:
        if row["status"] == "ok" or not row["reason"]:
            return None
        return remedy(row["reason"], f"{self.run.run_id} {at_root(self.root)}", bool(row["quarantined"]))


def facts(store: Store, layout: Layout, family: Family, most: int, stood: pd.DataFrame | None = None) -> Facts:
    """What there is to tell; of at most `most` pairs, those that are not done first, then the worst style losses.

    `stood`: how the pairs stand in brief, where that is known. All of a row is read of those that are shown.
    """
    frame = of_family(store, layout, family, brief=True) if stood is None else stood
    left = frame["status"] != "ok"
    return Facts(
        root=layout.root,
        family=family,
        end=read_end(store, layout, family.last.run_id),
        counts=counts(frame),
        failures=_failures(frame[left], f"{family.last.run_id} {at_root(layout.root)}"),
        pairs=in_full(store, layout, family, frame.loc[_shown(left, frame["style_loss"], most)]),
        left_out=max(0, len(frame) - most),
        gone=int(frame["withdrawn"].sum()),
        withdrawn=read_withdrawn(store, layout),
    )


def _shown(left: pd.Series, style_loss: pd.Series, most: int) -> pd.Index:
    """Which pairs, in the manifest's order but for those that are not done, which come first."""
    worst = pd.DataFrame({"left": left, "style_loss": style_loss})
    if len(worst) > most:
        worst = worst.sort_values(["left", "style_loss"], ascending=False, kind="stable").head(most).sort_index()
    return worst.sort_values("left", ascending=False, kind="stable").index


def _failures(left: pd.DataFrame, run: str) -> list[dict[str, Any]]:
    """By reason, the most frequent first: how many pairs, some of them, and what to do in `run`."""
    found = []
    for _, pairs in left.groupby(["reason", "quarantined"], sort=False, dropna=False):
        rows = list(rows_of(pairs.head(3)))
        found.append(
            {
                "reason": named(rows[0]),
                "pairs": len(pairs),
                "first": ", ".join(_name(row) for row in rows),
                "remedy": remedy(rows[0]["reason"], run, bool(rows[0]["quarantined"])) if rows[0]["reason"] else "",
            }
        )
    return sorted(found, key=lambda one: -one["pairs"])


def _lineage(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: _told(row[name]) for name in LINEAGE if row.get(name) is not None}
    return {"withdrawn": row["message"], **told} if row["withdrawn"] else told


def _pictures(row: Mapping[str, Any], curve: Mapping[str, Any]) -> dict[str, str]:
    if row["withdrawn"]:  # a file of curves that other pairs share keeps them
        return {}
    return {name[8:]: base64.b64encode(curve[name]).decode() for name in schema.PICTURES if curve.get(name)}


def _input(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _told(one[name]) for name in ("role", "uri", "sha256", "start", "seconds", "weight") if one[name]}


def _name(row: Mapping[str, Any]) -> str:
    return pair_name(row["pair_id"], row["manifest_row"])


def _reason(row: Mapping[str, Any]) -> str | None:
    if row["status"] == "ok":
        return "withdrawn" if row["withdrawn"] else None
    return named(row)


def _short(value: Any) -> Any:
    """Numbers to five digits: what a person reads, at a third of the bytes."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _told(value: Any) -> Any:
    return value if isinstance(value, int | float | str) or value is None else str(value)
