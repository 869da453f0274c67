"""What is out of reach at the start ends a command with 4 and one line that says what to do."""

import os

import pytest

from tests.tasks.store.support import child


@pytest.fixture(scope="module")
def manifest(desk):
    desk.clip("tune")
    return desk.manifest([{"pair_id": "p", "content_uri": "tune.wav", "style_uri": "tune.wav"}], "reach.parquet")


def test_a_root_that_cannot_be_written_is_said_before_anything_is_computed(desk, manifest):
    (desk.folder / "taken").write_text("a file")
    said = desk.type("run", manifest, "--root", "taken")
    assert said.code == 4, said.err
    assert "cannot be written" in said.err
    assert "Traceback" not in said.err


def test_a_bucket_that_is_not_there_is_said(desk, manifest, s3_server):
    for command in (["run", manifest], ["status", "--latest"]):
        said = desk.ask(*command, "--root", "s3://no-such-bucket-of-ours/root")
        assert said.code == 4, said.err
        assert "there is no bucket no-such-bucket-of-ours" in said.err


def test_a_password_in_an_address_is_refused_and_not_repeated(desk, manifest):
    for command in (["run", manifest], ["restyle", "tune.wav", "tune.wav", "-o", "out.flac"]):
        said = desk.ask(*command, GRAMOPHONE_S3_ENDPOINT="https://me:canary-71@s3.example.org")
        assert said.code == 2, said.err
        assert "holds no credentials" in said.err
        assert "canary-71" not in said.out + said.err


def test_a_prefect_api_that_is_not_there_is_said_so(desk, manifest):
    nobody = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    said = desk.type("run", manifest, "--root", "nobody", **nobody, PREFECT_API_AUTH_STRING="me:canary-72")
    assert said.code == 4, said.err
    assert "prefect server start" in said.err
    assert "canary-72" not in said.out + said.err


def test_a_password_in_the_address_of_the_prefect_api_is_refused_and_not_repeated(desk, manifest):
    said = desk.type("run", manifest, "--root", "nobody", PREFECT_API_URL="http://me:canary-73@127.0.0.1:9/api")
    assert said.code == 2, said.err
    assert "PREFECT_API_AUTH_STRING" in said.err
    assert "canary-73" not in said.out + said.err


START = """
import sys
from flows.local_server import prefect_api
from tasks.records.reasons import OutOfReach
sys.executable = sys.argv[1]
try:
    with prefect_api():
        print("there is one")
except OutOfReach as error:
    print(error)
"""


def test_a_local_prefect_server_that_does_not_start_is_told_with_its_last_words(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho begun >&2\necho no room on the disk >&2\nexit 1\n")
    broken.chmod(0o700)
    said = child(START, broken, env=os.environ | {"PREFECT_API_URL": ""})
    assert "did not start: no room on the disk; set PREFECT_API_URL" in said.stdout, said.stderr
