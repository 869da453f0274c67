"""One Prefect server for the whole suite, one place for scratch, and nothing of the person's own settings."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# Before prefect is imported anywhere: its settings are read then, and children inherit them.
PORT = _free_port()
HOME = Path(tempfile.mkdtemp(prefix="gramophone-tests-"))
for name in [n for n in os.environ if n.startswith(("GRAMOPHONE_", "PREFECT_"))]:
    if name != "GRAMOPHONE_REQUIRE_ALL":
        del os.environ[name]
os.environ |= {
    "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
    "PREFECT_HOME": str(HOME / "prefect"),
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A real Prefect server on loopback; flows in this process and in children use it."""
    log = (HOME / "prefect-server.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(PORT), "--no-ui"],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{PORT}/api/health"):
            assert server.poll() is None, (HOME / "prefect-server.log").read_text()
            assert time.monotonic() < until, "the Prefect server did not come up in 120 s"
            time.sleep(0.2)
        yield os.environ["PREFECT_API_URL"]
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
