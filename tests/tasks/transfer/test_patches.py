import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.transfer.features.patches import diagonal_sums, diagonal_sums_back, plan, window_sums, window_sums_back

widths = st.sets(st.integers(1, 12), min_size=1, max_size=4)


def naive(x, y, width):
    """Inner products of patches, by making the patches."""
    patches = [t.unfold(1, width, 1).flatten(2) for t in (x, y)]
    return patches[0] @ patches[1].mT


@given(widths, st.integers(12, 20), st.integers(12, 20), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_diagonal_sums_are_inner_products_of_patches(wanted, rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(2, n, 3, generator=generator, dtype=torch.float64) for n in (rows, columns))
    sums = diagonal_sums(x @ y.mT, plan(wanted))
    for width in wanted:
        torch.testing.assert_close(sums[width], naive(x, y, width))  # float64: the defaults of assert_close, 1e-7


@given(widths, st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_the_way_back_is_the_transpose(wanted, seed):
    generator = torch.Generator().manual_seed(seed)
    products = torch.randn(2, 14, 17, generator=generator, dtype=torch.float64, requires_grad=True)
    steps = plan(wanted)
    sums = diagonal_sums(products, steps)
    weights = {w: torch.randn(sums[w].shape, generator=generator, dtype=torch.float64) for w in wanted}
    (by_autograd,) = torch.autograd.grad(sum((sums[w] * weights[w]).sum() for w in wanted), products)
    torch.testing.assert_close(diagonal_sums_back(weights, steps), by_autograd)


def test_powers_of_two_come_by_doubling():
    assert plan([2, 8, 32]) == ((2, 1, 1), (4, 2, 2), (8, 4, 4), (16, 8, 8), (32, 16, 16))


def test_window_sums_and_their_transpose_agree():
    x, y = torch.randn(2, 9, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)
    torch.testing.assert_close((window_sums(x, 4) * y).sum(), (x * window_sums_back(y, 4)).sum())
