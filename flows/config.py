"""Settings by rising precedence: default, gramophone.toml, environment, flag. Each keeps its origin."""

import json
import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tasks.overrides import ParamsInvalid, checked
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError
from tasks.records.run import Connection, Job, Options
from tasks.roots import shown

M = TypeVar("M", bound=BaseModel)
PREFIX = "GRAMOPHONE_"
FILE = Path("gramophone.toml")
RESERVED = {"image_digest", "require_all", "web_root"}  # environment variables that are no settings

FIELDS: dict[str, FieldInfo] = {
    **Options.model_fields,
    **Parameters.model_fields,
    **Connection.model_fields,
    "root": Job.model_fields["root"],
}


@dataclass(frozen=True)
class Settings:
    """What was settled, and where each value that is not a default came from."""

    root: str
    connection: Connection
    options: Options
    parameters: Parameters
    origins: Mapping[str, str]

    def of_flags(self) -> dict[str, Any]:
        """The options and parameters that were given as flags."""
        every = self.options.model_dump(mode="json") | self.parameters.model_dump(mode="json")
        return {name: value for name, value in every.items() if self.origins.get(name) == "flag"}


def settle(flags: Mapping[str, Any], environment: Mapping[str, str] | None = None, file: Path = FILE) -> Settings:
    """Settings from all sources. Raises UsageError for a name that nobody knows or a value out of range.

    Where buckets are is put into the environment, where every process of the run finds it.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    sources = (
        (str(file), _from_file(file)),
        ("environment", _from_environment(os.environ if environment is None else environment)),
        ("flag", {k: v for k, v in flags.items() if v is not None and v != ()}),
    )
    for origin, found in sources:
        values |= found
        origins |= dict.fromkeys(found, origin)
    parameters = _parameters({k: v for k, v in values.items() if k in Parameters.model_fields}, origins)
    options = _checked(Options, values, origins)
    connection = _checked(Connection, values, origins)
    told = connection.model_dump(exclude_defaults=True)
    os.environ |= {f"{PREFIX}{name.upper()}": str(value) for name, value in told.items()}
    return Settings(values.get("root", FIELDS["root"].default), connection, options, parameters, origins)


def _from_file(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}; write lines such as content_weight = 0.1.") from error
    for name in found:
        _known(name, name, f"a setting (in {file})")
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable, text in environment.items():
        if variable.startswith(PREFIX) and (name := variable.removeprefix(PREFIX).lower()) not in RESERVED:
            _known(name, variable, "a setting (in the environment)")
            found[name] = parsed(FIELDS[name], text)
    return found


def _known(name: str, shown: str, what: str) -> None:
    if name not in FIELDS:
        close = get_close_matches(name, FIELDS, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; `gramophone run --help` lists them, with - for _."
        raise UsageError(f"{shown} is not {what}{hint}")


def kind_of(field: FieldInfo) -> Any:
    """The plain type of a field: str, int, float, bool, a Literal, or tuple."""
    annotation = field.annotation
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, UnionType):
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
        origin = typing.get_origin(annotation)
    return tuple if origin is tuple else annotation


def parsed(field: FieldInfo, text: str) -> Any:
    """A value from text: lists are separated by commas, numbers and true/false as in JSON, the rest as it is."""
    kind = kind_of(field)
    if kind is tuple:
        return [_scalar(part.strip()) for part in text.split(",") if part.strip()]
    return text if kind is str or typing.get_origin(kind) is typing.Literal else _scalar(text)


def _scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parameters(values: dict[str, Any], origins: Mapping[str, str]) -> Parameters:
    try:
        return checked({**Parameters().model_dump(mode="json"), **values})
    except ParamsInvalid as error:
        raise UsageError(
            "; ".join(f"{value}{_origin(value, origins)}: {why}" for value, why, _ in error.problems)
        ) from error


def _checked(model: type[M], values: Mapping[str, Any], origins: Mapping[str, str]) -> M:
    try:
        return model(**{k: v for k, v in values.items() if k in model.model_fields})
    except ValidationError as error:
        raise UsageError(validation_message(error, origins)) from error


def validation_message(error: ValidationError, origins: Mapping[str, str] | None = None) -> str:
    """Every problem that a model found, for a person."""
    parts = []
    for problem in error.errors():
        name = ".".join(str(p) for p in problem["loc"])
        why = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "string_pattern_mismatch" and name in FIELDS:
            why = f"is none of: {FIELDS[name].description}"
        given = shown(problem["input"]) if isinstance(problem["input"], str) else repr(problem["input"])
        parts.append(f"{name} {given}{_origin(name, origins or {})}: {why[:1].lower()}{why[1:]}")
    return "; ".join(parts)


def _origin(text: str, origins: Mapping[str, str]) -> str:
    origin = origins.get(text.split(" ")[0])
    return f" (from {origin})" if origin and origin != "flag" else ""


def fields_of(*models: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: field for model in models for name, field in model.model_fields.items()}
