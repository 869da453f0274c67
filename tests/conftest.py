"""One Prefect server and one S3 server for the whole suite, one place for scratch, nothing of the person's settings."""

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import tasks  # noqa: F401 - before torch: it says how torch's threads wait
from tests.suite import HOME, IS_ONE_OF_MANY, REQUIRE_ALL, S3_ROOT, prefect_running, s3_running

SERVERS = ExitStack()


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("dist", "no") != "no":  # the first of several processes: for all of them
        SERVERS.enter_context(prefect_running())
        SERVERS.enter_context(s3_running())


def pytest_unconfigure() -> None:
    gc.unfreeze()  # flows that ran in here have frozen what was there
    SERVERS.close()
    if not IS_ONE_OF_MANY:
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
def prefect_server() -> Iterator[str]:
    """A real Prefect server; flows in this process and in children use it."""
    with ExitStack() as ours:
        if not IS_ONE_OF_MANY:
            ours.enter_context(prefect_running())
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
    with ExitStack() as ours:
        if not IS_ONE_OF_MANY:
            ours.enter_context(s3_running())
        yield S3_ROOT or "s3://gramophone-tests/suite"
