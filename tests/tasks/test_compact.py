"""Compacted results hold every row once, and so does what is read of them, whatever comes at whatever moment."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks import attempts
from tasks.compact import compact, uncovered
from tasks.gc import orphans
from tasks.generations import files_of, newest_generations
from tasks.layout import Layout
from tasks.overrides import checked
from tasks.records.pair import Input, Pair
from tasks.records.reasons import OutOfReach, PairError, Reason
from tasks.results import read_results
from tasks.store import AlreadyExists, join, open_store
from tasks.verify import verify
from tests.tasks.test_standing import History, ok

NIGHT = "2026-01-01"


@pytest.fixture
def history(any_root):
    """A night of two runs: run 1 with three shards of two pairs, run 2 with one of one; another night of one shard."""
    history = History(any_root)
    first = history.run("1", [f"p{n}" for n in range(6)])
    for shard in range(3):
        history.commit(first, *(attempt(n) for n in (2 * shard, 2 * shard + 1)), shard=shard)
    history.commit(history.run("2", ["p0"], parent="1"), attempt(0))
    history.commit(history.run("3", ["p0"], night="2026-01-02"), attempt(0))
    return history


def attempt(row):
    inputs = (Input("content", "file:///c.wav", sha256="c" * 64), Input("style", "file:///s.wav", sha256="s" * 64))
    pair = Pair(row, f"p{row}", inputs, "optimise", checked({}), tags=(("of", "a test"),))
    return attempts.failed(pair, PairError(Reason.INPUT_SILENT, "why"))


def compacted(history, part_rows=4):
    nights = uncovered(history.store, history.layout)
    return [compact(history.store, history.layout, night, uris, part_rows) for night, uris in nights.items()]


def killed(history, monkeypatch, name):
    """A compaction that ends when it comes to write an object of this name."""
    create = type(history.store).create

    def until(store, uri, data):
        if name in uri:
            raise KeyboardInterrupt
        create(store, uri, data)

    monkeypatch.setattr(type(history.store), "create", until)
    with pytest.raises(KeyboardInterrupt):
        compacted(history)
    monkeypatch.undo()


def rows(history, runs=None):
    return read_results(history.store, history.layout, runs)


def test_what_is_read_is_the_same_before_and_after_in_fewer_files(history):
    before = {runs: rows(history, runs) for runs in (None, ("1",), ("2",), ("1", "3"))}
    [made] = compacted(history)
    assert (made.night, made.number, made.rows, len(made.covers)) == (NIGHT, 0, 7, 4)
    found = files_of(history.store, history.layout)
    assert (len(found.parts), len(found.others)) == (len(made.parts), 1)
    for runs, frame in before.items():
        pd.testing.assert_frame_equal(rows(history, runs), frame)


def test_parts_have_a_good_size_and_plain_pandas_reads_them(history):
    [made] = compacted(history, part_rows=100)
    assert len(made.parts) == 1
    data = history.store.read(join(history.root, made.parts[0])).data
    frame = pd.read_parquet(io.BytesIO(data))
    assert frame[["run_id", "manifest_row"]].to_numpy().tolist() == [*(["1", n] for n in range(6)), ["2", 0]]


def test_what_is_committed_later_is_read_beside_it_and_taken_into_the_next_generation(history):
    compacted(history)
    assert uncovered(history.store, history.layout) == {}
    history.commit(history.run("4", ["p0", "p1"], parent="1"), attempt(0), attempt(1))
    assert len(rows(history)) == 10
    [again] = compacted(history)
    assert (again.number, again.rows) == (1, 9)
    assert len(rows(history)) == 10
    assert not rows(history).duplicated(["run_id", "manifest_row"]).any()


def test_a_generation_without_its_marker_is_none(history, monkeypatch):
    """As one that was killed at its first write."""
    killed(history, monkeypatch, "/part-")
    assert newest_generations(history.store, history.layout) == {}
    assert len(rows(history)) == 8
    [made] = compacted(history)
    assert made.number == 0


def test_of_writers_at_once_each_makes_a_generation_or_is_told_and_the_rows_are_those_of_one(history):
    [(night, uris)] = uncovered(history.store, history.layout).items()

    def write(number):
        try:
            return compact(open_store(history.root), history.layout, night, uris, part_rows=number)
        except AlreadyExists:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [one for one in pool.map(write, (1, 2, 3, 100)) if one]
    assert made
    assert len({one.number for one in made}) == len(made)
    assert len(rows(history)) == 8
    assert not rows(history).duplicated(["run_id", "manifest_row"]).any()


def test_what_was_begun_and_never_finished_has_a_folder_of_its_own(history, monkeypatch):
    """As one that was killed at its last write."""
    killed(history, monkeypatch, "/_generation-")
    [made] = compacted(history)
    assert made.number == 1
    assert {path.split("/")[2] for path in made.parts} == {"0001"}


def test_what_somebody_took_away_from_the_results_comes_back_from_no_generation(history):
    compacted(history)
    history.store.delete(history.layout.shard_results(NIGHT, "1", 1))
    assert len(rows(history)) == 6
    assert any("gone or damaged: keep it" in fault for fault in verify(history.store, history.layout))


def test_verify_goes_on_where_no_results_file_can_be_read(history):
    compacted(history)
    for uri, _ in list(history.store.list(history.layout.results())):
        history.store.replace(uri, b"PAR1")
    assert sum("cannot be read" in fault for fault in verify(history.store, history.layout)) == 5


def test_a_damaged_marker_stops_no_reader_and_is_told_by_verify(history):
    [made] = compacted(history)
    marker = history.layout.generation(NIGHT, made.number)
    history.store.replace(marker, b"{")
    assert len(rows(history)) == 8
    assert any(f"{marker} is damaged and is not read" in fault for fault in verify(history.store, history.layout))
    [again] = compacted(history)
    assert again.number == made.number + 1


def test_a_reader_that_looked_before_reads_on_while_the_next_generation_is_written(history):
    compacted(history)
    seen = files_of(history.store, history.layout)
    history.commit(history.run("4", ["p0"], parent="1"), attempt(0))
    compacted(history)
    assert all(history.store.stat(uri) for uri in (*seen.parts, *seen.others))


@pytest.mark.parametrize("any_root", ["folder"], indirect=True)
def test_a_root_that_was_moved_is_read_where_it_is_now(history, tmp_path):
    compacted(history)
    moved = tmp_path / "moved"
    (tmp_path / "root").rename(moved)
    root = f"file://{moved}"
    frame = read_results(open_store(root), Layout(root))
    assert len(frame) == 8
    assert files_of(open_store(root), Layout(root)).parts[0].startswith(root)


def test_a_damaged_results_file_is_named_and_no_generation_comes_of_it(history):
    uri = history.layout.shard_results(NIGHT, "1", 1)
    history.store.replace(uri, history.store.read(uri).data[:-9])
    with pytest.raises(OutOfReach, match=r"shard-00001\.parquet cannot be read"):
        compacted(history)
    assert newest_generations(history.store, history.layout) == {}


def test_a_damaged_part_is_told_by_verify_and_reading_takes_what_it_stands_for(history):
    [made] = compacted(history)
    part = join(history.root, made.parts[0])
    before = list(verify(history.store, history.layout))
    history.store.replace(part, history.store.read(part).data[:-9])
    assert len(rows(history)) == 8
    [fault] = [one for one in verify(history.store, history.layout) if one not in before]
    assert f"{part} cannot be read" in fault


def test_a_generation_that_does_not_hold_what_it_covers_is_told_by_verify(history):
    [made] = compacted(history)
    before = list(verify(history.store, history.layout))
    marker = history.layout.generation(NIGHT, made.number)
    history.store.replace(marker, made.model_copy(update={"covers": made.covers[1:]}).model_dump_json().encode())
    [fault] = [one for one in verify(history.store, history.layout) if one not in before]
    assert f"{marker} does not hold what it covers: attempt 1/" in fault


def test_gc_deletes_what_a_newer_generation_has_replaced_once_it_is_old(history):
    [first] = compacted(history)
    history.commit(history.run("4", ["p0"], parent="1"), attempt(0))
    compacted(history)
    old = {join(history.root, path) for path in first.parts}
    assert {one.uri for one in orphans(history.store, history.layout, before=4e9)} >= old
    assert not old & {one.uri for one in orphans(history.store, history.layout, before=0.0)}
    kept = set(files_of(history.store, history.layout).parts)
    assert not kept & {one.uri for one in orphans(history.store, history.layout, before=4e9)}


def test_a_reader_at_any_moment_sees_every_committed_row_once(history):
    """Nights grow and are compacted while it reads."""
    committed, faults, over = [len(rows(history))], [], threading.Event()

    def read():
        while not over.is_set():
            least = committed[0]
            frame = rows(history)
            if len(frame) < least or frame.duplicated(["run_id", "manifest_row"]).any():
                faults.append((least, len(frame)))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(4):
        run = history.run(f"later-{number}", ["p0", "p1"])
        for shard in range(2):
            history.commit(run, attempt(shard), shard=shard)
            committed[0] += 1
        compacted(history, part_rows=1 + number)
    over.set()
    reader.join()
    assert faults == []
    assert len(rows(history)) == 16


def test_statistics_tell_which_few_row_groups_a_style_is_in(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.compact.GROUP_ROWS", 4)
    history, styles = History(f"file://{tmp_path}/root"), [f"file:///style-{n}.wav" for n in range(4)]
    run = history.run("1", [f"p{n}" for n in range(16)])
    for shard in range(4):
        rows = (ok(f"p{row}", row, style_uri=styles[row % 4]) for row in range(4 * shard, 4 * shard + 4))
        history.commit(run, *rows, shard=shard)
    [night] = compacted(history, part_rows=16)
    groups = pq.ParquetFile(tmp_path / "root" / night.parts[0]).metadata
    held = [groups.row_group(n).to_dict()["columns"] for n in range(groups.num_row_groups)]
    of_style = [one["statistics"] for columns in held for one in columns if one["path_in_schema"] == "style_uri"]
    assert [(one["min"], one["max"]) for one in of_style] == [(style, style) for style in styles]
