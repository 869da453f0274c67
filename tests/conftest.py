"""One Prefect server for the whole suite, one place for scratch, and nothing of the person's own settings."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks  # noqa: F401 - before torch: it says how torch's threads wait
from tests.servers import free_port, prefect_server_at

# Before prefect is imported anywhere: its settings are read then, and children inherit them.
PORT = free_port()
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
    with prefect_server_at(PORT, HOME / "prefect-server.log", {}):
        yield os.environ["PREFECT_API_URL"]
