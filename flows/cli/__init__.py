"""The command line. Commands are imported when they are used: `--help` waits for neither prefect nor torch."""

import importlib
import os
import signal
import sys
from typing import Any

import click

COMMANDS = {
    "demo": ("flows.cli.demo:demo", "Synthesise clips, restyle them, and show the results."),
    "restyle": ("flows.cli.restyle:restyle", "Restyle one track: CONTENT in the texture of STYLE."),
    "run": ("flows.cli.run:run", "Restyle every pair of a manifest that is not done yet."),
    "rerun": ("flows.cli.run:rerun", "Compute the failed and open pairs of a run, and nothing else."),
    "train": ("flows.cli.train:train", "Train a network that restyles in the texture of STYLE in a single pass."),
    "estimate": ("flows.cli.estimate:estimate", "Say what a run would take: hours, storage, money."),
    "status": ("flows.cli.query:status", "Show how the pairs of a run stand."),
    "metrics": ("flows.cli.metrics:metrics", "Show or query the results."),
    "report": ("flows.cli.report:report", "Write the page of a run, to look at and to listen."),
    "listen": ("flows.cli.listen:listen", "Hear a run in the browser, also from a private bucket."),
    "plot": ("flows.cli.plot:plot", "Draw spectrograms, losses, a sweep, or a figure by style."),
    "lineage": ("flows.cli.lineage:lineage", "Show what made an output, or was made from an input."),
    "verify": ("flows.cli.query:verify", "Check that every result has its audio, whole."),
    "compact": ("flows.cli.compact:compact", "Merge the results files of each night into few, for reading."),
    "gc": ("flows.cli.gc:gc", "Delete what no result names."),
    "withdraw": ("flows.cli.withdraw:withdraw", "Take a clip out: delete what was made from it."),
    "doctor": ("flows.cli.doctor:doctor", "Check device, codecs, versions, store and Prefect API."),
    "config": ("flows.cli.config:config", "Show every setting and where it comes from."),
    "manifest": ("flows.cli.manifest:manifest", "Build and validate manifests."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it or to show its help."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in COMMANDS.items()])

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(
                f"no command {args[0]!r}" + (f"; did you mean {close[0]!r}?" if close else "."), context
            )
        return super().resolve_command(context, args)


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"gramophone {version('gramophone')}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def cli() -> None:
    """Gramophone restyles music by night: content tracks in the texture of style tracks.

    Settings come, by rising precedence, from defaults, gramophone.toml, GRAMOPHONE_* in the environment, and flags.

    Exit codes: 0 all pairs done, 1 some failed, 2 usage, configuration or manifest, 3 too many failed,
    4 storage, server or device out of reach, 130 interrupted.
    """


_interrupts: list[int] = []


def main() -> None:
    """Entry point: every outcome ends in one of the exit codes above."""
    from tasks.records.reasons import OutOfReach, PairError, Reason, UsageError

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as behind a shell's `&`
            signal.signal(number, _interrupt)  # until a run listens to them
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except UsageError as error:
        code = _say(str(error), 2)
    except PairError as error:
        code = _say(f"{error.message} ({error.reason})", 4 if error.reason in (Reason.STORAGE, Reason.DISK_FULL) else 1)
    except OutOfReach as error:
        code = _say(str(error), 4)
    except (KeyboardInterrupt, click.Abort) as error:
        code = _say_interrupted(str(error.__cause__ or error))
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception:
        if not _interrupts:
            raise
        code = _say_interrupted()  # whatever a library has made of the interrupt
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(number: int, _: object) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


def _say_interrupted(left: str = "") -> int:
    exec("")  # noqa: S102 - Python remembers an interrupt that came through exec() until the next, and ends by SIGINT
    return _say(f"interrupted; {left}" if left else "interrupted", 130)


def _say(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code
