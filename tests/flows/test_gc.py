"""`gramophone gc` as it is typed: what a killed run has left is listed, and deleted once that is confirmed."""

import os
import secrets
import signal

import pandas as pd
import pytest

from tasks.audio import encode
from tasks.clips import synthesise
from tasks.store import join, open_store
from tests.proxy import Fault, proxy_to
from tests.tasks.test_verify import Results


@pytest.fixture
def folder(desk, request):
    """A root in a folder with one object that nothing names, of long ago."""
    root = desk.folder / request.node.name
    path = root / "audio/night=2026-01-01/run=killed/p0.0123456789ab.flac"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"sound")
    os.utime(path, (1e9, 1e9))
    return root, path


def test_a_dry_run_lists_and_deletes_nothing(desk, folder):
    root, path = folder
    said = desk.ask("gc", "--root", root, "--dry-run")
    assert said.code == 0
    assert "run=killed/p0.0123456789ab.flac" in said.out
    assert "1 object, 0.0 MB; nothing was deleted" in said.out
    assert path.exists()


def test_nothing_is_deleted_where_nobody_confirms(desk, folder):
    root, path = folder
    for arguments in (["gc"], ["gc", "--json"]):
        said = desk.ask(*arguments, "--root", root)
        assert (said.code, said.out) == (2, "")
        assert "--yes to delete" in said.err
    assert path.exists()


@pytest.mark.parametrize("text", ["", "soon", "7"])
def test_an_age_that_is_none_is_refused(desk, folder, text):
    said = desk.ask("gc", "--root", folder[0], "--older-than", text, "--yes")
    assert said.code == 2
    assert "12h or 7d" in said.err
    assert folder[1].exists()


def test_what_is_younger_than_a_week_is_kept_and_the_week_can_be_another(desk, folder):
    root, path = folder
    os.utime(path)
    assert "nothing to delete" in desk.ask("gc", "--root", root, "--yes").out
    assert path.exists()
    said = desk.ask("gc", "--root", root, "--yes", "--older-than", "0s")
    assert "1 object, 0.0 MB deleted" in said.out
    assert not path.exists()


@pytest.fixture
def bucket(s3_server):
    """A manifest of two pairs and their clips."""
    uri = join(s3_server, f"gc-{secrets.token_hex(4)}")
    store = open_store(uri)
    for name, kind in (("tune", "marimba"), ("texture", "bells")):
        store.create(join(uri, f"{name}.flac"), encode(synthesise(kind, 1.1, 8_000), 8_000, "flac"))
    rows = [{"pair_id": f"p{n}", "content_uri": "tune.flac", "style_uri": "texture.flac", "seed": n} for n in range(2)]
    store.create(join(uri, "manifest.parquet"), pd.DataFrame(rows).to_parquet())
    return uri


@pytest.mark.slow
def test_what_a_killed_run_has_left_is_deleted_and_nothing_else(desk, bucket, s3_address):
    store, root = open_store(bucket), join(bucket, "root")
    commits = []
    with proxy_to(s3_address) as proxy:
        run = ["run", join(bucket, "manifest.parquet"), "--root", root, "--shard-pairs", "1"]
        flow = desk.start(*run, GRAMOPHONE_S3_ENDPOINT=proxy.url)

        def kill_before_the_second_commit(method, path, number):
            if method == "PUT" and "/results/" in path:
                commits.append(path)
            if len(commits) < 2:
                return None
            os.kill(flow.pid, signal.SIGKILL)
            return Fault.RESET

        proxy.script = kill_before_the_second_commit
        out, err = flow.communicate(timeout=600)
    assert flow.returncode == -signal.SIGKILL, out + err
    before = {uri for uri, _ in store.list(root)}
    young = desk.ask("gc", "--root", root, "--dry-run", "--json")
    assert (young.code, young.json["orphans"]) == (0, [])
    done = desk.ask("gc", "--root", root, "--older-than", "0s", "--yes", "--json")
    assert (done.code, done.json["deleted"], done.json["not_deleted"]) == (0, 2, [])
    gone = {orphan["uri"] for orphan in done.json["orphans"]}
    assert sorted(uri.removeprefix(root + "/").split("/")[0] for uri in gone) == ["audio", "curves"]
    assert {uri for uri, _ in store.list(root)} == before - gone
    assert desk.ask("verify", "--root", root).code == 0
    assert desk.ask("gc", "--root", root, "--older-than", "0s", "--dry-run", "--json").json["orphans"] == []


def test_what_may_not_be_deleted_ends_with_4_and_is_said(desk, s3_server, s3_address):
    root = join(s3_server, f"gc-{secrets.token_hex(4)}")
    open_store(root).create(join(root, "probe/1"), b"1")
    with proxy_to(s3_address) as proxy:
        proxy.script = lambda method, path, number: Fault.DENIED_403 if method == "DELETE" else None
        said = desk.type(
            "gc", "--root", root, "--older-than", "0s", "--yes", GRAMOPHONE_S3_ENDPOINT=proxy.url
        )  # a process of its own: the store of this one is connected already
    assert said.code == 4
    assert "probe/1" in said.err
    assert "AccessDenied" in said.err
    assert "1 of 1 objects could not be deleted" in said.err


def test_old_nights_are_forgotten_once_that_is_asked_for_and_said(desk, request):
    root = desk.folder / request.node.name
    held = Results(f"file://{root}", night="2026-01-01")
    for path in root.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert "to be forgotten" not in desk.ask("gc", "--root", root, "--dry-run").out
    said = desk.ask("gc", "--root", root, "--keep-nights", "30", "--dry-run")
    assert "to be forgotten, of 1 night before " in said.out
    assert "(2026-01-01): 7 objects, " in said.out
    assert held.faults() == []
    assert desk.ask("gc", "--root", root, "--keep-nights", "30", "--yes").code == 0
    assert list(held.store.list(held.layout.root)) == []
    assert "nothing to delete" in desk.ask("gc", "--root", root, "--keep-nights", "30", "--yes").out
