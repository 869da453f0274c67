"""A clip is taken out: what was made from it is deleted, and nothing is made from it again; everything else stays."""

from dataclasses import replace
from hashlib import sha256

import pandas as pd
import pytest
import torch
from safetensors.torch import save

from tasks import attempts
from tasks.gc import removed
from tasks.lineage.stale import look
from tasks.lineage.trace import lineage
from tasks.records.pair import Input
from tasks.records.reasons import PairError, Reason, UsageError, remedy
from tasks.records.run import Job
from tasks.report.facts import facts
from tasks.results import read_results, rows_of
from tasks.standing import family_of, of_family, standing
from tasks.store import join
from tasks.submit import prepare_nightly
from tasks.training.header import text_of
from tasks.verify import verify
from tasks.withdraw import bury, find, lift, pages
from tasks.withdrawn import read_withdrawn
from tests.tasks.lineage.support import Library

RAIN = sha256(b"rain").hexdigest()


@pytest.fixture
def library(any_root):
    """Three pairs in two shards of a run: p0 and p1 of the rain, p2 of the bells beside p1; p0 serves another run."""
    library = Library(any_root)
    tune, rain, bells = (library.clip(name) for name in ("tune", "rain", "bells"))
    run = library.started("1", 3)
    library.commit(run, library.made(run, library.pair(0, tune, rain)))
    others = (library.made(run, library.pair(1, tune, rain, seed=1)), library.made(run, library.pair(2, tune, bells)))
    library.commit(run, *others, shard=1)
    later = library.started("2", 8)
    first, *_ = rows_of(read_results(library.store, library.layout))
    pair = replace(library.pair(7, tune, rain), pair_id="again")
    library.commit(later, attempts.served(pair, first, first["committed_at"]))
    return library


def clip(library, name):
    return join(library.root, "clips", name)


def withdrawn(library, asked, deletes=True, **said):
    found = find(library.store, library.layout, asked)
    bury(library.store, library.layout, found, **said)
    if deletes:
        assert [refusal for _, refusal in removed(library.store, found.objects) if refusal] == []
    return found


def kept(library, folder):
    return sorted(uri.rsplit("/", 1)[1].split(".")[0] for uri, _ in library.store.list(join(library.root, folder)))


def faults(library):
    return list(verify(library.store, library.layout))


@pytest.mark.parametrize("by", ["uri", "sha256", "beginning"])
def test_all_that_was_made_from_a_clip_is_deleted_and_nothing_else(library, by):
    before = list(library.store.list(library.layout.results()))
    found = withdrawn(library, {"uri": clip(library, "rain"), "sha256": RAIN, "beginning": RAIN[:12]}[by])
    assert found.outputs["pair_id"].tolist() == ["p0", "p1", "again"]
    assert kept(library, "audio") == ["p2"]
    assert kept(library, "curves") == ["shard-00001"], "which p2 needs as well"
    assert kept(library, "clips") == ["bells", "rain", "tune"]
    assert list(library.store.list(library.layout.results())) == before
    assert faults(library) == []


def test_nothing_is_written_or_deleted_by_looking(library):
    before = list(library.store.list(library.root))
    assert len(find(library.store, library.layout, clip(library, "rain")).objects) == 3
    assert list(library.store.list(library.root)) == before


def test_what_was_made_from_an_output_goes_too_and_is_refused_under_any_name(library):
    [through] = [row for row in rows_of(read_results(library.store, library.layout)) if row["pair_id"] == "p0"]
    copy = library.clip("copy", library.store.read(through["audio_uri"]).data)
    run = library.started("3", 1)
    library.commit(run, library.made(run, library.pair(0, copy, clip(library, "bells"))))
    found = withdrawn(library, clip(library, "rain"))
    assert found.digests == {RAIN, through["audio_sha256"]}
    assert kept(library, "audio") == ["p2"]
    with pytest.raises(PairError, match=r"was withdrawn on .* UTC by `gramophone withdraw --input .*clips/rain"):
        read_withdrawn(library.store, library.layout).check(library.pair(0, copy, clip(library, "bells")).inputs)


