"""The generated parts of the READMEs: commands with their help, columns, reasons (`make docs`)."""

from collections.abc import Iterable, Iterator

import click

from flows.cli import COMMANDS, cli
from tasks.records.reasons import POLICIES
from tasks.records.schema import Column


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups opened."""
    context = click.Context(cli, info_name="gramophone")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"gramophone {name} {inner}", found) for inner, found in command.commands.items())
        else:
            yield f"gramophone {name}", command


def help_of(name: str, command: click.Command) -> str:
    """What `NAME --help` prints, 100 columns wide."""
    names = cli.context_settings["help_option_names"]  # click keeps those that a command was first asked with
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=names)
    with context:
        return command.get_help(context)


def reference() -> str:
    parts = []
    for name, command in commands():
        text = help_of(name, command)
        parts.append(f"<details><summary><code>{name}</code></summary>\n\n```\n{text}\n```\n\n</details>\n")
    return "\n".join(parts)


def columns(described: Iterable[Column]) -> str:
    rows = [f"| `{c.name}` | {c.type} | {c.doc} |" for c in described]
    return "\n".join(["", "| column | type | what |", "|---|---|---|", *rows, ""])


def reasons() -> str:
    rows = [
        f"| `{reason}` | {'no, unless something changes' if policy.permanent else 'yes'} "
        f"| {'yes' if policy.counted else 'no'} | {policy.within} "
        f"| {policy.remedy.format(run='RUN_ID', reason=reason)} |"
        for reason, policy in POLICIES.items()
    ]
    return "\n".join(
        [
            "",
            "| reason | may a rerun help? | does it count as an attempt? | tried within a run | what to do |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
