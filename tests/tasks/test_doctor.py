"""What `gramophone doctor` finds, and what it says to do."""

import os
from importlib.metadata import version

import pytest

from tasks import doctor
from tests.tasks.store.support import child


def found(findings):
    return {finding.what: finding for finding in findings}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"click=={version('click')} \\\n    --hash=sha256:0", None),
        ("click==0.1 \\\n    --hash=sha256:0", f"click is {version('click')}, the lock says ==0.1"),
        ("no-such-package==1.0", "no-such-package is missing"),
        ("no-such-package==1.0 ; sys_platform == 'win32'", None),
        ("# a comment ==", None),
    ],
)
def test_what_is_installed_is_compared_with_the_lock(tmp_path, line, says):
    lock = tmp_path / "requirements.lock"
    lock.write_text(line + "\n")
    [finding] = doctor.versions(lock)
    assert finding.verdict == ("failed" if says else "ok")
    assert (says or "as in requirements.lock") in finding.says


def test_the_projects_own_lock_is_kept_here():
    assert [finding.verdict for finding in doctor.versions(doctor.LOCK)] == ["ok"]


def test_an_installed_wheel_has_no_lock_to_compare_with(tmp_path):
    assert [finding.verdict for finding in doctor.versions(tmp_path / "none")] == ["ok"]


def test_every_codec_is_written_and_read():
    assert [finding.verdict for finding in doctor.codecs()] == ["ok"]


def test_a_device_that_is_not_there_is_said(monkeypatch):
    assert found(doctor.devices("cpu"))["device"].verdict == "ok"
    finding = found(doctor.devices("cuda:99"))["device"]
    assert finding.verdict == "failed"
    assert "nvidia-smi" in finding.remedy


def test_a_store_that_is_fit_leaves_nothing_behind(any_root):
    findings = found(doctor.store(any_root))
    assert {f.verdict for f in findings.values()} == {"ok"}
    assert findings.keys() == {"store", "create-only"}


def test_a_root_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "root").write_bytes(b"a file")
    [finding] = doctor.store(f"file://{tmp_path}/root")
    assert finding.verdict == "failed"
    assert "cannot be written" in finding.says


def test_a_bucket_of_a_mistyped_name_is_said_and_not_made(s3_server):
    for _ in range(2):
        [finding] = doctor.store("s3://no-such-bucket-of-ours/root")
        assert finding.verdict == "failed"
        assert "there is no bucket no-such-bucket-of-ours" in finding.says


ASK = """
import sys
from tasks.doctor import store
for finding in store(sys.argv[1]):
    print(finding)
"""


def test_wrong_credentials_are_said_and_not_shown(s3_server):
    done = child(ASK, s3_server, env=os.environ | {"AWS_SECRET_ACCESS_KEY": "wrong-canary-62"})
    assert "verdict='failed'" in done.stdout, done.stderr
    assert "SignatureDoesNotMatch" in done.stdout
    assert "wrong-canary-62" not in done.stdout + done.stderr


def test_a_prefect_api_answers_or_not(prefect_server):
    assert [f.verdict for f in doctor.prefect_api(prefect_server)] == ["ok"]
    assert [f.verdict for f in doctor.prefect_api(None)] == ["ok"]
    [gone] = doctor.prefect_api("http://127.0.0.1:9/api")
    assert (gone.verdict, "prefect server start" in gone.remedy) == ("failed", True)
    [wrong] = doctor.prefect_api(f"{prefect_server}/nothing")
    assert "404" in wrong.says
    assert "ends in /api" in wrong.remedy


def test_a_check_that_breaks_is_a_finding_and_stops_no_other(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "codecs", lambda: 1 / 0)
    findings = found(doctor.examine(f"file://{tmp_path}", "cpu", None))
    assert findings["codecs"].says == "ZeroDivisionError: division by zero"
    assert findings["create-only"].verdict == "ok"
