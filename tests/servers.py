"""Real servers for tests, on loopback, stopped by their process."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def prefect_server_at(port: int, log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A Prefect server on `port` that answers; stopped at the end."""
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"],
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | environment,
        )
    try:
        until = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}/api/health"):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, "the Prefect server did not come up in 120 s"
            time.sleep(0.2)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
