"""A manifest cannot make a worker open a file or an address of its own."""

import os
import socket
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.records.reasons import PairError, Reason
from tasks.roots import Roots, bare, canonical_uri, local_path, shown
from tasks.store import open_store
from tests.fuzz import uris

LOCAL = "file:///music/night"
BUCKET = "s3://music/night"

READ = [  # text, base, the one spelling
    ("a.wav", LOCAL, "file:///music/night/a.wav"),
    ("clips/a.wav", LOCAL + "/", "file:///music/night/clips/a.wav"),
    ("./a.wav", LOCAL, "file:///music/night/a.wav"),
    ("../day/a.wav", LOCAL, "file:///music/day/a.wav"),  # resolves; whether it may be read the roots decide
    ("../../../../etc/passwd", LOCAL, "file:///etc/passwd"),
    ("clips//a.wav", LOCAL, "file:///music/night/clips/a.wav"),
    ("/abs/a.wav", LOCAL, "file:///abs/a.wav"),
    ("//abs/a.wav", LOCAL, "file:///abs/a.wav"),
    ("file:///abs/a.wav", LOCAL, "file:///abs/a.wav"),
    ("file:///abs/", LOCAL, "file:///abs"),
    ("Kick #3 [dry] 100%.wav", LOCAL, "file:///music/night/Kick #3 [dry] 100%.wav"),
    ("take 1: loud?*.wav", LOCAL, "file:///music/night/take 1: loud?*.wav"),
    ("a%2Fb%20c.wav", LOCAL, "file:///music/night/a%2Fb%20c.wav"),
    ("./data:x.wav", LOCAL, "file:///music/night/data:x.wav"),
    ("~/a.wav", LOCAL, "file:///music/night/~/a.wav"),
    ("$HOME/a.wav", LOCAL, "file:///music/night/$HOME/a.wav"),
    ("Stück – 夜\u3000曲.wav", LOCAL, "file:///music/night/Stück – 夜\u3000曲.wav"),
    (" a.wav ", LOCAL, "file:///music/night/ a.wav "),
    ("s3://music/a b.wav", LOCAL, "s3://music/a b.wav"),
    ("s3://music/clips/", LOCAL, "s3://music/clips"),
    ("s3://music", LOCAL, "s3://music"),
    ("clips/a.wav", BUCKET, "s3://music/night/clips/a.wav"),
    ("s3://other/a.wav", BUCKET, "s3://other/a.wav"),
]

