"""What made an output, and all that was made from a clip, asked by every name that it has."""

import io
from hashlib import sha256

import pytest
import soundfile

from tasks import attempts, results
from tasks.audio import Tag, decode, encode
from tasks.clips import synthesise
from tasks.lineage.trace import lineage
from tasks.records.reasons import PairError, Reason, UsageError
from tasks.results import read_results
from tasks.store import join


def asked(library, text):
    return lineage(library.store, library.layout, text)


def pairs_made_from(library, text):
    derived = asked(library, text).derived
    return list(zip(derived["run_id"], derived["pair_id"], derived["role"], strict=True))


def by_pair(library):
    return read_results(library.store, library.layout).set_index("pair_id")


@pytest.mark.parametrize("name", ["audio_uri", "pair_key", "audio_sha256", "attempt", "pair_id", "beginning"])
def test_an_output_is_found_by_each_of_its_names(two_runs, name):
    row = by_pair(two_runs).loc["p1"]
    text = {"attempt": "2/1", "pair_id": "p1", "beginning": row["audio_sha256"][:12]}.get(name) or row[name]
    [made] = asked(two_runs, text).made
    assert (made["attempt"], made["audio_uri"]) == ("2/1", row["audio_uri"])


def test_what_made_an_output_is_told_whole(two_runs):
    [made] = asked(two_runs, "1/0").made
    content, style = made["inputs"]
    assert (content["role"], content["uri"]) == ("content", join(two_runs.root, "clips/tune"))
    assert content["sha256"] == sha256(b"tune").hexdigest()
    assert content["etag"] == two_runs.store.stat(content["uri"]).etag
    assert (style["role"], style["weight"]) == ("style", 1.0)
    assert made["parameters"] == {"strength": {"value": 0.5, "default": 1.0}}
    assert (made["torch"], made["host"], made["manifest_uri"]) == ("2.1", "h1", "file:///m.parquet")


def test_a_run_is_all_that_it_made_and_the_runs_that_it_reruns(two_runs):
    made = asked(two_runs, "2").made
    assert [one["attempt"] for one in made] == ["2/1", "2/2"]
    assert [one["reruns"] for one in made] == [["1"], ["1"]]


@pytest.mark.parametrize("by", ["uri", "sha256", "beginning"])
def test_all_that_was_made_from_a_clip_is_found_in_all_runs(two_runs, by):
    digest = sha256(b"rain").hexdigest()
    text = {"uri": join(two_runs.root, "clips/rain"), "sha256": digest, "beginning": digest[:12]}[by]
    assert pairs_made_from(two_runs, text) == [("1", "p0", "style"), ("2", "p1", "style")]


@pytest.mark.parametrize("any_root", ["folder"], indirect=True)
@pytest.mark.parametrize("role", ["output", "input"])
def test_a_copy_under_another_name_is_known_by_its_digest(two_runs, tmp_path, role):
    row = by_pair(two_runs).loc["p1"]
    copy = tmp_path / "copy"
    copy.write_bytes(two_runs.store.read(row["audio_uri"]).data if role == "output" else b"rain")
    found = asked(two_runs, str(copy))
    if role == "output":
        assert [made["attempt"] for made in found.made] == ["2/1"]
    else:
        assert [made["attempt"] for made in found.made] == []
        assert list(found.derived["pair_id"]) == ["p0", "p1"]


@pytest.mark.parametrize("any_root", ["folder"], indirect=True)
def test_a_copy_that_was_converted_is_known_by_its_tag_and_one_of_another_root_says_whose_it_is(two_runs, tmp_path):
    row = by_pair(two_runs).loc["p1"]
    sound = synthesise("bells", 0.5, 8_000)
    original = encode(sound, 8_000, "flac", Tag(row["pair_key"], "2").text())
    with soundfile.SoundFile(io.BytesIO(original)) as file:
        comment = file.comment
    (tmp_path / "copy.ogg").write_bytes(
        encode(decode(original, sample_rate=8_000, max_seconds=9).samples, 8_000, "ogg", comment)
    )
    (tmp_path / "other.flac").write_bytes(encode(sound, 8_000, "flac", Tag("f" * 64, "9").text()))
    assert [made["attempt"] for made in asked(two_runs, str(tmp_path / "copy.ogg")).made] == ["2/1"]
    with pytest.raises(UsageError, match=f"its tag says pair_key {'f' * 64}, run 9"):
        asked(two_runs, str(tmp_path / "other.flac"))


@pytest.mark.parametrize("any_root", ["folder"], indirect=True)
def test_a_path_is_taken_from_the_working_directory(two_runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "root")
    assert pairs_made_from(two_runs, "clips/bells") == [("2", "p2", "style")]


def test_a_copy_of_a_clip_counts_as_the_clip_by_digest_and_once_it_lay_there_by_uri(two_runs):
    copy = two_runs.clip("copy", b"rain")
    run = two_runs.started("3", 1)
    two_runs.commit(run, two_runs.made(run, two_runs.pair(0, copy, two_runs.clip("bells"))))
    assert ("3", "p0", "content") in pairs_made_from(two_runs, join(two_runs.root, "clips/rain"))


def test_what_was_made_from_an_output_was_made_from_its_inputs_too(two_runs):
    through = by_pair(two_runs).loc["p2", "audio_uri"]
    run = two_runs.started("3", 1)
    two_runs.commit(run, two_runs.made(run, two_runs.pair(0, through, two_runs.clip("rain"))))
    derived = asked(two_runs, join(two_runs.root, "clips/bells")).derived
    assert derived[["run_id", "input_uri"]].to_numpy().tolist() == [
        ["2", join(two_runs.root, "clips/bells")],
        ["3", through],
    ]
    both = asked(two_runs, through)
    assert [one["attempt"] for one in both.made] == ["2/2"]
    assert both.derived["run_id"].tolist() == ["3"]


def test_a_served_attempt_tells_who_computed_its_audio_and_where(two_runs):
    [row] = results.rows_of(read_results(two_runs.store, two_runs.layout, ["1"]))
    run = two_runs.started("3", 8)
    pair = two_runs.pair(7, two_runs.clip("tune"), two_runs.clip("rain"), strength=0.5)
    two_runs.commit(run, attempts.served(pair, row, row["committed_at"]), torch="9.9")
    [made] = asked(two_runs, "3/7").made
    assert (made["served_by"], made["torch"], made["audio_uri"]) == ("1/0", "2.1", row["audio_uri"])
    [maker] = asked(two_runs, "1/0").made
    assert maker["serves"] == ["3/7"]
    assert ("3", "p7", "style") in pairs_made_from(two_runs, join(two_runs.root, "clips/rain"))


def test_a_pair_that_failed_has_a_lineage_and_is_no_output(two_runs):
    run = two_runs.started("3", 1)
    pair = two_runs.pair(0, two_runs.clip("silence"), two_runs.clip("rain"))
    two_runs.commit(run, attempts.failed(pair, PairError(Reason.INPUT_SILENT, "why")))
    [made] = asked(two_runs, "3/0").made
    assert (made["status"], made["reason"], made["audio_uri"]) == ("failed", "input_silent", None)
    assert "3" not in asked(two_runs, join(two_runs.root, "clips/rain")).derived["run_id"].tolist()


@pytest.mark.parametrize("text", ["nobody", "clips/nothing.wav", "0123456789ab", "http://host/a.wav", ""])
def test_what_has_nothing_to_do_with_the_root_is_said_so_with_what_can_be_asked(two_runs, text):
    with pytest.raises(UsageError, match=r"(?s)was made by or from .*; ask for the URI, sha256 .* of an input"):
        asked(two_runs, text)
