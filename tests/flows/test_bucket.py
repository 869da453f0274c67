"""A night in a bucket: manifest, inputs and results behind S3, as it is typed."""

import io
import os
import secrets
import signal

import pandas as pd
import pytest

from tasks.audio import encode
from tasks.clips import synthesise
from tasks.layout import Layout
from tasks.standing import standing
from tasks.store import join, open_store
from tasks.verify import verify
from tests.browser import NEEDED
from tests.flows.test_page import opened
from tests.suite import S3_IS_OURS, kept_by_prefect


def sound(kind):
    return encode(synthesise(kind, 1.1, 8_000), 8_000, "flac")


@pytest.fixture(scope="module")
def bucket(s3_server):
    """A prefix with two of three tunes, a texture, and a manifest in the folder of its night."""
    uri = join(s3_server, f"night-{secrets.token_hex(4)}")
    store = open_store(uri)
    for name, kind in (("tune-0", "flute"), ("tune-1", "organ"), ("texture", "drums")):
        store.create(join(uri, "clips", f"{name}.flac"), sound(kind))
    rows = [
        {"pair_id": f"p{n}", "content_uri": f"{uri}/clips/tune-{n}.flac", "style_uri": f"{uri}/clips/texture.flac"}
        for n in range(3)
    ]
    store.create(join(uri, "2026-11-24", "manifest.parquet"), pd.DataFrame(rows).to_parquet())
    return uri


@pytest.fixture(scope="module")
def root(bucket):
    return join(bucket, "root")


@pytest.fixture(scope="module")
def night(bucket, root, desk):
    """What each command of the night said, by its name."""
    store, tune = open_store(bucket), join(bucket, "clips", "tune-2.flac")
    manifest = [join(bucket, "{night}", "manifest.parquet"), "--night", "2026-11-24", "--root", root, "--allow", bucket]
    said = {"dry": desk.ask("run", *manifest, "--dry-run", "--json")}
    said["run"] = desk.type("run", *manifest, PREFECT_LOGGING_LEVEL="DEBUG")
    store.create(tune, sound("pluck"))
    said["rerun"] = desk.ask("rerun", "--latest", "--root", root)
    store.replace(tune, sound("marimba"))
    said["replaced"] = desk.ask("run", *manifest, "--json")
    return said


def test_a_dry_run_looks_into_the_bucket(night):
    assert night["dry"].code == 1
    assert [pair["reason"] for pair in night["dry"].json["fail"]] == ["input_missing"]


def test_a_missing_input_fails_alone_and_a_rerun_finds_it_once_it_is_there(night):
    assert night["run"].code == 1, night["run"].err
    assert "2 of 3 pairs done; 1 failed: 1 input_missing" in night["run"].out
    assert "3 pairs in 1 shard, 0 skipped" in night["run"].err
    assert night["rerun"].code == 0, night["rerun"].err


def test_what_is_done_is_skipped_and_a_replaced_input_is_computed(night):
    assert night["replaced"].json["counts"] == {"pairs": 3, "ok": 3, "failed": 0, "open": 0, "skipped": 2}


def test_every_row_names_the_version_of_its_inputs_and_its_audio_is_whole(night, root):
    store, layout = open_store(root), Layout(root)
    assert list(verify(store, layout)) == []
    pairs = standing(root)
    assert (pairs.status == "ok").all()
    for row in pairs.itertuples():
        assert all(len(given["etag"]) >= 32 for given in row.inputs)
        assert row.audio_uri.startswith(f"{root}/audio/night=2026-11-24/")


PLAYED = "(source) => gramophone.player.audios[source].played.length > 0"
"""A sound of a second is over, and at its beginning again, before a page that was held up looks: what is kept tells."""


@NEEDED
def test_the_page_of_a_bucket_plays_its_three_sounds_on_this_machine(night, root, desk, chromium):
    """The bucket is private: what the browser hears has come through `gramophone listen`."""
    assert night["rerun"].code == 0
    server = desk.start("listen", "--latest", "--root", root, "--no-open")
    tab = chromium.new_page()
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    try:
        address = server.stdout.readline().strip()
        tab.goto(address)
        assert tab.locator(".verdict").inner_text() == "3 of 3 pairs done, 2 of them before"
        for name in ("p0", "p2"):
            opened(tab, name)
            for key, source in (("1", "content"), ("2", "style"), ("3", "result")):
                tab.keyboard.press(key)
                tab.evaluate("gramophone.player.seek(0), gramophone.player.start()")
                tab.wait_for_function(PLAYED, arg=source)
    finally:
        tab.close()
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=60)
    assert (server.returncode, err) == (0, "Ctrl-C ends it\n"), out
    host = address.split("/")[2]
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {host}


def test_pandas_reads_the_results_with_nothing_of_ours(night, root):
    options = {"endpoint_url": os.environ.get("GRAMOPHONE_S3_ENDPOINT")}
    frame = pd.read_parquet(f"{root}/results", storage_options=options)
    assert set(frame.night.astype(str)) == {"2026-11-24"}
    assert frame.status.value_counts().to_dict() == {"ok": 4, "failed": 1}


def test_no_credential_is_in_anything_that_was_written_said_or_sent_to_prefect(night, bucket):
    if not S3_IS_OURS:
        pytest.skip("a canary is planted on the suite's own server only")
    secret, key = os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ACCESS_KEY_ID"]
    store = open_store(bucket)
    for uri, _ in store.list(bucket):
        data = store.read(uri).data
        told = (
            data if not uri.endswith(".parquet") else str(pd.read_parquet(io.BytesIO(data)).to_dict("records")).encode()
        )
        assert secret.encode() not in told, uri
    for said in night.values():
        assert secret not in said.out + said.err
        assert key not in said.out + said.err
    kept = kept_by_prefect()
    assert b"input_missing" in kept, "what Prefect keeps is looked into as well"
    assert secret.encode() not in kept
