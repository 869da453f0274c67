import gc

import pytest

from tasks.uncollected import uncollected


def test_nothing_is_collected_meanwhile_and_what_was_made_is_looked_through_no_more():
    with uncollected():
        assert not gc.isenabled()
        made = [[] for _ in range(100)]
    assert gc.isenabled()
    assert not any(one is made for one in gc.get_objects())


def test_an_import_that_fails_leaves_the_collector_on():
    with pytest.raises(ModuleNotFoundError), uncollected():
        raise ModuleNotFoundError
    assert gc.isenabled()
