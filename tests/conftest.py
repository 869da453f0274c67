"""One Prefect server and one S3 server for the whole suite, one place for scratch, nothing of the person's settings.

The S3 tests run against a server of their own, or against a real one: set GRAMOPHONE_TEST_S3_ROOT=s3://bucket/prefix,
with GRAMOPHONE_S3_ENDPOINT where it is not AWS, and credentials as for any AWS client.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import tasks  # noqa: F401 - before torch: it says how torch's threads wait
from tests.servers import (
    free_port,
    free_s3_ports,
    make_bucket,
    postgres_at,
    postgres_folder,
    prefect_server_at,
    s3_server_at,
)

# Packages are compiled once and not by each of a few hundred processes, which then start in half the time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Before prefect is imported anywhere: its settings are read then, and children inherit them.
PORT = free_port()
HOME = Path(tempfile.mkdtemp(prefix="gramophone-tests-"))
S3_ROOT = os.environ.get("GRAMOPHONE_TEST_S3_ROOT", "")
S3_IS_OURS = not S3_ROOT
REQUIRE_ALL = bool(os.environ.get("GRAMOPHONE_REQUIRE_ALL"))
KEPT = {"GRAMOPHONE_S3_ENDPOINT", "GRAMOPHONE_S3_REGION"} if S3_ROOT else set()
for name in [n for n in os.environ if n.startswith(("GRAMOPHONE_", "PREFECT_"))]:
    if name not in KEPT:
        del os.environ[name]
os.environ |= {
    "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
    "PREFECT_HOME": str(HOME / "prefect"),
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}
S3_PORTS = free_s3_ports()
if not S3_ROOT:
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "key-of-the-tests",
        "AWS_SECRET_ACCESS_KEY": "canary-9d1f0c7e",
        "GRAMOPHONE_S3_ENDPOINT": f"http://127.0.0.1:{S3_PORTS[3]}",
        "GRAMOPHONE_S3_REGION": "us-east-1",
    }


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where everything must be there (GRAMOPHONE_REQUIRE_ALL, set by .ci/run), a skip is a failure."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be skipped here: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def prefect_database() -> Iterator[tuple[dict[str, str], Callable[[], bytes]]]:
    """What a Prefect server is told of its database, and all that lies in it: PostgreSQL where this machine has it."""
    programs = postgres_folder()
    assert programs or not REQUIRE_ALL, "PostgreSQL is missing, and nothing may be skipped here"
    if programs is None:
        # With what is still in the log beside it.
        yield {}, lambda: b"".join(path.read_bytes() for path in sorted((HOME / "prefect").glob("prefect.db*")))
        return
    with postgres_at(free_port(), HOME / "postgres.log", programs) as url:
        server = url.replace("+asyncpg", "")
        dump = partial(subprocess.run, [programs / "pg_dump", server], check=True, capture_output=True)
        yield {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}, lambda: dump().stdout


@pytest.fixture(scope="session")
def prefect_server(prefect_database: tuple[dict[str, str], Callable[[], bytes]]) -> Iterator[str]:
    """A real Prefect server on loopback; flows in this process and in children use it."""
    with prefect_server_at(PORT, HOME / "prefect-server.log", prefect_database[0]):
        yield os.environ["PREFECT_API_URL"]


@pytest.fixture(scope="session")
def s3_address() -> str:
    """The address of the S3 server, for those who stand between."""
    address = os.environ.get("GRAMOPHONE_S3_ENDPOINT", "")
    if not address.startswith("http://"):
        pytest.skip("the proxy of the tests speaks plain HTTP only")
    return address


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3 server; the root under which tests may write: s3://bucket/prefix."""
    if S3_ROOT:
        yield S3_ROOT
        return
    with s3_server_at(S3_PORTS, HOME / "s3", os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]):
        make_bucket("gramophone-tests")
        yield "s3://gramophone-tests/suite"
