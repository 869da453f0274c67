"""What is served of a root: to whom, which parts of it, and how much at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tasks.report import write_report
from tasks.report.serve import Listening, ranged
from tasks.store import join, open_store
from tests.tasks.report.test_write import Night, done

SOUND = bytes(range(256)) * 8


@pytest.fixture
def served(any_root):
    """A root with a page, an output, and inputs of which one lies outside what its run was allowed."""
    night = Night(any_root, 2, allowed=(join(any_root, "inputs"),))
    store = open_store(any_root)
    for name in ("inputs/content.wav", "secret.wav", "audio/night=2026-01-01/run=r1/p0.flac", "results/x.txt"):
        store.create(join(any_root, name), SOUND)
    etag = store.stat(join(any_root, "inputs/content.wav")).etag
    same = {"role": "content", "sha256": None, "start": None, "seconds": None, "weight": 1.0}
    read = (("inputs/content.wav", etag), ("inputs/content.wav", "another"), ("secret.wav", None))
    inputs = [same | {"uri": join(any_root, name), "etag": version} for name, version in read]
    night.commit([done(0, any_root, inputs=inputs)])
    write_report(night.store, night.layout)
    listening = Listening(any_root)
    return TestClient(listening.app(), base_url="http://127.0.0.1"), f"/listen/{listening.secret}"


def test_pages_outputs_and_inputs_are_served(served):
    client, before = served
    page = client.get(f"{before}/root/runs/r1/report.html")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    part = client.get(f"{before}/root/runs/r1/report/0000.js")
    assert part.headers["content-type"].startswith("text/javascript")
    sound = client.get(f"{before}/root/audio/night=2026-01-01/run=r1/p0.flac")
    assert (sound.content, sound.headers["content-type"]) == (SOUND, "audio/flac")
    assert client.get(f"{before}/input/r1/0/0").content == SOUND


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/root/results/x.txt", 404), ("/root/secret.wav", 404), ("/root/runs/%2e%2e/secret.wav", 404),
        ("/root/audio/..%2fsecret.wav", 404), ("/input/r1/0/1", 410), ("/input/r1/0/2", 403), ("/input/r1/0/3", 404),
        ("/input/r1/1/0", 404), ("/input/r7/0/0", 404), ("/root/audio/none.flac", 404),
    ],
)  # fmt: skip
def test_nothing_else_is(served, path, status):
    client, before = served
    assert client.get(before + path).status_code == status


def test_who_does_not_know_the_secret_or_comes_under_another_name_gets_nothing(served):
    client, before = served
    assert client.get("/listen/guessed/root/runs/r1/report.html").status_code == 404
    other = client.get(f"{before}/root/runs/r1/report.html", headers={"host": "evil.example"})
    assert other.status_code == 400


def test_a_browser_gets_the_range_that_it_asks_for(served):
    client, before = served
    part = client.get(f"{before}/input/r1/0/0", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, SOUND[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(SOUND)}"


@given(st.binary(max_size=50), st.integers(0, 60), st.integers(0, 60) | st.none())
def test_any_range_is_that_slice_or_refused(data, first, last):
    answer = ranged(data, f"bytes={first}-{'' if last is None else last}", "audio/flac")
    wanted = data[first : None if last is None else last + 1]
    if wanted:
        assert (answer.status_code, answer.body) == (206, wanted)
    else:
        assert (answer.status_code, answer.body) == (416, b"")


@given(st.binary(min_size=1, max_size=50), st.integers(1, 60))
def test_the_last_bytes_may_be_asked_for(data, count):
    assert ranged(data, f"bytes=-{count}", "x/y").body == data[-count:]


@given(st.text(max_size=20))
def test_what_is_no_range_gets_the_whole_or_a_refusal(text):
    assert ranged(b"sound", text, "x/y").status_code in (200, 206, 416)
