"""Sums over one item of a batch whose bits do not depend on the batch."""

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


def per_item(values: Tensor, like: Tensor) -> Tensor:
    """One value for each item, shaped and typed to multiply `like`. Shape: (batch,) -> (batch, 1, ...)."""
    return values.to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))
