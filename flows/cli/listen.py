"""`gramophone listen`: the page of a run and all its sounds, also of a private bucket."""

import socket
import webbrowser
from contextlib import suppress
from typing import Any

import click

from flows.cli.options import check_named, root_option
from flows.config import settle
from tasks.records.reasons import UsageError


@click.command()
@click.argument("run_id", required=False)
@click.option("--latest", is_flag=True, help="The latest run.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="On loopback.  [default: any that is free]")
@click.option("--open/--no-open", "show", default=True, help="Open a browser.  [default: open]")
@root_option
def listen(run_id: str | None, latest: bool, port: int, show: bool, **flags: Any) -> None:
    """Serve the page of RUN_ID, its outputs and inputs to a browser on this machine, until Ctrl-C.

    With your credentials for the bucket, which do not leave this process. The address holds a secret: whoever has it
    may listen, on this machine only.
    """
    check_named(run_id, latest)
    import uvicorn

    from tasks.report.serve import Listening, check
    from tasks.roots import place

    root = place(settle(flags).root)
    run = check(root, run_id)
    listening = Listening(root)
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"port {port} of 127.0.0.1 cannot be had ({error.strerror}); leave out --port.") from error
        url = f"http://127.0.0.1:{bound.getsockname()[1]}{listening.page(run)}"
        click.echo(url)
        click.echo("Ctrl-C ends it", err=True)
        if show:
            webbrowser.open(url)
        server = uvicorn.Server(uvicorn.Config(listening.app(), log_level="error", access_log=False, lifespan="off"))
        with suppress(KeyboardInterrupt):  # which is how it ends
            server.run(sockets=[bound])
