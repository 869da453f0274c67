"""What the processes of the suite share (`pytest -n`): its environment, its scratch folder, its servers.

Imported before prefect is anywhere: its settings are read then, and children inherit them. The S3 tests run against a
server of their own, or against a real one: set GRAMOPHONE_TEST_S3_ROOT=s3://bucket/prefix, with GRAMOPHONE_S3_ENDPOINT
where it is not AWS, and credentials as for any AWS client. With GRAMOPHONE_REQUIRE_ALL a skip is a failure.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, free_s3_ports, make_bucket, postgres_folder, prefect_at, s3_server_at

IS_ONE_OF_MANY = "PYTEST_XDIST_WORKER" in os.environ
"""The first process has prepared the environment, and has started the servers."""
S3_PORTS: list[int] = []


def _prepare() -> None:
    s3_root = os.environ.get("GRAMOPHONE_TEST_S3_ROOT", "")
    os.environ |= {"SUITE_S3_ROOT": s3_root, "SUITE_REQUIRE_ALL": os.environ.get("GRAMOPHONE_REQUIRE_ALL", "")}
    kept = {"GRAMOPHONE_S3_ENDPOINT", "GRAMOPHONE_S3_REGION"} if s3_root else set()
    for name in [n for n in os.environ if n.startswith(("GRAMOPHONE_", "PREFECT_"))]:
        if name not in kept:
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="gramophone-tests-"))
    # Packages are compiled once and not by each of a few hundred processes, which then start in half the time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ |= {
        "SUITE_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    if s3_root:
        return
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        del os.environ[name]
    S3_PORTS.extend(free_s3_ports())
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "key-of-the-tests",
        "AWS_SECRET_ACCESS_KEY": "canary-9d1f0c7e",
        "GRAMOPHONE_S3_ENDPOINT": f"http://127.0.0.1:{S3_PORTS[3]}",
        "GRAMOPHONE_S3_REGION": "us-east-1",
    }


def _on_a_machine_of_its_own() -> None:
    """Runs of two processes do not wait for each other's device: its lock lies in the folder of what is temporary."""
    os.environ["TMPDIR"] = str(HOME / os.environ["PYTEST_XDIST_WORKER"])
    Path(os.environ["TMPDIR"]).mkdir()
    tempfile.tempdir = None


sys.dont_write_bytecode = False
if not IS_ONE_OF_MANY:
    _prepare()
HOME = Path(os.environ["SUITE_HOME"])
if IS_ONE_OF_MANY:
    _on_a_machine_of_its_own()
S3_ROOT = os.environ["SUITE_S3_ROOT"]
S3_IS_OURS = not S3_ROOT
REQUIRE_ALL = bool(os.environ["SUITE_REQUIRE_ALL"])


@contextmanager
def prefect_running() -> Iterator[None]:
    """A real Prefect server on loopback, on PostgreSQL where this machine has it."""
    assert postgres_folder() or not REQUIRE_ALL, "PostgreSQL is missing, and nothing may be skipped here"
    port = int(os.environ["PREFECT_API_URL"].split(":")[2].split("/")[0])
    with prefect_at(port, HOME, {}) as database:
        if database:
            os.environ["SUITE_DATABASE"] = database.replace("+asyncpg", "")
        yield


def kept_by_prefect() -> bytes:
    """All that lies in the Prefect server's database."""
    if database := os.environ.get("SUITE_DATABASE"):
        programs = postgres_folder()
        assert programs
        return subprocess.run([programs / "pg_dump", database], check=True, capture_output=True).stdout
    # With what is still in the log beside it.
    return b"".join(path.read_bytes() for path in sorted((HOME / "prefect").glob("prefect.db*")))


@contextmanager
def s3_running() -> Iterator[None]:
    """A real S3 server on loopback with a bucket, unless there is one elsewhere."""
    if not S3_IS_OURS:
        yield
        return
    with s3_server_at(S3_PORTS, HOME / "s3", os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]):
        make_bucket("gramophone-tests")
        yield
