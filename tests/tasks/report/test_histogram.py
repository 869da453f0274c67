import math

from hypothesis import given
from hypothesis import strategies as st

from tasks.report.histogram import BARS, HEIGHT, WIDTH, histogram


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32)), st.booleans())
def test_whatever_the_values_the_bars_lie_within_the_drawing(values, powers):
    found = histogram("x", values, powers)
    finite = [value for value in values if math.isfinite(value) and (value > 0 or not powers)]
    assert (found is None) == (not finite)
    if found:
        assert (found.low, found.high, found.values) == (min(finite), max(finite), len(finite))
        assert max(found.bars) == 1
        for x, y, width, height in found.rectangles:
            assert x >= 0
            assert x + width <= WIDTH
            assert y + height == HEIGHT


def test_values_fall_where_they_belong():
    found = histogram("x", [0.0, 0.0, 0.0, 1.0])
    assert (found.bars[0], found.bars[-1], sum(found.bars)) == (1, 1 / 3, 4 / 3)
    spread = histogram("x", [1.0, 10.0, 100.0], powers=True)
    assert [n for n, bar in enumerate(spread.bars) if bar] == [0, BARS // 2, BARS - 1]
