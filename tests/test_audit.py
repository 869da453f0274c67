"""`make audit` asks about every package of the lock, and passes only where each was answered and none is vulnerable."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.advisories import advisories
from tests.servers import free_port

REPOSITORY = Path(__file__).parent.parent
ADVISORY = {
    "id": "TEST-2026-1",
    "aliases": [],
    "fixed_in": ["99.0"],
    "summary": "Runs whatever it reads.",
    "details": "",
}


@pytest.fixture
def audit(tmp_path):
    """`make audit` as it is typed, except that it sets nothing up and asks whom `environment` says."""

    def run(environment):
        given = [f"VENV={tmp_path}", f"BIN={Path(sys.executable).parent}"]
        command = ["make", "--no-print-directory", "-o", "setup", "audit", *given]
        environment = {name: text for name, text in os.environ.items() if name.lower() != "no_proxy"} | environment
        done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def locked():
    """What this machine installs, by name and version."""
    for file in ("requirements.lock", ".ci/uv.txt"):
        for line in re.findall(r"^[a-z0-9].*==[^\\]*", (REPOSITORY / file).read_text(), re.MULTILINE):
            found = Requirement(line.strip())
            if found.marker is None or found.marker.evaluate():
                yield found.name, str(found.specifier).removeprefix("==")


def test_a_lock_without_advisories_passes_and_every_package_was_asked_for(audit, tmp_path):
    with advisories(tmp_path, lambda name, version: []) as service:
        code, said = audit(service.environment)
    assert code == 0, said
    assert service.asked == set(locked())
    assert {"prefect", "torch", "uv", "pip-audit"} <= {name for name, _ in service.asked}


def test_a_vulnerable_package_fails_and_is_named(audit, tmp_path):
    with advisories(tmp_path, lambda name, version: [ADVISORY] if name == "s3fs" else []) as service:
        code, said = audit(service.environment)
    assert code != 0
    assert re.search(r"s3fs .*TEST-2026-1 .*99\.0", said), said


def test_a_package_that_the_service_does_not_know_fails_and_is_named(audit, tmp_path):
    with advisories(tmp_path, lambda name, version: 404 if name == "s3fs" else []) as service:
        code, said = audit(service.environment)
    assert code != 0
    assert "s3fs" in said


def test_a_service_that_is_broken_or_not_there_fails(audit, tmp_path):
    with advisories(tmp_path, lambda name, version: 500) as service:
        assert audit(service.environment)[0] != 0
        assert service.asked
        nobody = f"http://127.0.0.1:{free_port()}"
        assert audit(service.environment | {"HTTPS_PROXY": nobody, "https_proxy": nobody})[0] != 0
