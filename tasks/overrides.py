"""Parameters of one pair: a base overridden by a row's JSON, checked, with every problem named for a person."""

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

from pydantic import ValidationError

from tasks.records.parameters import Parameters
from tasks.roots import bare

NAMED = 5
"""So many unknown names are named, and so many problems of one parameter."""
SEEDS = range(2**63)


class ParamsInvalid(ValueError):
    """Parameters that cannot be: (value, why, remedy) of each problem."""

    def __init__(self, problems: list[tuple[str, str, str]]) -> None:
        super().__init__("; ".join(f"{value}: {why}; {remedy}" for value, why, remedy in problems))
        self.problems = problems


def changed(params: str | None) -> dict[str, tuple[Any, Any]]:
    """Of a row's resolved parameters (JSON) those that are not the default: each value, and the default."""
    usual = _usual()
    return {k: (v, usual.get(k)) for k, v in json.loads(params or "{}").items() if v != usual.get(k)}


@cache
def _usual() -> Mapping[str, Any]:
    return Parameters().model_dump(mode="json")


def overrides(text: str | None) -> dict[str, Any]:
    """The JSON object of a row's `params` column. Raises ParamsInvalid."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParamsInvalid(
            [(shown(text), f"is not JSON ({error})", 'write an object such as {"widths": [2, 8]}')]
        ) from error
    if not isinstance(value, dict):
        raise ParamsInvalid([(shown(text), "is not a JSON object", 'write an object such as {"widths": [2, 8]}')])
    return value


def resolve(base: Parameters, text: str | None, seed: int | None, method: str | None = None) -> Parameters:
    """`base` overridden by a row's columns `method` and `seed` and its JSON `params`, which may name another method.

    Raises ParamsInvalid with every problem.
    """
    found, own_seed = _resolved(base, text or "", method)
    if seed is None:
        return found
    if own_seed not in (None, seed):
        raise ParamsInvalid(
            [(f"seed {shown(own_seed)}", f"differs from the seed column, {seed}", "use one of the two")]
        )
    return found if found.seed == seed else _seeded(found, seed)


@lru_cache(maxsize=1_024)
def _resolved(base: Parameters, text: str, method: str | None) -> tuple[Parameters, Any]:
    """Without the column `seed`, and the seed that the text names: a million rows have few texts."""
    own = ({} if method is None else {"method": method}) | overrides(text)
    return (checked({**base.model_dump(mode="json"), **own}) if own else base), own.get("seed")


def _seeded(params: Parameters, seed: int) -> Parameters:
    if seed in SEEDS:
        return params.model_copy(update={"seed": seed})
    return checked({**params.model_dump(mode="json"), "seed": seed})  # which says why not


def checked(values: dict[str, Any]) -> Parameters:
    """The parameter model over `values`. Raises ParamsInvalid, with the nearest name for one that is not known."""
    try:
        return Parameters.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise ParamsInvalid(list(_problems(error.errors()))) from error


def _problems(errors: Iterable[Any]) -> Iterator[tuple[str, str, str]]:
    for (unknown, name), group in groupby(sorted(errors, key=_subject), _subject):
        found = list(group)
        yield from map(_problem, found[:NAMED])
        if (more := len(found) - NAMED) > 0 and unknown:
            yield f"{more:,} more", "are not parameters", "`gramophone run --help` lists the parameters"
        elif more > 0:
            yield name, f"has {more:,} more problems", "change it"


def _subject(error: Any) -> tuple[bool, str]:
    """Whether an error is of a name that nobody knows, and else of which parameter."""
    unknown = error["type"] == "extra_forbidden"
    return unknown, "" if unknown or not error["loc"] else str(error["loc"][0])


def _problem(error: Any) -> tuple[str, str, str]:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        close = get_close_matches(name, list(Parameters.model_fields), n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "`gramophone run --help` lists the parameters"
        return name if name.isidentifier() and len(name) <= 80 else shown(name), "is not a parameter", remedy
    why = error["msg"].removeprefix("Value error, ")
    if not name:
        return "params", why, "change one of them"
    return f"{name} {shown(error['input'])}", why[:1].lower() + why[1:], "change it"


def shown(value: Any) -> str:
    """A cell for a person: without passwords, escaped, at most 80 characters, null said so."""
    if value is None:
        return "null"
    text = bare(value if isinstance(value, str) else str(value))[:81]
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return repr(text if len(text) <= 80 else text[:77] + "...") if isinstance(value, str) else text[:80]