def test_a_withdrawal_that_was_killed_is_named_by_verify_and_finished_by_the_next(library):
    withdrawn(library, clip(library, "rain"), deletes=False, reason="the licence has ended")
    left = faults(library)
    assert len(left) == 3, "two sounds and a file of curves"
    assert all("`gramophone withdraw --input" in fault for fault in left)
    [stone] = library.store.list(library.layout.tombstones())
    again = withdrawn(library, clip(library, "rain"), reason="another")
    assert again.before.reason == "the licence has ended"
    assert list(library.store.list(library.layout.tombstones())) == [stone]
    assert faults(library) == []
    assert find(library.store, library.layout, clip(library, "rain")).objects == []


def test_what_a_run_under_way_has_stored_since_goes_with_the_next_withdrawal(library):
    withdrawn(library, clip(library, "rain"))
    other = library.clip("rain", b"another take")  # under the same URI, and read before the tombstone was there
    run = library.started("3", 1)
    library.commit(run, library.made(run, library.pair(0, clip(library, "tune"), other)))
    assert len(faults(library)) == 2
    withdrawn(library, clip(library, "rain"))
    assert faults(library) == []
    copy = library.clip("copy", b"another take")
    with pytest.raises(PairError, match="was withdrawn"):
        read_withdrawn(library.store, library.layout).check(library.pair(0, copy, copy).inputs)


def test_status_and_the_page_say_it_and_link_no_deleted_sound(library):
    withdrawn(library, clip(library, "rain"), reason="the licence has ended")
    family = family_of(library.store, library.layout, "1")
    frame = of_family(library.store, library.layout, family).set_index("pair_id")
    assert frame["withdrawn"].to_dict() == {"p0": True, "p1": True, "p2": False}
    assert "(the licence has ended): its audio is deleted" in frame.loc["p1", "message"]
    assert frame["status"].tolist() == ["ok"] * 3
    brief = of_family(library.store, library.layout, family, brief=True).set_index("pair_id")
    assert brief[["withdrawn", "message"]].equals(frame[["withdrawn", "message"]])
    part = facts(library.store, library.layout, family, 100).part(0, library.layout.runs())
    told = {pair["name"]: pair for pair in part}
    assert told["p1"]["sounds"]["sounds"]["result"]["link"] is None
    assert "was withdrawn on" in told["p1"]["message"]
    assert told["p1"]["lineage"]["withdrawn"] == told["p1"]["message"], "which the page shows of a pair that was done"
    assert told["p1"]["pictures"] == {}
    assert told["p2"]["sounds"]["sounds"]["result"]["link"].startswith("../audio/")
    assert list(told["p2"]["pictures"]) == ["content"]


def test_pages_that_show_it_are_written_anew(library):
    from tasks.report import write_report

    write_report(library.store, library.layout, "1")
    [part] = [uri for uri, _ in library.store.list(library.layout.run("1", "report"))]
    assert library.store.read(part).data.count(b'"content":"') == 3
    assert pages(library.store, library.layout, withdrawn(library, clip(library, "rain"))) == ["1"]
    assert library.store.read(part).data.count(b'"content":"') == 1


def test_lineage_still_knows_what_was_made_from_it_and_nothing_of_it_is_stale(library):
    withdrawn(library, clip(library, "rain"))
    [made] = lineage(library.store, library.layout, "1/1").made
    assert made["withdrawn"].startswith("an input was withdrawn on")
    derived = lineage(library.store, library.layout, clip(library, "rain")).derived
    assert derived["pair_id"].tolist() == ["p0", "p1", "again"]
    library.store.delete(clip(library, "rain"))
    assert look(library.store, library.layout).stale == []


@pytest.fixture
def planned(library):
    """Plan a run of p0 as it was, and of a pair of the bells."""
    tune, rain, bells = (clip(library, name) for name in ("tune", "rain", "bells"))
    rows = [{"pair_id": name, "content_uri": tune, "style_uri": style} for name, style in (("r", rain), ("b", bells))]
    library.store.create(join(library.root, "m.parquet"), pd.DataFrame(rows).to_parquet())
    return lambda: prepare_nightly(Job(manifest=join(library.root, "m.parquet"), root=library.root))


