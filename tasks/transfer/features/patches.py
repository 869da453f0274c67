"""Inner products of patches of several widths, without patches.

A patch is `K` neighbouring frames. With A[t, u] = x_t . y_u, the inner product of the patches that begin at t and u is
the sum of A along a diagonal, S_K[t, u] = sum_{d<K} A[t+d, u+d]; wider ones come from narrower ones,
S_{a+b}[t, u] = S_a[t, u] + S_b[t+a, u+a], and gradients go the same way back.
"""

from collections.abc import Iterable

from torch import Tensor
from torch.nn.functional import pad

Plan = tuple[tuple[int, int, int], ...]
"""(K, a, b) in rising order: S_K comes from S_a and S_b, K = a + b."""


def plan(widths: Iterable[int]) -> Plan:
    """How to come to all `widths` from 1, by doubling where that goes."""
    needed: dict[int, tuple[int, int, int]] = {}

    def need(width: int) -> None:
        if width > 1 and width not in needed:
            a, b = (width // 2, width // 2) if width % 2 == 0 else (width - 1, 1)
            need(a)
            needed[width] = (width, a, b)

    for width in widths:
        need(width)
    return tuple(needed[width] for width in sorted(needed))


def diagonal_sums(products: Tensor, steps: Plan) -> dict[int, Tensor]:
    """S_K for 1 and every K of the plan. Shape: (batch, T, U) -> (batch, T - K + 1, U - K + 1) each."""
    sums = {1: products}
    for width, a, b in steps:
        rows, columns = products.shape[-2] - width + 1, products.shape[-1] - width + 1
        sums[width] = sums[a][..., :rows, :columns] + sums[b][..., a : a + rows, a : a + columns]
    return sums


def diagonal_sums_back(gradients: dict[int, Tensor], steps: Plan, shape: tuple[int, ...]) -> Tensor:
    """The transpose of `diagonal_sums`: gradients of the S_K (changed in place) to that of the products, of `shape`."""
    found = dict(gradients)
    first = next(iter(found.values()))

    def of(width: int) -> Tensor:
        if width not in found:
            found[width] = first.new_zeros(*shape[:-2], shape[-2] - width + 1, shape[-1] - width + 1)
        return found[width]

    for width, a, b in reversed(steps):
        if width in found:
            rows, columns = found[width].shape[-2:]
            of(a)[..., :rows, :columns] += found[width]
            of(b)[..., a : a + rows, a : a + columns] += found[width]
    return of(1)


def window_sums(values: Tensor, width: int) -> Tensor:
    """Sums of `width` neighbours. Shape: (batch, T) -> (batch, T - width + 1)."""
    return values.unfold(-1, width, 1).sum(-1)


def window_sums_back(gradient: Tensor, width: int) -> Tensor:
    """The transpose of `window_sums`. Shape: (batch, P) -> (batch, P + width - 1)."""
    return window_sums(pad(gradient, (width - 1, width - 1)), width)
