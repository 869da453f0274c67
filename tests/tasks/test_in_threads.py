from hypothesis import given
from hypothesis import strategies as st

from tasks.in_threads import in_threads


@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 100))
def test_each_is_called_once_in_its_order_however_many_wait(count, each, ahead):
    assert list(in_threads(lambda one: -one, range(count), each, ahead)) == [-one for one in range(count)]


def test_nothing_is_begun_far_ahead_of_what_is_taken():
    begun = []
    found = in_threads(lambda one: begun.append(one) or one, range(1_000), each=1, ahead=8)
    for taken in range(500):
        assert next(found) == taken
        assert max(begun) < taken + 9
    found.close()
    assert max(begun) < 508
