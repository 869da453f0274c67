"""An output is stale when an input is another than it was made from, until it is made anew."""

from tasks.lineage.stale import CHANGED, GONE, look
from tasks.store import join


def stale(library):
    found = look(library.store, library.layout)
    return {one.row["pair_id"]: {uri.rsplit("/", 1)[1]: what for uri, what in one.inputs.items()}
            for one in found.stale}  # fmt: skip


def unchanged(library, name):
    """The clip, which is there already."""
    return join(library.root, "clips", name)


def a_run(library):
    run = library.started("1", 2)
    library.commit(
        run,
        library.made(run, library.pair(0, unchanged(library, "tune"), unchanged(library, "rain"))),
        library.made(run, library.pair(1, unchanged(library, "song"), unchanged(library, "bells"))),
    )


def test_while_the_inputs_are_as_they_were_nothing_is_stale(library):
    a_run(library)
    assert stale(library) == {}


def test_what_was_made_from_a_clip_that_has_changed_or_gone_is_stale(library):
    a_run(library)
    library.clip("rain", b"other rain")
    library.store.delete(unchanged(library, "song"))
    assert stale(library) == {"p0": {"rain": CHANGED}, "p1": {"song": GONE}}


def test_what_was_made_anew_since_is_not_stale_any_more(library):
    a_run(library)
    library.clip("rain", b"other rain")
    run = library.started("2", 2)
    library.commit(run, library.made(run, library.pair(0, unchanged(library, "tune"), unchanged(library, "rain"))))
    assert stale(library) == {}
    library.clip("rain", b"a third rain, longer")
    assert stale(library) == {"p0": {"rain": CHANGED}}


def test_an_input_that_no_run_may_read_is_not_looked_at(library, tmp_path):
    outside = tmp_path / "secret.wav"
    outside.write_bytes(b"secret")
    a_run(library)
    run = library.started("2", 1)
    forbidden = f"file://{outside}"
    library.commit(run, library.made(run, library.pair(0, forbidden, unchanged(library, "rain"))))
    outside.unlink()
    found = look(library.store, library.layout)
    assert found.stale == [], "not even that it is gone is known"
    assert list(found.unseen) == [forbidden]
    assert "lies outside the places" in found.unseen[forbidden]
