"""What is served of a root: to whom, which parts of it, and how much at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tasks.gc import removed
from tasks.heard import ANY, Sound
from tasks.layout import Layout
from tasks.records.reasons import PairError, Reason
from tasks.report import write_report
from tasks.report.serve import PIECE_BYTES, Kept, Listening, ranged
from tasks.roots import Roots, local_path
from tasks.store import join, open_store
from tasks.withdraw import bury, find
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


@pytest.mark.parametrize("wanted", ["bytes=7-", f"bytes=7-{3 * PIECE_BYTES}"])
def test_a_long_range_is_answered_with_its_first_piece(wanted):
    data = bytes(2 * PIECE_BYTES)
    answer = ranged(data, wanted, "audio/flac")
    assert (answer.status_code, len(answer.body)) == (206, PIECE_BYTES)
    assert answer.headers["content-range"] == f"bytes 7-{PIECE_BYTES + 6}/{len(data)}"


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


@pytest.mark.parametrize(
    "path", ["/root/audio/a%00b", f"/input/r1/0/{'9' * 5000}", f"/input/r1/{'9' * 30}/0", "/root/audio/"]
)
def test_what_can_be_no_name_and_no_number_is_not_there(served, path):
    client, before = served
    assert client.get(before + path).status_code == 404


def test_below_runs_only_pages_are_served(served):
    client, before = served
    for path in ("run.json", "manifest.parquet", "report/0000.js/../../run.json"):
        assert client.get(f"{before}/root/runs/r1/{path}").status_code == 404


def test_every_answer_lets_a_browser_run_nothing_of_another_host(served):
    client, before = served
    for path in ("/root/runs/r1/report.html", "/input/r1/0/0", "/input/r1/0/1", "/root/results/x.txt", "/nothing"):
        headers = client.get(before + path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize(("name", "kind"), [("x.html", ANY), ("x.svg", ANY), ("x", ANY), ("x.FLAC", "audio/flac")])
def test_an_input_is_a_sound_to_a_browser_or_mere_bytes(store_root, name, kind):
    night = Night(store_root, 1, allowed=(store_root,))
    night.store.create(join(store_root, name), b"<script>alert(1)</script>")
    same = {"etag": None, "sha256": None, "start": None, "seconds": None, "weight": 1.0}
    night.commit([done(0, store_root, inputs=[same | {"role": "content", "uri": join(store_root, name)}])])
    listening = Listening(store_root)
    answer = TestClient(listening.app(), base_url="http://127.0.0.1").get(f"{listening.before}/input/r1/0/0")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


@pytest.fixture
def linked(store_root, tmp_path):
    """A root in whose folders links lead out, and a row whose output is said to lie elsewhere."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    night = Night(store_root, 1)
    night.commit([done(0, store_root, audio_uri=f"file://{secret}")])
    folder = local_path(store_root)
    (folder / "audio").mkdir()
    (folder / "runs/r1/report").mkdir()
    for link in ("audio/link.flac", "runs/r1/report/0000.js", "runs/r1/report.html"):
        (folder / link).symlink_to(secret)
    return Listening(store_root), f"file://{secret}"


def test_nothing_outside_the_root_is_served_as_its_own(linked):
    listening, secret = linked
    client = TestClient(listening.app(), base_url="http://127.0.0.1")
    for path in ("audio/link.flac", "runs/r1/report/0000.js", "runs/r1/report.html"):
        answer = client.get(f"{listening.before}/root/{path}")
        assert (answer.status_code, answer.content == b"secret") == (403, False)
    with pytest.raises(PairError, match="lies outside"):
        listening.output(secret)


def test_an_output_is_found_below_a_root_that_was_moved(store_root, tmp_path):
    night = Night(store_root, 1)
    night.commit([done(0, store_root)])
    uri = join(store_root, "audio/night=2026-01-01/run=r1/p0.flac")
    night.store.create(uri, SOUND)
    moved = f"file://{tmp_path}/moved here"
    local_path(store_root).rename(local_path(moved))
    assert Listening(moved).output(uri) == ("audio/flac", SOUND)
    write_report(open_store(moved), Layout(moved))
    text = open_store(moved).read(join(moved, "runs/r1/report/0000.js")).data.decode()
    assert '"link":"../../audio/night%3D2026-01-01/run%3Dr1/p0.flac"' in text


def test_what_is_withdrawn_while_it_is_listened_to_is_not_heard_again(served, any_root):
    (client, before), root = served, any_root
    assert client.get(f"{before}/input/r1/0/0").status_code == 200
    output = "/root/audio/night=2026-01-01/run=r1/p0.flac"
    assert client.get(before + output).status_code == 200
    store, layout = open_store(root), Layout(root)
    found = find(store, layout, join(root, "inputs/content.wav"))
    bury(store, layout, found)
    assert {refusal for _, refusal in removed(store, found.objects)} == {None}
    answer = client.get(f"{before}/input/r1/0/0")
    assert (answer.status_code, "was withdrawn on" in answer.text) == (403, True)
    assert client.get(before + output).status_code == 404, "nor from memory"


def test_a_page_links_no_input_that_is_withdrawn_and_says_why(store_root):
    night = Night(store_root, 1)
    night.commit([done(0, store_root)])
    uri = write_report(night.store, night.layout)
    assert night.parts()[0]["sounds"]["sounds"]["content"]["link"]
    bury(night.store, night.layout, find(night.store, night.layout, "file:///content.wav"))
    assert write_report(night.store, night.layout) == uri
    sounds = night.parts()[0]["sounds"]["sounds"]
    assert (sounds["content"]["link"], sounds["content"]["input"]) == (None, None)
    assert "content 'file:///content.wav' was withdrawn on" in sounds["content"]["withdrawn"]


class Counted(Sound):
    """Counts its fetches; each goes on when all who ask have begun to, and the first two fail."""

    fetches, all_ask, gone_on = [], threading.Barrier(9), threading.Event()

    def read(self, limit=0):
        self.fetches.append(limit)
        if len(self.fetches) < 3:
            raise PairError(Reason.STORAGE, "not this time")
        self.gone_on.wait(60)
        return b"sound"


def test_one_sound_is_fetched_once_for_all_who_ask_meanwhile_and_again_after_a_fault():
    kept, sound = Kept(), Counted("file:///a.wav", None, Roots(()))
    for _ in range(2):
        with pytest.raises(PairError, match="not this time"):
            kept.read(sound)

    def ask():
        sound.all_ask.wait(60)
        return kept.read(sound)

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        sound.all_ask.wait(60)
        sound.gone_on.set()
        assert [one.result() for one in asked] == [b"sound"] * 8
    assert len(sound.fetches) == 3
