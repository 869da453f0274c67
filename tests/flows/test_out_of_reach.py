"""What is out of reach at the start ends a command with 4 and one line that says what to do."""

import pytest


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
    nobody = {"PREFECT_API_URL": "http://me:canary-72@127.0.0.1:9/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    said = desk.type("run", manifest, "--root", "nobody", **nobody)
    assert said.code == 4, said.err
    assert "prefect server start" in said.err
    assert "canary-72" not in said.out + said.err
