from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import attempts
from tasks.done import read_done
from tasks.layout import Layout
from tasks.plan import make_plan
from tasks.records import schema
from tasks.records.parameters import Parameters
from tasks.records.run import Job, Options
from tasks.store import open_store
from tasks.stored import parquet_bytes
from tasks.submit import prepare_nightly
from tasks.withdrawn import NOTHING
from tests.tasks.pairs import pairs_of, row

THERE = ("1-1", "2-2")
MOMENT = datetime(2026, 11, 24, tzinfo=UTC)


def pairs(*rows, etags=None, base=None):
    return pairs_of(*rows, etags=etags or [THERE] * len(rows), base=base)


def row_of(one, **values):
    named = {"run_id": "old", "manifest_row": one.manifest_row, "audio_uri": f"audio-{one.manifest_row}"}
    return attempts.of_pair(one) | named | {"status": "ok", "pair_key": "k", "committed_at": MOMENT} | values


@pytest.fixture
def root(tmp_path):
    return Layout(f"file://{tmp_path}/root")


@pytest.fixture
def done(root):
    """What a root has done in which these rows were committed, a file for each."""

    def of(*rows, contents=("file:///c0.wav", "file:///c1.wav")):
        store = open_store(root.root)
        for number, one in enumerate(rows):
            data = parquet_bytes(schema.table_of([one], schema.RESULTS))
            store.create(root.shard_results("2026-11-24", one["run_id"], number), data)
        return read_done(store, root, NOTHING, pa.chunked_array([pa.array(contents, pa.string())]))

    return of


def test_a_pair_that_is_done_is_skipped_while_its_audio_is_there(done):
    two = pairs(row(0), row(1))
    plan = make_plan(two, done(*map(row_of, two)), 8, lambda uri: uri == "audio-0")
    [skipped] = plan.skipped.to_pylist()
    assert skipped == {
        "manifest_row": 0, "pair_id": "p0", "served_by": "old/0", "pair_key": "k", "audio_uri": "audio-0",
    }  # fmt: skip
    assert [p.pair_id for p in plan.pairs] == ["p1"]


def test_what_was_served_itself_names_the_attempt_that_computed_the_audio(done):
    one = pairs(row(0))
    [skipped] = make_plan(one, done(row_of(one[0], served_by="first/7")), 8, lambda uri: True).skipped.to_pylist()
    assert skipped["served_by"] == "first/7"


@pytest.mark.parametrize(
    "other",
    [
        pairs(row(0), etags=[("9-9", "2-2")]),
        pairs(row(0), etags=[(None, "2-2")]),
        pairs(row(0, seed=1)),
        pairs(row(0, params='{"content_weight": 0.5}')),
        pairs(row(0, content_seconds=1.0)),
        pairs(row(0), base=Parameters(seed=3)),
    ],
    ids=["etag", "no etag", "seed", "parameter", "slice", "base"],
)
def test_a_pair_is_not_skipped_when_an_input_a_slice_or_a_parameter_is_another(done, other):
    one = pairs(row(0))
    before = done(row_of(one[0]))
    assert len(make_plan(one, before, 8, lambda uri: True).skipped) == 1
    assert len(make_plan(other, before, 8, lambda uri: True).skipped) == 0


def test_pairs_that_differ_in_their_seeds_alone_are_told_apart(done):
    two = pairs(row(0, seed=5), row(0, seed=6, pair_id="other"))
    assert make_plan(two, done(row_of(two[1])), 8, lambda uri: True).skipped["pair_id"].to_pylist() == ["other"]


def test_an_attempt_of_another_algorithm_version_serves_nobody(done):
    one = pairs(row(0))
    assert len(make_plan(one, done(row_of(one[0], algorithm_version=0)), 8, lambda uri: True).skipped) == 0


def test_a_failed_attempt_serves_nobody(done):
    one = pairs(row(0))
    assert len(make_plan(one, done(row_of(one[0], status="failed")), 8, lambda uri: True).skipped) == 0


def test_the_first_attempt_that_was_committed_serves_a_key_with_its_figures(done, root):
    [one] = pairs(row(0))
    later = row_of(one, run_id="new", committed_at=MOMENT + timedelta(seconds=1), style_loss=0.5)
    found = done(later, row_of(one, style_loss=0.25), row_of(one, run_id="new", pair_key="other"))
    served = found.by_key(["k", "other", "none"], lambda uri: True)
    assert {key: row["run_id"] for key, row in served.items()} == {"k": "old", "other": "new"}
    assert served["k"]["style_loss"] == 0.25
    assert found.by_key(["k"], lambda uri: False) == {}


def test_what_was_taken_away_since_serves_nobody(done, root):
    [one] = pairs(row(0))
    found = done(row_of(one))
    open_store(root.root).delete(root.shard_results("2026-11-24", "old", 0))
    assert found.by_key(["k"], lambda uri: True) == {}