@pytest.mark.parametrize("by", ["uri", "sha256"])
def test_a_pair_is_not_skipped_for_what_is_withdrawn_also_before_it_is_deleted(library, planned, by):
    assert planned().plan.skipped["pair_id"].to_pylist() == ["r", "b"]
    withdrawn(library, clip(library, "rain") if by == "uri" else RAIN, deletes=False)
    submission = planned()
    assert submission.plan.skipped["pair_id"].to_pylist() == ["b"]
    key = library.pair(0, clip(library, "tune"), clip(library, "rain")).key()
    assert submission.lookup([key]) == {}


def test_a_pair_with_an_input_whose_uri_is_withdrawn_fails_when_it_is_planned(library, planned):
    withdrawn(library, clip(library, "rain"), reason="the licence has ended")
    [pair] = planned().plan.pairs
    error = pair.error()
    assert error.reason is Reason.INPUT_FORBIDDEN
    assert "clips/rain' was withdrawn on" in error.message
    assert error.message.endswith("(the licence has ended); choose another")
    assert "where the message says that the clip was withdrawn, choose another" in remedy(error.reason, "1")


@pytest.mark.parametrize("asked", ["0123456789ab", "http://host/a.wav"])
def test_what_names_no_clip_is_refused(library, asked):
    with pytest.raises(UsageError):
        find(library.store, library.layout, asked)


def test_a_clip_that_nothing_was_made_from_yet_is_withdrawn_all_the_same(library):
    found = withdrawn(library, clip(library, "unused"))
    assert found.outputs.empty
    stones = read_withdrawn(library.store, library.layout)
    assert list(stones.by_uri) == [clip(library, "unused")]
    unheard = sha256(b"never heard").hexdigest()
    withdrawn(library, unheard)
    assert set(read_withdrawn(library.store, library.layout).by_digest) == {unheard}


@pytest.mark.parametrize(("name", "role"), [("rain", "style"), ("hum", "corpus")])
def test_networks_that_a_clip_went_into_are_deleted_and_what_they_made_of_other_clips_stays(library, name, role):
    end = library.trained("t1", clip(library, "rain"), library.clip("hum"))
    library.trained("t2", clip(library, "bells"), clip(library, "tune"))
    pair = library.pair(0, clip(library, "bells"), library.clip("drops"))
    run = library.started("3", 1)
    library.commit(run, library.made(run, pair, model_sha256=end.network_sha256))
    found = withdrawn(library, clip(library, name))
    assert [(one.run_id, one.role, one.ended, one.others) for one in found.networks] == [("t1", role, True, 1)]
    left = [uri.rsplit("/", 2)[1] for uri, _ in library.store.list(library.root) if uri.endswith(".safetensors")]
    assert sorted(left) == sorted(["t2", sha256(b"bells").hexdigest()])
    assert "p0" in kept(library, "audio")
    assert faults(library) == []


def test_a_clip_that_only_a_training_has_read_was_read(library):
    library.trained("t1", clip(library, "rain"), library.clip("hum"), ended=False)
    by_digest = find(library.store, library.layout, sha256(b"hum").hexdigest()[:12])
    by_name = find(library.store, library.layout, clip(library, "hum"))
    assert not by_name.unread
    assert by_name.digests == by_digest.digests == {sha256(b"hum").hexdigest()}
    assert [(one.run_id, one.ended) for one in by_name.networks] == [("t1", False)]


def test_a_withdrawal_that_is_undone_lets_the_clip_be_used_and_what_was_deleted_is_known_as_gone(library):
    withdrawn(library, clip(library, "rain"))
    lifted = lift(library.store, library.layout, find(library.store, library.layout, clip(library, "rain")))
    assert len(lifted) == 1
    assert read_withdrawn(library.store, library.layout).refusal(Input("style", clip(library, "rain"))) is None
    assert faults(library) == []
    frame = of_family(library.store, library.layout, family_of(library.store, library.layout, "1"))
    assert frame.loc[frame["withdrawn"], "pair_id"].tolist() == ["p0", "p1"]
    assert frame.loc[0, "message"].endswith("UTC: its audio is deleted")
    run = library.started("3", 1)
    library.commit(run, library.made(run, library.pair(0, clip(library, "tune"), clip(library, "rain"))))
    anew = of_family(library.store, library.layout, family_of(library.store, library.layout, "3"))
    assert not anew["withdrawn"].any()
    assert faults(library) == []
    with pytest.raises(UsageError, match="there is nothing to undo"):
        lift(library.store, library.layout, find(library.store, library.layout, clip(library, "rain")))


