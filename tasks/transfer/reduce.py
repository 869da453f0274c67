"""Sums and products over one item of a batch, in an order that does not depend on the batch."""

import torch
from torch import Tensor


def total(values: Tensor) -> Tensor:
    """Sum over all axes but the first, last axis first, the rest in float64. Shape: (batch, ...) -> (batch,)."""
    values = values.sum(-1).double()
    while values.dim() > 1:
        values = values.sum(-1)
    return values


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each item. Shape: (batch, rows, columns) twice -> (batch,), float64."""
    return total(a * b)


def products(a: Tensor, b: Tensor) -> Tensor:
    """Matrix products of each item. Shape: (batch, M, K), (batch, K, N) -> (batch, M, N).

    On a CPU one by one: how the library cuts a product among its threads depends on how many it is given.
    """
    if a.device.type == "cuda":
        return torch.bmm(a, b)
    if len(a) == 1:
        return (a[0] @ b[0])[None]  # the common case: nothing to copy
    return torch.stack([x @ y for x, y in zip(a, b, strict=True)])


def add_products(to: Tensor, a: Tensor, b: Tensor) -> None:
    """Add `products` of a and b in place."""
    if a.device.type == "cuda":
        to.baddbmm_(a, b)
    else:
        for found, x, y in zip(to, a, b, strict=True):
            found.addmm_(x, y)


def per_item(values: Tensor, like: Tensor) -> Tensor:
    """One value for each item, shaped and typed to multiply `like`. Shape: (batch,) -> (batch, 1, ...)."""
    return values.to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))
