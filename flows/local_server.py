"""A Prefect server of our own for one command, where there is no other: up for the run, gone with it.

Prefect starts one by itself as well, which outlives a command that is killed, and dies of its Ctrl-C.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import click

from tasks.records.reasons import OutOfReach, UsageError
from tasks.roots import bare

START_SECONDS = 120.0


@contextmanager
def prefect_api() -> Iterator[None]:
    """While this is held there is a Prefect API at PREFECT_API_URL: the configured one, else a local one.

    Raises OutOfReach where that does not come up, UsageError for a configured one whose address holds a password:
    Prefect and its client log addresses.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL

    if address := PREFECT_API_URL.value():
        if bare(address) != address:
            raise UsageError(
                "PREFECT_API_URL holds a password; set it as PREFECT_API_AUTH_STRING=user:password instead."
            )
        yield
        return
    click.echo("starting a local Prefect server, some ten seconds; set PREFECT_API_URL to use yours", err=True)
    with tempfile.TemporaryFile() as told:
        server, address = _start(told)
        os.environ["PREFECT_API_URL"] = address
        try:
            _wait_for(f"{address}/health", server, told)
            refresh_global_settings_context()
            try:
                yield
            finally:  # while there is somebody to send to: what waits at the end of the process tries for a minute
                APILogHandler().flush()
        finally:
            del os.environ["PREFECT_API_URL"]
            refresh_global_settings_context()
            server.terminate()
            server.communicate()


def _start(told: IO[bytes]) -> "tuple[subprocess.Popen[bytes], str]":
    """The server's process, which says on `told` what goes wrong, and the address of its API."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        handle = listening.fileno()
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.local_server", str(handle)],
            stdin=subprocess.PIPE,  # its end tells the server that we are gone
            stdout=subprocess.DEVNULL,
            stderr=told,
            pass_fds=[handle],
            start_new_session=True,  # a terminal's Ctrl-C is for us
        )
        return server, f"http://127.0.0.1:{listening.getsockname()[1]}/api"


def _wait_for(url: str, server: "subprocess.Popen[bytes]", told: IO[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > until:
                server.kill()
                server.wait()
                told.seek(0)
                lines = told.read().decode(errors="replace").strip().splitlines()
                last = f": {lines[-1]}" if lines else ""
                raise OutOfReach(
                    f"the local Prefect server did not start{last}; set PREFECT_API_URL to use one of yours."
                ) from error
        time.sleep(0.1)


def serve(handle: int) -> None:
    """The server's process: until it is told to end, or whoever started it is gone."""
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app(ephemeral=True, final=True), fd=handle, log_level="critical")


def _end_with_the_starter() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
