"""Whether the command lines of containers are what their programs understand, asked of the programs' own parsers."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import click

REPOSITORY = Path(__file__).resolve().parents[2]
INFRA = REPOSITORY / "infra"


def check(command):
    """Raises where `command`, a list, has an option or argument that its program does not know."""
    match command:
        case ["tini", "--", *rest]:
            check(rest)
        case ["python", "-m", "flows.graceful", *rest]:
            check(rest)
        case ["sh", "-c", line]:
            for one in re.split(r"&&|\|\||; done|; do|until ", line):
                check(shlex.split(one))
        case [] | ["sleep", _]:
            pass
        case ["python", "-c", code]:
            compile(code, "-c", "exec")
        case ["gramophone", *arguments]:
            from flows.cli import cli

            _click(cli, arguments)
        case ["ray", *arguments]:
            _ray(*arguments)
        case ["prefect", *arguments]:
            from prefect.cli._app import _app

            _app.parse_args([a for a in arguments if a != "--no-prompt"], exit_on_error=False, print_error=False)
        case ["weed" | "/usr/bin/weed", program, *arguments]:
            known = subprocess.run(
                [Path(sys.executable).with_name("weed"), program, "-h"], capture_output=True, text=True, check=False
            )
            flags = set(re.findall(r"^  (-[\w.]+)", known.stdout + known.stderr, re.MULTILINE))
            if unknown := [a for a in arguments if a.split("=")[0] not in flags]:
                raise ValueError(f"weed {program} knows no {unknown}")
        case ["pg_isready" | "wget", *_]:
            pass  # of PostgreSQL's image and of busybox: not here to be asked
        case _:
            raise ValueError(f"who understands {shlex.join(command)}?")


@cache
def _ray(*arguments):
    """In a process of its own: Ray keeps the authentication that was set when it was imported."""
    code = (
        "import sys; from ray.scripts.scripts import cli; from tests.infra.commands import _click; "
        "_click(cli, sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"ray {shlex.join(arguments)}: {done.stderr.strip().splitlines()[-1]}")


def _click(program, arguments):
    """Each group's options, then those of the command, without carrying it out."""
    with suppress(click.exceptions.Exit):  # --help
        context = program.make_context(program.name, list(arguments))
        while isinstance(program, click.Group):
            name, program, arguments = program.resolve_command(context, [*context._protected_args, *context.args])
            context = program.make_context(name, arguments, parent=context)


def unknown_settings(names):
    """Of names of environment variables those of ours and of Prefect's that nobody reads."""
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings

    from flows.config import FIELDS, PREFIX, RESERVED

    ours = {PREFIX + name.upper() for name in (*FIELDS, *RESERVED)}
    theirs = _get_settings_fields(Settings)
    return {
        n for n in names if (n.startswith(PREFIX) and n not in ours) or (n.startswith("PREFECT_") and n not in theirs)
    }
