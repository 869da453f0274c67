"""What went into a network, and what a network has made."""

import pytest

from tasks.lineage.trace import lineage
from tasks.results import read_results
from tasks.store import join


@pytest.fixture
def network(two_runs):
    """Of the rain, trained on the tune, its copy, and the hum; it has made p0 of run 3, of the bells."""
    tune, hum = (two_runs.clip(name) for name in ("tune", "hum"))
    end = two_runs.trained("t1", two_runs.clip("rain"), tune, two_runs.clip("copy", b"tune"), hum)
    run = two_runs.started("3", 1)
    pair = two_runs.pair(0, two_runs.clip("bells"), two_runs.clip("rain"))
    two_runs.commit(run, two_runs.made(run, pair, model_sha256=end.network_sha256))
    return end


def asked(library, text):
    return lineage(library.store, library.layout, text)


def test_an_output_tells_the_network_that_made_it_its_style_and_its_corpus(two_runs, network):
    told = asked(two_runs, "3/0").made[0]["network"]
    assert (told["training"], told["network"]) == ("t1", network.network_uri)
    assert (told["style_uri"], told["corpus_uri"]) == (join(two_runs.root, "clips/rain"), join(two_runs.root, "clips"))
    assert (told["corpus_sha256"], told["sources"]) == ("c" * 64, 2), "a copy is no source of its own"
    assert asked(two_runs, "1/0").made[0]["network"] is None


@pytest.mark.parametrize(
    ("name", "role"), [("rain", "style"), ("tune", "corpus"), ("copy", "corpus"), ("hum", "corpus")]
)
def test_a_clip_tells_the_networks_that_it_went_into_and_how_many_outputs_they_have_made(two_runs, network, name, role):
    [told] = asked(two_runs, join(two_runs.root, "clips", name)).networks
    assert (told["training"], told["as"], told["outputs"]) == ("t1", role, 1)


@pytest.mark.parametrize("by", ["training", "uri", "digest", "beginning"])
def test_a_network_is_found_by_each_of_its_names_with_what_it_has_made(two_runs, network, by):
    text = {"training": "t1", "uri": network.network_uri, "digest": network.network_sha256}.get(
        by, network.network_sha256[:12]
    )
    found = asked(two_runs, text)
    assert [one["as"] for one in found.networks] == [None]
    made = found.derived[["run_id", "role", "input_uri"]].to_numpy().tolist()
    assert made == [["3", "network", network.network_uri]]


def test_a_training_without_an_end_is_told_as_well(two_runs):
    two_runs.trained("t2", two_runs.clip("bells"), two_runs.clip("hum"), ended=False)
    [told] = asked(two_runs, join(two_runs.root, "clips/hum")).networks
    assert (told["training"], told["network"], told["outputs"]) == ("t2", None, 0)


def test_what_was_made_of_a_clip_and_trained_on_counts_as_the_clip(two_runs):
    rows = read_results(two_runs.store, two_runs.layout).set_index("pair_id")
    two_runs.trained("t3", two_runs.clip("hum"), rows.loc["p2", "audio_uri"])
    assert [one["training"] for one in asked(two_runs, join(two_runs.root, "clips/bells")).networks] == ["t3"]