REFUSED = [  # text, base, a word of the message
    ("", LOCAL, "empty"),
    ("   ", LOCAL, "empty"),
    ("http://CANARY/a.wav", LOCAL, "http:"),
    ("https://CANARY/a.wav", LOCAL, "https:"),
    ("http://169.254.169.254/latest/meta-data", LOCAL, "http:"),
    ("ftp://CANARY/a.wav", LOCAL, "ftp:"),
    ("gs://music/a.wav", LOCAL, "gs:"),
    ("data:audio/wav;base64,UklGRg==", LOCAL, "./data:"),
    ("memory://a.wav", LOCAL, "memory:"),
    ("github://a:b@c/d.wav", LOCAL, "github:"),
    ("reference://x", LOCAL, "reference:"),
    ("zip://a.wav::http://CANARY/x.zip", LOCAL, "::"),
    ("simplecache::http://CANARY/a.wav", LOCAL, "::"),
    ("filecache::file:///etc/passwd", LOCAL, "::"),
    ("s3://music/a.wav::x", LOCAL, "::"),
    ("file:/etc/passwd", LOCAL, "file:///absolute/path"),
    ("FILE:///etc/passwd", LOCAL, "file:///absolute/path"),
    ("local:///etc/passwd", LOCAL, "file:///absolute/path"),
    ("file://CANARY/a.wav", LOCAL, "names a host"),
    ("file://localhost/etc/passwd", LOCAL, "names a host"),
    ("file:///music/../etc/passwd", LOCAL, "'..'"),
    ("file:////etc/passwd", LOCAL, "'//'"),
    ("file:///music/./a.wav", LOCAL, "'/./'"),
    ("S3://music/a.wav", LOCAL, "s3://bucket/key"),
    ("s3a://music/a.wav", LOCAL, "s3://bucket/key"),
    ("s3n://music/a.wav", LOCAL, "s3://bucket/key"),
    ("s3:/music/a.wav", LOCAL, "s3://bucket/key"),
    ("s3://Music/a.wav", LOCAL, "names no bucket"),
    ("s3:///a.wav", LOCAL, "names no bucket"),
    ("s3://music/../other/a.wav", LOCAL, "'..'"),
    ("s3://music//a.wav", LOCAL, "'//'"),
    ("s3://music/a//", LOCAL, "'//'"),
    ("s3://music/./a.wav", LOCAL, "'/./'"),
    ("s3://music/a.wav?versionId=3", LOCAL, "'?'"),
    ("s3://music/a.wav#x", LOCAL, "'#'"),
    ("s3://music/%2e%2e/a.wav", LOCAL, "'%2e'"),
    ("s3://music/*.wav", LOCAL, "'*'"),
    ("s3://user:secret@music/a.wav", LOCAL, "credentials come from the environment"),
    ("s3://user:se/cret@music/a.wav", LOCAL, "credentials come from the environment"),
    ("s3://music:9000/a.wav", LOCAL, "port"),
    ("user:secret@CANARY:/a.wav", LOCAL, "which is not read"),
    ("a\0.wav", LOCAL, r"a\x00.wav"),
    ("a\nb.wav", LOCAL, r"a\nb.wav"),
    ("a\x1b[31m.wav", LOCAL, r"\x1b"),
    ("\u202evaw.exe", LOCAL, r"\u202e"),
    ("a\u200b.wav", LOCAL, r"\u200b"),
    ("/etc/passwd", BUCKET, "not local"),
    ("file:///etc/passwd", BUCKET, "not local"),
    ("../day/a.wav", BUCKET, "'..'"),
    ("clips//a.wav", BUCKET, "'//'"),
    ("a" * 5000, LOCAL, "longer than 4,096"),
    ("C:\\clips\\a.wav", LOCAL, "C:"),
    ("a/" * 2_040 + "a.wav", LOCAL, "with the folder that it lies in"),
    ("1:***@a.wav", LOCAL, "in place of a password"),
]


@pytest.mark.parametrize(("text", "base", "uri"), READ)
def test_a_path_or_an_object_has_one_spelling(text, base, uri):
    assert canonical_uri(text, base) == uri
    assert canonical_uri(uri, LOCAL) == uri


@pytest.mark.parametrize(("text", "base", "word"), REFUSED)
def test_everything_else_is_refused_and_says_why(text, base, word):
    with pytest.raises(PairError) as caught:
        canonical_uri(text, base)
    assert caught.value.reason is Reason.INPUT_FORBIDDEN
    assert word in caught.value.message
    assert "secret" not in caught.value.message
    assert "cret" not in caught.value.message.replace("credentials", "")
    assert caught.value.message.isprintable()


def test_no_address_in_a_manifest_is_ever_called(tmp_path):
    with canary() as (address, calls):
        store, roots = open_store("file:///"), Roots.resolve([f"file://{tmp_path}"])
        for text, base, _ in REFUSED:
            with pytest.raises(PairError):
                store.read(canonical_uri(text.replace("CANARY", address), base), allowed=roots)
    assert calls == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s3://key:pass@b/k", "'s3://***@b/k'"),
        ("https://b.example/k?X-Amz-Signature=abc", "'https://b.example/k?***'"),
        ("file:///music/a@b:c?.wav", "'file:///music/a@b:c?.wav'"),
        ("x" * 90, "'" + "x" * 26 + "..." + "x" * 51 + "'"),
        ("\n" * 60, "'" + r"\n" * 13 + "...n" + r"\n" * 25 + "'"),
        ("file:///" + "deep/" * 40 + "take 1.wav", "take 1.wav'"),
        ("s3://u:" + "p" * 9000 + "@b/k", "'s3://***@b/k'"),
    ],
)
def test_a_message_shows_a_uri_without_what_is_secret_or_odd(text, says):
    assert shown(text).endswith(says)
    assert len(shown(text)) <= 82


