"""`gramophone config show`: what holds here, and where it comes from."""

from typing import Any

import click

from flows.cli import show as shown
from flows.cli.options import field_options, json_option
from flows.config import FIELDS, settle


@click.group()
def config() -> None:
    """Show settings."""


@config.command()
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@field_options({"root": FIELDS["root"]})
@json_option
def show(changed: bool, as_json: bool, **flags: Any) -> None:
    """Show the value of every setting in this folder and environment, and where each comes from.

    By rising precedence: default, gramophone.toml, environment, flag; then a manifest row's `params` and `--set` of a
    rerun, which are not here. Credentials are no settings and are not shown.
    """
    settings = settle(flags)
    values = {
        "root": settings.root,
        **settings.connection.model_dump(mode="json"),
        **settings.options.model_dump(mode="json"),
        **settings.parameters.model_dump(mode="json"),
    }
    rows = [
        {"name": name, "value": value, "origin": settings.origins.get(name, "default"), "default": FIELDS[name].default}
        for name, value in values.items()
        if not changed or name in settings.origins
    ]
    if as_json:
        shown.as_json(rows)
        return
    if not rows:
        click.echo("every setting is the default")
        return
    told = [(row["name"], _text(row["value"]), row["origin"], FIELDS[row["name"]].description) for row in rows]
    shown.table("settings", ("setting", "value", "from", "what it is"), told)


def _text(value: Any) -> str:
    """As it is written on the command line."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
