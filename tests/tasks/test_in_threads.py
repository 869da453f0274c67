from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from tasks import in_threads as module
from tasks.in_threads import in_threads


@given(st.integers(0, 300), st.integers(1, 100), st.integers(1, 40))
def test_each_is_called_once_in_its_order_however_many_wait(count, at_once, each):
    with mock.patch.multiple(module, AT_ONCE=at_once, EACH=each):
        assert list(in_threads(lambda one: -one, range(count))) == [-one for one in range(count)]
