"""Flags made from the models, so that a parameter is written once."""

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from annotated_types import Ge, Gt, Le, Lt
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from flows.config import FIELDS, fields_of, kind_of, parsed, settle
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError
from tasks.records.run import Connection, Job, Options

Command = Callable[..., Any]


class Place(click.types.StringParamType):
    """A file, a folder or a URI: shells complete it as they complete files."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class RunId(click.types.StringParamType):
    """A run, or a training: shells complete what lies in a folder, the latest first; of a bucket they do not ask."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        root = Path((ctx.params.get("root") or settle({}).root).removeprefix("file://"))
        records = [path for kind in ("runs", "training") for path in root.glob(f"{kind}/{incomplete}*/*.json")]
        return [CompletionItem(name) for name in sorted({path.parent.name for path in records}, reverse=True)]


RUN_ID = RunId()
PLACE, PLACES = Place(), ("root", "manifest")
PLAIN = {int: click.INT, float: click.FLOAT, str: click.STRING}


def field_options(fields: dict[str, FieldInfo]) -> Callable[[Command], Command]:
    """A flag for every field, with its description, default and range."""

    def decorate(command: Command) -> Command:
        for name, field in reversed(fields.items()):
            command = _option(name, field)(command)
        return command

    return decorate


parameter_options = field_options(fields_of(Parameters))
run_options = field_options(fields_of(Options))
root_option = field_options({"root": FIELDS["root"], **fields_of(Connection)})
until_option = field_options({"until": FIELDS["until"]})
job_options = field_options({name: Job.model_fields[name] for name in ("night", "wait")})
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")


def check_named(run_id: str | None, latest: bool) -> None:
    """Raises UsageError unless a run is named, by its id or as the latest."""
    if (run_id is None) != latest:
        command = f"gramophone {click.get_current_context().info_name}"
        raise UsageError(
            f"name a run, or say --latest (not both): `{command} --latest`; `gramophone status --latest` tells of it."
        )


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    kind, flag = kind_of(field), "--" + name.replace("_", "-")
    text = f"{field.description}  [{_range(field)}]"
    if kind is bool:
        spelled = f"{flag}/--no-{flag[2:]}" if field.default else flag
        return click.option(spelled, name, is_flag=True, default=None, help=text)
    if kind is tuple and not field.default:  # a list that is empty by default is given entry by entry
        return click.option(flag, name, multiple=True, help=f"{field.description}; may be given again")
    if kind is tuple:
        return click.option(flag, name, metavar="N,N,...", callback=lambda _, __, v: v and parsed(field, v), help=text)
    if typing.get_origin(kind) is typing.Literal:
        return click.option(flag, name, type=click.Choice(typing.get_args(kind)), help=text)
    return click.option(flag, name, type=PLACE if name in PLACES else PLAIN[kind], help=text)


def _range(field: FieldInfo) -> str:
    default = field.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    parts = [f"default: {shown if shown != '' else 'none'}"]
    low = next((str(m.ge) for m in field.metadata if isinstance(m, Ge)), None)
    low = low or next((f"more than {m.gt}" for m in field.metadata if isinstance(m, Gt)), None)
    high = next((str(m.le) for m in field.metadata if isinstance(m, Le)), None)
    high = high or next(("less than 2**63" for m in field.metadata if isinstance(m, Lt)), None)
    if low is not None and high is not None:
        parts.append(f"{low} to {high}")
    return "; ".join(parts)