def test_where_the_first_audio_is_gone_a_later_one_serves(done):
    one = pairs(row(0))
    later = row_of(one[0], run_id="new", committed_at=MOMENT + timedelta(seconds=1), audio_uri="later")
    found = done(row_of(one[0]), later)
    [skipped] = make_plan(one, found, 8, lambda uri: uri == "later").skipped.to_pylist()
    assert (skipped["served_by"], skipped["audio_uri"]) == ("new/0", "later")
    assert found.by_key(["k"], lambda uri: uri == "later")["k"]["run_id"] == "new"


def test_a_sound_with_another_name_is_found_by_its_key_alone(done):
    [one] = pairs(row(0))
    found = done(row_of(one), contents=())
    assert len(make_plan(pairs(row(0)), found, 8, lambda uri: True).skipped) == 0
    assert found.by_key(["k"], lambda uri: True)["k"]["run_id"] == "old"


cells = st.fixed_dictionaries(
    {},
    optional={
        "style_uri": st.sampled_from([f"file:///s{n}.wav" for n in range(3)]),
        "params": st.sampled_from(['{"content_weight": 0.5}', '{"widths": [2, 8]}']),
        "content_seconds": st.sampled_from([3.0, 5.0, 60.0]),
        "seed": st.integers(0, 3),
    },
)


@given(st.lists(cells, max_size=30), st.integers(1, 9))
def test_shards_hold_every_pair_once_and_the_plan_is_the_same_each_time(found, shard_pairs):
    every = pairs(*(row(number) | one for number, one in enumerate(found)))
    plan = make_plan(every, None, shard_pairs, lambda uri: True)
    held = [pair for shard in plan.shards for pair in shard.pairs]
    assert sorted(held, key=lambda pair: pair.manifest_row) == list(every)
    assert all(len(shard.pairs) == shard_pairs for shard in plan.shards[:-1])
    assert [shard.number for shard in plan.shards] == list(range(len(plan.shards)))
    again = make_plan(every, None, shard_pairs, lambda uri: True)
    assert list(again.shards) == list(plan.shards)


@given(st.lists(cells, max_size=30))
def test_what_is_alike_but_for_its_seed_meets_where_the_first_of_it_stands(found):
    every = pairs(*(row(number) | one for number, one in enumerate(found)))
    planned = list(make_plan(every, None, 4, lambda uri: True).pairs)

    def kind(pair):
        octave = {None: 0, 3.0: 2, 5.0: 3, 60.0: 6}[pair.content.seconds]
        return pair.style.uri, pair.params.model_copy(update={"seed": 0}), octave

    kinds = [kind(pair) for pair in planned]
    assert list(dict.fromkeys(kinds)) == list(dict.fromkeys(map(kind, every))), "in the manifest's order"
    borders = sum(a != b for a, b in pairwise(kinds))
    assert borders == max(0, len(set(kinds)) - 1), "each in one piece"
    for one in set(kinds):
        rows = [pair.manifest_row for pair in planned if kind(pair) == one]
        assert rows == sorted(rows)


def test_pairs_with_lists_of_styles_meet_as_well():
    lists = [[{"uri": f"file:///s{n}.wav", "weight": 1.0}, {"uri": "file:///t.wav"}] for n in (1, 2, 1)]
    every = pairs(*(row(n, style_uri=None, styles=one) for n, one in enumerate(lists)))
    assert [p.manifest_row for p in make_plan(every, None, 8, lambda uri: True).pairs] == [0, 2, 1]


def test_a_pair_is_the_same_alone_in_a_slice_and_in_order():
    every = pairs(*(row(n, seed=n) for n in range(9)))
    assert [every[n] for n in range(9)] == list(every)
    assert every[-1] == list(every)[-1]
    assert list(every[3:5]) == list(every)[3:5]
    assert [pair.pair_id for pair in every.renumbered([7, 2])] == ["p7", "p2"]
    assert [pair.manifest_row for pair in every.renumbered([7, 2])] == [0, 1]


def test_a_run_in_mid_plan_holds_no_pair_that_nobody_asked_for(tmp_path, monkeypatch):
    rows = [row(n, content_uri=f"c{n}.wav", style_uri="s.wav") for n in range(100)]
    manifest = tmp_path / "manifest.parquet"
    pa.parquet.write_table(pa.Table.from_pylist(rows), manifest)
    plan = prepare_nightly(
        Job(manifest=str(manifest), root=str(tmp_path / "root"), options=Options(shard_pairs=8))
    ).plan
    made = []
    kept = type(plan.pairs)._pair
    monkeypatch.setattr(type(plan.pairs), "_pair", lambda self, *given: made.append(given[0]) or kept(self, *given))
    assert len(plan.shards[3].pairs) == 8
    assert made == list(range(24, 32))