def test_what_was_undone_may_be_withdrawn_again(library):
    withdrawn(library, clip(library, "rain"))
    lift(library.store, library.layout, find(library.store, library.layout, clip(library, "rain")))
    run = library.started("3", 1)
    library.commit(run, library.made(run, library.pair(0, clip(library, "tune"), clip(library, "rain"))))
    withdrawn(library, clip(library, "rain"))
    assert kept(library, "audio") == ["p2"]
    assert read_withdrawn(library.store, library.layout).refusal(Input("style", clip(library, "rain")))
    assert faults(library) == []


def test_by_another_name_nothing_is_undone_and_the_name_is_said(library):
    withdrawn(library, clip(library, "rain"))
    with pytest.raises(UsageError, match=f"--input {clip(library, 'rain')}: there is nothing to undo"):
        lift(library.store, library.layout, find(library.store, library.layout, RAIN))


def test_several_files_under_one_name_are_told_apart_and_one_of_them_can_be_taken(library):
    library.clip("rain", b"another rain")
    run = library.started("3", 1)
    library.commit(run, library.made(run, library.pair(0, clip(library, "tune"), clip(library, "rain"))))
    both = find(library.store, library.layout, clip(library, "rain"))
    other = sha256(b"another rain").hexdigest()
    assert both.files == {RAIN: 3, other: 1}
    assert find(library.store, library.layout, other).outputs["run_id"].tolist() == ["3"]


def test_a_network_that_was_trained_anew_without_the_clip_is_not_the_old_ones(library):
    rain, hum = clip(library, "rain"), library.clip("hum")
    library.trained("t1", rain, hum)
    withdrawn(library, hum)
    end = library.trained("t2", rain, library.clip("drops"))
    assert find(library.store, library.layout, hum).objects == []
    assert library.store.stat(end.network_uri)


def test_a_network_that_was_published_before_its_training_was_killed_is_deleted_too(library):
    rain, hum = clip(library, "rain"), library.clip("hum")
    library.trained("t1", rain, hum, ended=False)
    uri = library.layout.model(RAIN, "default")
    library.store.create(uri, save({"w": torch.zeros(1)}, text_of({"run_id": "t1"})))
    assert uri in [one.uri for one in find(library.store, library.layout, hum).objects]
    library.store.replace(uri, save({"w": torch.zeros(1)}, text_of({"run_id": "t0"})))
    assert uri not in [one.uri for one in find(library.store, library.layout, hum).objects]


def test_what_was_withdrawn_in_two_steps_is_undone_as_a_whole(library):
    """A run that was at work has read another file under that name meanwhile."""
    rain = clip(library, "rain")
    withdrawn(library, rain)
    library.clip("rain", b"another rain")
    run = library.started("3", 1)
    library.commit(run, library.made(run, library.pair(0, clip(library, "tune"), rain)))
    withdrawn(library, rain)
    assert len(lift(library.store, library.layout, find(library.store, library.layout, rain))) == 2
    stones = read_withdrawn(library.store, library.layout)
    assert (stones.by_uri, stones.by_digest) == ({}, {})


def test_undoing_a_name_leaves_what_was_withdrawn_by_its_digest(library):
    withdrawn(library, RAIN, reason="by order")
    withdrawn(library, clip(library, "rain"))
    lift(library.store, library.layout, find(library.store, library.layout, clip(library, "rain")))
    stones = read_withdrawn(library.store, library.layout)
    assert stones.refusal(Input("style", clip(library, "rain"))) is None
    assert "by order" in stones.refusal(Input("style", clip(library, "rain"), sha256=RAIN)).message


def test_a_pair_that_was_made_anew_since_stands_by_what_is_there(library):
    withdrawn(library, clip(library, "rain"))
    lift(library.store, library.layout, find(library.store, library.layout, clip(library, "rain")))
    run = library.started("3", 1)
    library.commit(run, library.made(run, library.pair(0, clip(library, "tune"), clip(library, "rain"))))
    stood = standing(library.root).set_index("pair_id")
    assert stood.loc["p0", "run_id"] == "3"
    assert stood.loc["p1", "run_id"] == "1"
