"""A night's figures as OpenMetrics text, for Prometheus.

Gauges without time stamps and no other, so that what reads the older text format only (node_exporter's textfile
collector, a Pushgateway) reads them as well. A manifest is named with {night} for its date: one series for all nights.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from tasks.layout import Layout
from tasks.records.reasons import Reason
from tasks.records.run import EndRecord, Stop
from tasks.results import read_end
from tasks.standing import OPEN, Family, counts, of_family, reasons
from tasks.store import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""As which a Pushgateway takes it."""

GAUGES = {
    "gramophone_night_check_timestamp_seconds": "When the night was looked at, seconds since 1970.",
    "gramophone_night_exit_code": "What `gramophone status --night` ends with: 0 only if each pair is done, 4 alone "
    "where the results are out of reach.",
    "gramophone_night_runs": "Runs of the night over the manifest, reruns among them.",
    "gramophone_night_pairs": "Pairs by how they stand: ok, failed, open.",
    "gramophone_night_skipped_pairs": "Of the ok ones those that an earlier night had done.",
    "gramophone_night_quarantined_pairs": "Of the failed ones those that reruns leave alone.",
    "gramophone_night_not_done_pairs": "Pairs that are not done, by reason.",
    "gramophone_night_seconds_per_pair": "Mean of what the stages of a pair took that was computed.",
    "gramophone_night_idle_seconds": "Of runs that have open pairs and no verdict (at work, or killed) how long before "
    "the look they were last heard of.",
    "gramophone_night_last_end_timestamp_seconds": "When the last of its runs ended, seconds since 1970.",
    "gramophone_night_last_exit_code": "Exit code of the run that ended last.",
    "gramophone_night_last_stop": "1 for why the run that ended last stopped, 0 for the other causes.",
}
"""Every metric, and what it is."""


@dataclass(frozen=True)
class Stood:
    """How the pairs of a family of runs stand, and of those that have ended their ends, by run."""

    family: Family
    pairs: pd.DataFrame  # in brief
    ends: Mapping[str, EndRecord]


def stood(store: Store, layout: Layout, family: Family) -> Stood:
    ends = {run.run_id: read_end(store, layout, run.run_id) for run in family.runs}
    pairs = of_family(store, layout, family, brief=True, also=("audio_uri", "served_by", "seconds_total"))
    return Stood(family, pairs, {name: end for name, end in ends.items() if end})


Sample = tuple[str, dict[str, str], float]


def of_night(night: str, exit_code: int, families: Iterable[Stood], now: datetime) -> str:
    """The text for a night whose check at `now` ends with this code; without families where none could be looked at."""
    found: dict[str, list[Sample]] = {name: [] for name in GAUGES}
    samples: list[Sample] = [
        ("gramophone_night_check_timestamp_seconds", {"night": night}, now.timestamp()),
        ("gramophone_night_exit_code", {"night": night}, exit_code),
    ]
    for one in families:
        labels = {"night": night, "manifest": one.family.first.manifest_uri.replace(night, "{night}")}
        samples += [(f"gramophone_night_{name}", labels | more, value) for name, more, value in _figures(one, now)]
    for sample in samples:
        found[sample[0]].append(sample)
    lines = [line for name, of_name in found.items() if of_name for line in _lines(name, of_name)]
    return "\n".join([*lines, "# EOF", ""])


def _figures(one: Stood, now: datetime) -> Iterator[Sample]:
    frame = one.pairs
    number, why = counts(frame), reasons(frame)
    yield "runs", {}, len(one.family.runs)
    for status in ("ok", "failed", OPEN):
        yield "pairs", {"status": status}, number[status]
    yield "skipped_pairs", {}, number["skipped"]
    yield "quarantined_pairs", {}, int(frame["quarantined"].sum())
    for reason in Reason:  # also those that are 0, which an alert compares and a picture draws
        yield "not_done_pairs", {"reason": reason.value}, why.get(reason.value, 0)
    computed = frame[(frame["status"] == "ok") & ~frame["skipped"] & frame["served_by"].isna()]
    if len(computed):
        yield "seconds_per_pair", {}, float(computed["seconds_total"].mean())
    if heard := _last_sign(one):
        yield "idle_seconds", {}, (now - heard).total_seconds()
    if one.ends:
        last = max(one.ends.values(), key=lambda end: end.ended_at)
        yield "last_end_timestamp_seconds", {}, last.ended_at.timestamp()
        yield "last_exit_code", {}, last.exit_code
        for stop in Stop:
            yield "last_stop", {"stop": stop.value}, int(stop is last.stop)


def _last_sign(one: Stood) -> datetime | None:
    """When a run that holds open pairs and has no verdict last committed, or began. None where there is no such run.

    Whether its process lives is not known here: it may be another machine's.
    """
    left = set(one.pairs.loc[one.pairs["status"] == OPEN, "run_id"])
    begun = {run.run_id: run.created_at for run in one.family.runs if run.run_id in left - one.ends.keys()}
    committed = one.pairs.loc[one.pairs["run_id"].isin(begun), "committed_at"].dropna()
    return max([*begun.values(), *committed.nlargest(1)], default=None)


def _lines(name: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# TYPE {name} gauge"
    if name.endswith("_seconds"):
        yield f"# UNIT {name} seconds"
    yield f"# HELP {name} {GAUGES[name]}"
    for _, labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{told}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
