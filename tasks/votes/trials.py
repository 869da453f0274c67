"""What is heard in a blind comparison: outputs that were made from the same inputs, in an order that tells nothing."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from random import Random
from string import ascii_uppercase
from typing import Any, Literal

import pandas as pd

from tasks.records.reasons import UsageError
from tasks.results import rows_of

Kind = Literal["ab", "mushra"]
Aspect = Literal["content", "style"]
MOST_OUTPUTS = 10
"""Of one trial: with reference and anchor they are twelve, as many as ITU-R BS.1534-3 allows."""
REFERENCE, ANCHOR = "hidden reference", "anchor"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Stimulus:
    """One of the sounds to be judged: an output or, by its number, an input of the same row."""

    role: Literal["output", "reference", "anchor"]
    condition: str
    row: Row
    number: int | None = None


@dataclass(frozen=True)
class Trial:
    """Sounds made from the same inputs, as they are shown: the first is A."""

    stimuli: tuple[Stimulus, ...]

    @property
    def row(self) -> Row:
        """One whose inputs are those of all."""
        return self.stimuli[0].row

    def lettered(self) -> dict[str, Stimulus]:
        return dict(zip(ascii_uppercase, self.stimuli, strict=False))


def ab(frame: pd.DataFrame, draw: Random, most: int) -> list[Trial]:
    """At most `most` pairs of outputs that differ in condition, spread over all inputs.

    `frame`: rows of one or several runs; `family` is the run that a row's own reruns, or itself. Raises UsageError
    where there is nothing to compare.
    """
    queues = []
    for group in _shuffled(_groups(frame), draw):
        two = [list(one) for one in combinations(group, 2) if one[0].condition != one[1].condition]
        queues.append([Trial(tuple(_shuffled(one, draw))) for one in _shuffled(two, draw)])
    trials = [trial for turn in zip_longest(*queues) for trial in turn if trial is not None]
    if not trials:
        raise UsageError(
            "there is nothing to compare: no two outputs were made from the same inputs in different ways. Name "
            "another run with --against, or make a sweep: `gramophone manifest build ... --sweep strength=0.5,1`."
        )
    return trials[:most]


def mushra(frame: pd.DataFrame, aspect: Aspect, draw: Random, most: int) -> list[Trial]:
    """At most `most` trials in which the outputs of the same inputs are rated beside a hidden reference and an anchor.

    How near they come to their content (its tune) or style (its texture): that input is the reference. Differs from
    ITU-R BS.1534-3: the anchor is the other input and no low-pass of the reference, since no bandwidth is judged.
    Raises UsageError where there is nothing to rate.
    """
    trials = []
    for group in _shuffled(_groups(frame), draw)[:most]:
        row = group[0].row
        other = "style" if aspect == "content" else "content"
        hidden = [
            Stimulus("reference", REFERENCE, row, number_of(row, aspect)),
            Stimulus("anchor", f"{ANCHOR}: the {other}", row, number_of(row, other)),
        ]
        outputs = _shuffled(group, draw)[:MOST_OUTPUTS]
        trials.append(Trial(tuple(_shuffled([*outputs, *hidden], draw))))
    if not trials:
        raise UsageError(
            "there is nothing to rate: no pair has an output; `gramophone status` says how the pairs stand."
        )
    return trials


def _groups(frame: pd.DataFrame) -> list[list[Stimulus]]:
    """Outputs by what they were made from, each sound once."""
    found: dict[str, list[Row]] = defaultdict(list)
    done = frame[(frame["status"] == "ok") & frame["audio_uri"].notna()]
    for row in rows_of(done.drop_duplicates("audio_sha256")):
        found[_inputs(row)].append(row)
    groups = list(found.values())
    labels = _labels(groups)
    return [[Stimulus("output", labels[id(row)], row) for row in group] for group in groups]


def _inputs(row: Row) -> str:
    return json.dumps([[one[k] for k in ("role", "sha256", "start", "seconds", "weight")] for one in row["inputs"]])


def _varied(groups: Iterable[Sequence[Row]]) -> list[str]:
    """The parameters in which outputs of the same inputs differ; the seed only where nothing else does."""
    names: dict[str, None] = {}
    for group in groups:
        params = [json.loads(row["params"]) for row in group]
        every = sorted({name for one in params for name in one})
        names |= {name: None for name in every if len({json.dumps(one.get(name)) for one in params}) > 1}
    return [name for name in names if name != "seed"] or list(names)


def _labels(groups: Sequence[Sequence[Row]]) -> dict[int, str]:
    """By row what tells an output from the others of its inputs: method and parameters and, where need be, the run.

    A rerun belongs to the run that it reruns.
    """
    rows = [row for group in groups for row in group]
    varied, methods = _varied(groups), len({row["method"] for row in rows}) > 1
    told = {}
    for row in rows:
        params = json.loads(row["params"])
        parts = [row["method"]] * methods + [f"{name}={params[name]}" for name in varied if name in params]
        told[id(row)] = ", ".join(parts)
    by_run = not any(told.values()) or any(
        one["family"] != other["family"] and told[id(one)] == told[id(other)]
        for group in groups
        for one, other in combinations(group, 2)
    )
    if by_run:
        return {id(row): ", ".join(filter(None, (told[id(row)], f"run {row['family']}"))) for row in rows}
    return told


def number_of(row: Row, role: str) -> int | None:
    """Which of a row's inputs is the first of a role."""
    return next((n for n, one in enumerate(row["inputs"]) if one["role"] == role), None)


def _shuffled(items: Iterable[Any], draw: Random) -> list[Any]:
    found = list(items)
    draw.shuffle(found)
    return found
