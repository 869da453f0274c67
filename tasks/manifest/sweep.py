"""Sweeps: every pair once for each of some parameters' values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from tasks.overrides import ParamsInvalid, checked
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError

LONGEST_SUFFIX = 80


@dataclass(frozen=True)
class Choice:
    """One value of every swept parameter."""

    params: Mapping[str, Any]

    @property
    def suffix(self) -> str:
        """What tells its rows from the pair's others, as a pair_id may have it: -strength0.25."""
        text = "".join(f"-{name}{_spelled(value)}" for name, value in self.params.items())
        return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:LONGEST_SUFFIX]


def choices(sweeps: Sequence[tuple[str, Sequence[Any]]], base: Parameters) -> list[Choice]:
    """Every combination of the sweeps' values, the last sweep's changing fastest; one empty choice without sweeps.

    Raises UsageError for a parameter or value that is given twice, and with every combination that `base` overridden
    by it does not allow: a name that nobody knows, a value out of range, values that do not go together.
    """
    names = [name for name, _ in sweeps]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--sweep {twice} is given twice; give all its values at once.")
    for name, values in sweeps:
        if not values:
            raise UsageError(f"--sweep {name}: no values; write {name}=VALUE,VALUE.")
        if twice := next((value for n, value in enumerate(values) if value in values[:n]), None):
            raise UsageError(f"--sweep {name}: {_spelled(twice)} is there twice; two rows would be the same pair.")
    found = [Choice(dict(zip(names, values, strict=True))) for values in product(*(values for _, values in sweeps))]
    problems = dict.fromkeys(problem for choice in found for problem in _problems(choice, base))
    if problems:
        raise UsageError("; ".join(f"--sweep {problem}" for problem in problems))
    return found


def _problems(choice: Choice, base: Parameters) -> list[str]:
    try:
        checked({**base.model_dump(mode="json"), **choice.params})
    except ParamsInvalid as error:
        return [f"{value}: {why}; {remedy}" for value, why, remedy in error.problems]
    return []


def _spelled(value: Any) -> str:
    return ".".join(map(str, value)) if isinstance(value, list) else str(value)
