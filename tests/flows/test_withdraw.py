"""`gramophone withdraw` as it is typed: listed, confirmed, deleted, and said by status afterwards."""

import os
import secrets
import signal
from hashlib import sha256

import pytest

from tasks.store import join
from tests.flows.conftest import Desk
from tests.proxy import Fault, proxy_to
from tests.tasks.lineage.support import Library


def two_pairs(root):
    """Two pairs, one of them of the rain."""
    library = Library(root)
    run = library.started("1", 2)
    tune, rain, bells = (library.clip(name) for name in ("tune", "rain", "bells"))
    library.commit(run, library.made(run, library.pair(0, tune, rain)), library.made(run, library.pair(1, tune, bells)))
    return library


@pytest.fixture
def library(tmp_path):
    return two_pairs(f"file://{tmp_path}/root")


@pytest.fixture
def ask(library, tmp_path):
    """Type a command about it."""
    desk = Desk(tmp_path, dict(os.environ))
    return lambda *arguments: desk.ask(*arguments, "--root", library.root)


def sounds(library):
    return [uri.rsplit("/", 1)[1].split(".")[0] for uri, _ in library.store.list(library.layout.all_audio())]


def test_nothing_is_withdrawn_where_nobody_confirms_or_only_a_list_was_asked_for(ask, library):
    refused = ask("withdraw", "--input", "root/clips/rain")
    assert refused.code == 2
    assert "--yes to withdraw" in refused.err
    listed = ask("withdraw", "--input", "root/clips/rain", "--dry-run")
    assert listed.code == 0
    assert "nothing was written or deleted" in listed.out
    assert sounds(library) == ["p0", "p1"]
    assert list(library.store.list(library.layout.tombstones())) == []


def test_what_is_confirmed_is_deleted_and_status_and_verify_know_of_it(ask, library):
    said = ask("withdraw", "--input", "root/clips/rain", "--yes", "--reason", "the licence has ended", "--json")
    assert (said.code, said.json["deleted"], said.json["not_deleted"]) == (0, 1, [])
    assert [one["pair_id"] for one in said.json["outputs"]] == ["p0"]
    assert sounds(library) == ["p1"]
    assert ask("verify").code == 0
    status = ask("status", "1")
    assert "2 of 2 pairs ok, 1 of the ok withdrawn" in status.out
    assert "the licence has ended" in status.out
    assert [pair["withdrawn"] for pair in ask("status", "1", "--json").json["pairs"]] == [True, False]
    again = ask("withdraw", "--input", "root/clips/rain", "--yes")
    assert (again.code, "0 objects" in again.out) == (0, True)


def test_a_clip_that_no_run_has_read_is_withdrawn_only_where_that_is_said(ask, library):
    refused = ask("withdraw", "--input", "root/clips/rian", "--yes")
    assert refused.code == 2
    assert f"(did you mean {library.root}/clips/rain?)" in refused.err
    assert ask("withdraw", "--input", "elsewhere/rain", "--dry-run", "--json").json["alike"] == [
        f"{library.root}/clips/rain"
    ]
    assert list(library.store.list(library.layout.tombstones())) == []
    said = ask("withdraw", "--input", "root/clips/rian", "--yes", "--unread")
    assert said.code == 0
    assert "gramophone gc" in said.err
    assert ask("withdraw", "--input", "root/clips/rian", "--yes").code == 0, "it is known by its tombstone"


def test_a_digest_is_one_in_capitals_too(ask, library):
    digest = sha256(b"rain").hexdigest().upper()
    said = ask("withdraw", "--input", digest, "--yes", "--json")
    assert (said.code, said.json["deleted"], said.json["sha256"]) == (0, 1, [digest.lower()])


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 201])
def test_a_reason_that_is_no_short_line_is_refused(ask, reason):
    assert ask("withdraw", "--input", "root/clips/rain", "--yes", "--reason", reason).code == 2


def test_a_withdrawal_that_is_killed_among_its_deletes_is_finished_by_the_same_command(tmp_path, s3_server, s3_address):
    library = two_pairs(join(s3_server, f"withdraw-{secrets.token_hex(4)}"))
    desk = Desk(tmp_path, dict(os.environ))
    command = ["withdraw", "--input", join(library.root, "clips/tune"), "--root", library.root, "--yes"]
    deletes = []
    with proxy_to(s3_address) as proxy:
        killed = desk.start(*command, GRAMOPHONE_S3_ENDPOINT=proxy.url)

        def kill_at_the_first_delete(method, path, number):
            if method != "DELETE":
                return None
            deletes.append(path)
            os.kill(killed.pid, signal.SIGKILL)
            return Fault.RESET

        proxy.script = kill_at_the_first_delete
        out, err = killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, out + err
    assert deletes
    assert len(list(library.store.list(library.layout.tombstones()))) == 1, "it comes first"
    assert sounds(library) == ["p0", "p1"]
    left = desk.ask("verify", "--root", library.root)
    assert left.code == 1
    assert "`gramophone withdraw --input" in left.out
    assert desk.ask(*command).code == 0
    assert sounds(library) == []
    assert desk.ask("verify", "--root", library.root).code == 0


def test_what_was_withdrawn_by_mistake_is_given_free_by_one_command(ask, library):
    clip = f"{library.root}/clips/rain"
    assert ask("withdraw", "--input", clip, "--yes").code == 0
    assert ask("withdraw", "--input", clip, "--undo").out.startswith(f"{clip} may be used again")
    again = ask("withdraw", "--input", clip, "--undo")
    assert again.code == 2
    assert "there is nothing to undo" in again.err
