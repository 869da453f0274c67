from dataclasses import replace

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tasks import attempts
from tasks.overrides import checked
from tasks.plan import look_up, make_plan
from tasks.records import schema
from tasks.records.pair import Input, Pair
from tasks.records.reasons import Reason
from tasks.roots import Roots

NONE = schema.RESULTS.empty_table().to_pandas()


def pair(row, etag="1-1", **params):
    inputs = (Input("content", f"file:///c{row}.wav", etag=etag), Input("style", "file:///s.wav", etag="2-2"))
    return Pair(row, f"p{row}", inputs, "optimise", checked(params))


def done(one, run_id="old", **values):
    row = attempts.of_pair(one) | {
        "run_id": run_id, "manifest_row": one.manifest_row, "status": "ok", "audio_uri": f"audio-{one.manifest_row}",
        "pair_key": "k",
    }  # fmt: skip
    return row | values


def results(*rows):
    return schema.table_of(list(rows), schema.RESULTS).to_pandas(maps_as_pydicts="strict")


def test_a_pair_that_is_done_is_skipped_while_its_audio_is_there():
    pairs = [pair(0), pair(1)]
    plan = make_plan(pairs, results(done(pairs[0]), done(pairs[1])), 8, lambda uri: uri == "audio-0")
    assert [(p.pair_id, row["run_id"]) for p, row in plan.skipped] == [("p0", "old")]
    assert [p.pair_id for p in plan.pairs] == ["p1"]


def test_a_pair_is_not_skipped_when_an_input_a_slice_or_a_parameter_is_another():
    one = pair(0)
    others = [
        pair(0, etag="9-9"),
        pair(0, seed=1),
        replace(one, inputs=(replace(one.inputs[0], seconds=1.0), one.inputs[1])),
        replace(one, inputs=(replace(one.inputs[0], etag=None), one.inputs[1])),
    ]
    for other in others:
        assert make_plan([other], results(done(one)), 8, lambda uri: True).skipped == ()


def test_an_attempt_of_another_algorithm_version_serves_nobody():
    one = pair(0)
    assert make_plan([one], results(done(one, algorithm_version=0)), 8, lambda uri: True).skipped == ()


def test_a_failed_attempt_serves_nobody():
    one = pair(0)
    assert make_plan([one], results(done(one, status="failed")), 8, lambda uri: True).skipped == ()


@given(st.integers(0, 30), st.integers(1, 9))
def test_shards_hold_every_pair_once_in_manifest_order(count, shard_pairs):
    pairs = [pair(row) for row in range(count)]
    plan = make_plan(pairs, NONE, shard_pairs, lambda uri: True)
    assert plan.pairs == pairs
    assert all(len(shard.pairs) == shard_pairs for shard in plan.shards[:-1])
    assert [shard.number for shard in plan.shards] == list(range(len(plan.shards)))
    assert plan == make_plan(pairs, NONE, shard_pairs, lambda uri: True)


def test_inputs_are_looked_up_and_those_outside_the_roots_are_refused(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.wav").write_bytes(b"123")
    (inside / "link.wav").symlink_to(outside / "a.wav")

    def of(uri):
        return Pair(0, "p", (Input("content", f"file://{uri}"),), "optimise", checked({}))

    roots = Roots.resolve([f"file://{inside}"])
    good, missing, bad, linked = look_up(
        [of(inside / "a.wav"), of(inside / "b.wav"), of(outside / "a.wav"), of(inside / "link.wav")], roots
    )
    assert good.content.etag.startswith("3-")
    assert not missing.faults
    assert missing.content.etag is None
    assert bad.error().reason is Reason.INPUT_FORBIDDEN
    assert linked.error().reason is Reason.INPUT_FORBIDDEN
    assert isinstance(NONE, pd.DataFrame)
