"""Inner products of patches of several widths, without patches.

A patch is `K` neighbouring frames. With A[t, u] = x_t . y_u, the inner product of the patches that begin at t and u is
the sum of A along a diagonal, S_K[t, u] = sum_{d<K} A[t+d, u+d]; wider ones come from narrower ones,
S_{a+b}[t, u] = S_a[t, u] + S_b[t+a, u+a], and gradients go the same way back.
"""

from collections.abc import Iterable, Sequence

import torch
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


def diagonal_sums_back(gradients: dict[int, Tensor], steps: Plan) -> Tensor:
    """The transpose of `diagonal_sums`: gradients of the S_K (changed in place) to that of the products."""
    found = dict(gradients)
    for width, a, b in reversed(steps):
        if width in found:
            _add(found, a, found[width], 0, b)
            _add(found, b, found[width], a, 0)
    return found[1]


def _add(found: dict[int, Tensor], width: int, gradient: Tensor, first: int, rest: int) -> None:
    """Add a gradient, `first` rows and columns in, to that of a narrower width, which is larger by `first` + `rest`."""
    rows, columns = gradient.shape[-2:]
    if width in found:
        found[width][..., first : first + rows, first : first + columns] += gradient
    else:
        found[width] = pad(gradient, (first, rest, first, rest))


def window_sums(values: Tensor, width: int) -> Tensor:
    """Sums of `width` neighbours. Shape: (batch, T) -> (batch, T - width + 1)."""
    return values.unfold(-1, width, 1).sum(-1)


def window_sums_back(gradient: Tensor, width: int) -> Tensor:
    """The transpose of `window_sums`. Shape: (batch, P) -> (batch, P + width - 1)."""
    return window_sums(pad(gradient, (width - 1, width - 1)), width)


def windows(values: Tensor, widths: Sequence[int]) -> Tensor:
    """`window_sums` of all widths, 0 where no window begins. Shape: (..., T) -> (..., widths, T)."""
    return torch.stack([pad(window_sums(values, width), (0, width - 1)) for width in widths], -2)


def windows_back(gradient: Tensor, widths: Sequence[int]) -> Tensor:
    """The transpose of `windows`. Shape: (..., widths, T) -> (..., T)."""
    frames = gradient.shape[-1]
    each = [window_sums_back(gradient[..., n, : frames - width + 1], width) for n, width in enumerate(widths)]
    return torch.stack(each).sum(0)
