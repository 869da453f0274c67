"""A manifest of all addresses that are refused, through a real run and a real look at it: nobody is called, and nothing
outside the allowed places is opened or written (promise 8)."""

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tasks.layout import Layout
from tasks.results import read_results
from tasks.store import open_store
from tests.flows.conftest import Result
from tests.tasks.test_roots import LOCAL, REFUSED, canary

GOOD = {"content_uri": "tune.wav", "style_uri": "texture.wav"}
HIDDEN = "in place of a password"
"""Why a URI with a password is refused where the password has been taken out of the row before."""


@dataclass
class Seen:
    run: Result
    look: Result
    words: list[str]  # of each row's refusal
    new: set[str]  # what lay in the working directory or outside afterwards, and not before
    calls: list
    opened: threading.Event


@pytest.fixture(scope="module")
def seen(desk, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    for name, kind in (("tune", "flute"), ("texture", "drums")):
        (outside / f"{name}.wav").write_bytes(desk.clip(name, kind=kind).read_bytes())
    with canary() as (address, calls), pipe(outside / "pipe.wav") as opened:
        (desk.folder / "linked").symlink_to(outside)
        (desk.folder / "link.wav").symlink_to(outside / "pipe.wav")
        bad, words = zip(*rows(address, outside), strict=True)
        named = [{"pair_id": f"bad-{n}"} | row for n, row in enumerate(bad)]
        escape = {"pair_id": f"../../../{outside.name}/escape"}
        manifest = desk.manifest([GOOD | row for row in ({"pair_id": "good"}, *named, escape)])
        before = files(desk.folder, outside)
        there = {"GRAMOPHONE_S3_ENDPOINT": f"http://{address}"}  # a bucket that were asked would be the canary, too
        run = desk.type("run", manifest, "--shard-pairs", "1000", **there)
        look = desk.type("manifest", "validate", manifest, "--probe", "--json", **there)
        yield Seen(run, look, list(words), files(desk.folder, outside) - before, calls, opened)


def rows(address, outside):
    """Each address, and what lies outside under each of its names, by each road; with words of its refusal."""
    refused = [(text.replace("CANARY", address), words) for text, base, words in REFUSED if base == LOCAL and text]
    for place in (f"file://{outside}", str(outside), f"../{outside.name}", "linked", "s3://music"):
        refused += [(f"{place}/{name}", "lies outside the places") for name in ("tune.wav", "pipe.wav")]
    for text, words in [*refused, ("link.wav", "lies outside the places")]:
        yield {"content_uri": text}, words
        yield {"style_uri": text}, words
        yield {"style_uri": None, "styles": [{"uri": text, "weight": 1.0}]}, words


@contextmanager
def pipe(path):
    """A file that remembers whether it was opened: a pipe, whose writer waits for a reader."""
    os.mkfifo(path)
    opened = threading.Event()

    def write():
        os.close(os.open(path, os.O_WRONLY))
        opened.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield opened
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    writer.join()


def files(*folders):
    return {f"{folder.name}/{path.name}" for folder in folders for path in folder.iterdir()}


def test_no_address_is_called_and_nothing_outside_is_opened_or_written(seen, desk):
    assert seen.calls == []
    assert not seen.opened.is_set()
    assert seen.new == {f"{desk.folder.name}/root"}


def test_each_of_them_fails_with_its_reason_and_the_good_neighbour_is_ok(seen, desk):
    assert seen.run.code == 1, seen.run.err
    results = read_results(open_store(desk.root), Layout(desk.root)).sort_values("manifest_row")
    good, *bad, escape = results.itertuples()
    assert (good.pair_id, good.status) == ("good", "ok")
    assert escape.reason == "row_invalid"
    assert {row.reason for row in bad} == {"input_forbidden"}
    for row, words in zip(bad, seen.words, strict=True):
        assert words in row.message or HIDDEN in row.message


def test_a_look_at_the_manifest_says_the_same(seen):
    assert seen.look.code == 1, seen.look.err
    found = seen.look.json["faults"][:-1]  # without the last, the name that leads out
    assert {fault["reason"] for fault in found} == {"input_forbidden"}
    for row, (fault, words) in enumerate(zip(found, seen.words, strict=True), start=1):
        assert fault["row"] == row
        assert words in fault["why"] or HIDDEN in fault["why"]