@pytest.mark.parametrize(
    "text", ["1:\u200bsecret@a.wav", "%://\u200bsecret@a.wav", "%://a?\u200bsecret", "1:" + "secret" * 999 + "@a.wav"]
)
def test_what_is_refused_for_the_password_that_it_holds_is_refused_without_it(text):
    for spelling in (text, bare(text)):
        with pytest.raises(PairError, match=r"cannot be seen|in place of a password|longer than"):
            canonical_uri(spelling, LOCAL)
    assert "secret" not in bare(text)


PARTS = st.sampled_from([*uris.DICTIONARY, *(text for text, *_ in READ + REFUSED)]) | st.text(max_size=9)


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=5).map("".join))
def test_whatever_a_text_is_it_has_one_spelling_within_its_roots_or_is_refused(text):
    uris.check_text(text)


def test_only_a_file_uri_has_a_local_path():
    assert str(local_path("file:///a b/c")) == "/a b/c"
    assert local_path("s3://a/b") is None


# --- the places -----------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    for name in ("music/night", "music-private", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("music/night/a.wav", "music-private/b.wav", "elsewhere/c.wav"):
        (tmp_path / name).write_bytes(b"sound")
    return tmp_path


def allows(roots, uri):
    try:
        roots.check(uri)
    except PairError as error:
        return error.reason is not Reason.INPUT_FORBIDDEN
    return True


def test_what_lies_in_a_place_is_allowed_and_its_neighbours_are_not(disk):
    roots = Roots.resolve([f"file://{disk}/music"])
    assert allows(roots, f"file://{disk}/music/night/a.wav")
    assert allows(roots, f"file://{disk}/music/night/is/not/there.wav")
    assert allows(roots, f"file://{disk}/music")
    assert not allows(roots, f"file://{disk}/music-private/b.wav")
    assert not allows(roots, f"file://{disk}/music/../elsewhere/c.wav")
    assert not allows(roots, f"file://{disk}")
    assert not allows(roots, "s3://music/night/a.wav")


def test_buckets_are_compared_by_bucket_and_prefix():
    roots = Roots.resolve(["s3://music/night/", "s3://styles"])
    assert allows(roots, "s3://music/night/a.wav")
    assert allows(roots, "s3://styles/a.wav")
    assert not allows(roots, "s3://music/nightly/a.wav")
    assert not allows(roots, "s3://music/day/a.wav")
    assert not allows(roots, "s3://styles2/a.wav")
    assert not allows(roots, "file:///styles/a.wav")


def test_no_place_allows_nothing(disk):
    assert not allows(Roots(()), f"file://{disk}/music/night/a.wav")


def test_the_root_of_the_disk_allows_every_file():
    assert allows(Roots.resolve(["file:///"]), "file:///etc/passwd")


def test_a_link_out_of_a_place_is_refused_and_the_message_says_where_it_leads(disk):
    (disk / "music/link.wav").symlink_to(disk / "elsewhere/c.wav")
    roots = Roots.resolve([f"file://{disk}/music"])
    with pytest.raises(PairError, match=r"link\.wav' \(a link to .*elsewhere/c\.wav'\)") as caught:
        roots.check(f"file://{disk}/music/link.wav")
    assert "--allow" in caught.value.message
    assert f"{disk}/music" in caught.value.message


def test_a_link_within_a_place_and_a_place_that_is_a_link_are_allowed(disk):
    (disk / "music/link.wav").symlink_to(disk / "music/night/a.wav")
    (disk / "current").symlink_to(disk / "music")
    roots = Roots.resolve([f"file://{disk}/current"])
    assert allows(roots, f"file://{disk}/music/link.wav")
    assert allows(roots, f"file://{disk}/current/night/a.wav")


def test_places_keep_what_they_meant_when_they_were_resolved(disk):
    (disk / "current").symlink_to(disk / "music")
    roots = Roots.resolve([f"file://{disk}/current"])
    (disk / "current").unlink()
    (disk / "current").symlink_to(disk / "elsewhere")
    assert not allows(roots, f"file://{disk}/current/c.wav")


@contextmanager
def canary():
    """An address on loopback that remembers who called."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection, peer = server.accept()
                except OSError:
                    return
                calls.append(peer)
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", calls
        # Were there a call, it would lie in the queue before ours.
        with socket.create_connection(server.getsockname()) as own:
            name = own.getsockname()
            while name not in calls:
                os.sched_yield()
        calls.remove(name)
