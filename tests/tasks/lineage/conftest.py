import pytest

from tests.tasks.lineage.support import Library


@pytest.fixture
def library(any_root):
    """Two tunes, two textures and no run yet, in every kind of store."""
    library = Library(any_root)
    for name in ("tune", "song", "rain", "bells"):
        library.clip(name)
    return library


@pytest.fixture
def two_runs(library):
    """Three pairs in a run and its rerun: two of the rain, one of the bells."""
    tune, song, rain, bells = (library.clip(name) for name in ("tune", "song", "rain", "bells"))
    first = library.started("1", 3)
    library.commit(first, library.made(first, library.pair(0, tune, rain, strength=0.5)), torch="2.1", host="h1")
    second = library.started("2", 3, parent="1")
    library.commit(
        second,
        library.made(second, library.pair(1, song, rain)),
        library.made(second, library.pair(2, tune, bells)),
    )
    return library
