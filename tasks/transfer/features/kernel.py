"""The random convolution layer of Ulyanov and Lebedev (2016) with infinitely many filters, in closed form.

For Gaussian filters w, E[relu(w.p) relu(w.q)] is the arc-cosine kernel of order 1 (Cho and Saul 2009), up to a factor

    k(p, q) = |p| |q| J(c),   J(c) = (sin a + (pi - a) cos a) / pi,   c = cos a = p.q / (|p| |q|),

so sums over filters become sums over pairs of patches, and |F'F - S'S|^2 = |FF'|^2 - 2 |FS'|^2 + |SS'|^2 gives the
distance of two Gram matrices that nobody forms. Differs from Ulyanov and Lebedev: no filter is drawn, so none is
over-fitted, and patches of several widths count alike.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer.features import patches
from tasks.transfer.features.reference import Part, Reference, end_to_end, weights_end_to_end
from tasks.transfer.reduce import per_item, products, total
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import mask

TINY = 1e-20


@dataclass(frozen=True)
class Kernel:
    """pi J(c) for all pairs of patches of one width, and what its derivatives need. Shape: (batch, P, Q) each."""

    turned: Tensor  # -c
    value: Tensor  # pi J(c)
    slope: Tensor  # pi J'(c) = pi - a

    @classmethod
    def of(cls, inner: Tensor, norms_p: Tensor, norms_q: Tensor) -> "Kernel":
        """From inner products and norms; a patch of norm 0 (silent, or masked) has c = 0 with all others.

        Shape: inner (batch, P, Q), norms_p (batch, P), norms_q (batch, Q). Every pass over P x Q numbers counts here,
        so they are changed in place, and acos(-c) is pi - a at once.
        """
        turned = inner * -_inverse(norms_p)[..., None]
        turned.mul_(_inverse(norms_q)[..., None, :]).clamp_(-1, 1)
        slope = torch.acos(turned)
        value = turned * turned
        torch.sub(1, value, out=value).sqrt_().addcmul_(turned, slope, value=-1)
        return cls(turned, value, slope)


def _inverse(norms: Tensor) -> Tensor:
    return torch.where(norms > 0, 1 / norms.clamp_min(TINY), 0)


@dataclass(frozen=True)
class Side:
    """The constant half of the sums for one width."""

    content_norms: Tensor  # (batch, P)
    content_total: Tensor  # (batch,) sum of k(c, c)
    content_mask: Tensor  # (batch, P)
    content_count: Tensor  # (batch,) patches of the content
    norms: Tensor  # (batch, Q) of the target's patches
    weights: Tensor  # (batch, Q) their shares of the target
    target_total: Tensor  # (batch,) |Gram matrix of the target|^2
    style_total: Tensor  # (batch,) |Gram matrix of the styles|^2: the unit of the relative loss

    def select(self, items: Tensor) -> "Side":
        return Side(**{name: value[items] for name, value in vars(self).items()})


@dataclass(frozen=True)
class KernelLosses:
    """Losses by the infinitely wide layer, averaged over the widths."""

    content: Tensor
    rows: Tensor  # (batch, frames of the target, bins)
    steps: patches.Plan
    sides: dict[int, Side]

    @classmethod
    def of(cls, reference: Reference, settings: Settings, seed: int = 0) -> "KernelLosses":
        """`seed` is not used: nothing is drawn."""
        steps, target = patches.plan(settings.widths), reference.target()
        rows = end_to_end(target)
        target_totals = _gram_totals(target, steps, settings.widths)
        pure = target_totals if reference.strength == 1 else _gram_totals(reference.styles, steps, settings.widths)
        content, squares = _squares(reference.content), _squares(rows)
        sides = {}
        for width in settings.widths:
            count = reference.content_frames - width + 1
            content_mask = mask(count, content.shape[-1] - width + 1, content.dtype)
            content_norms, weights = _norms(content, width, content_mask), weights_end_to_end(target, width)
            sides[width] = Side(
                content_norms,
                total(content_norms * content_norms),
                content_mask,
                count,
                _norms(squares, width, (weights > 0).to(squares.dtype)),
                weights,
                target_totals[width],
                pure[width],
            )
        return cls(reference.content, rows, steps, sides)

    def select(self, items: Tensor) -> "KernelLosses":
        sides = {width: side.select(items) for width, side in self.sides.items()}
        return KernelLosses(self.content[items], self.rows[items], self.steps, sides)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        content, style = _Losses.apply(x, self)  # type: ignore[no-untyped-call]
        return content, style


def _gram_totals(parts: tuple[Part, ...], steps: patches.Plan, widths: Iterable[int]) -> dict[int, Tensor]:
    """|Gram matrix of the parts|^2 for each width. Shape: (batch,) each."""
    rows = end_to_end(parts)
    squares = _squares(rows)
    inner = patches.diagonal_sums(products(rows, rows.mT), steps)
    totals = {}
    for width in widths:
        weights = weights_end_to_end(parts, width)
        norms = _norms(squares, width, (weights > 0).to(squares.dtype))
        value = Kernel.of(inner[width], norms, norms).value
        shares = weights * norms * norms
        totals[width] = total(value.mul_(value) * shares[..., None] * shares[..., None, :]) / math.pi**2
    return totals


def _squares(rows: Tensor) -> Tensor:
    return (rows * rows).sum(-1)


def _norms(squares: Tensor, width: int, where: Tensor) -> Tensor:
    return torch.sqrt(patches.window_sums(squares, width).clamp_min(0)) * where


class _Losses(torch.autograd.Function):
    """(content, style) of a batch. The forward pass leaves the gradient but for one matrix product.

    Patches of x meet those of x and those of the target in one matrix, Z = [x; target]: with D = d loss / d (x Z'),
    whose columns of x count twice since x is on both sides, d loss / d x = D Z. Norms of patches are sums of squares of
    rows, so their gradients are multiples of the rows of x; the content adds a multiple of each row of the content.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, losses: KernelLosses) -> tuple[Tensor, Tensor]:
        count = len(losses.sides)
        z = torch.cat([x, losses.rows], 1)
        inner = patches.diagonal_sums(products(x, z.mT), losses.steps)
        squares, with_content = _squares(x), (x * losses.content).sum(-1)
        content = style = x.new_zeros(len(x), dtype=torch.float64)
        back = {}
        content_own = content_cross = style_own = torch.zeros_like(squares)
        for width, side in losses.sides.items():
            norms = _norms(squares, width, side.content_mask)
            columns, share, twice = _columns(norms, side, width)
            unit = 1 / (side.style_total.clamp_min(TINY) * count)
            scale = per_item(unit / math.pi**2, norms)
            kernel = Kernel.of(inner.pop(width), norms, columns)
            slope = kernel.slope.mul_(kernel.value)
            square = kernel.value.mul_(kernel.value)
            sums = _rows_times(square, share * columns * columns)
            style = style + total(scale * norms * norms * sums) + unit * side.target_total
            # d/d|p| of k^2 is 2 |p| |q|^2 J (J - c J'): once more by the rows.
            sums = _rows_times(square.addcmul_(kernel.turned, slope), twice * columns * columns)
            style_own = style_own + patches.window_sums_back(2 * scale * side.content_mask * sums, width)
            slope.mul_((2 * scale * norms)[..., None]).mul_((twice * columns)[..., None, :])
            back[width] = slope
            # The content: k(x, x) - 2 k(x, c) + k(c, c) along the time.
            along = patches.window_sums(with_content, width) * side.content_mask
            difference, own, cross = _apart(along, norms, side.content_norms)
            unit = 1 / (side.content_total.clamp_min(TINY) * count)
            content = content + unit * total(difference)
            scale = per_item(unit, norms) * side.content_mask
            content_own = content_own + patches.window_sums_back(scale * own, width)
            content_cross = content_cross + patches.window_sums_back(scale * cross, width)
        d = patches.diagonal_sums_back(back, losses.steps)
        ctx.save_for_backward(x, z, d, style_own, content_own, content_cross)
        ctx.content = losses.content
        return content.to(x.dtype), style.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, by_content: Tensor, by_style: Tensor) -> tuple[Tensor, None]:
        x, z, d, style_own, content_own, content_cross = ctx.saved_tensors
        of_x = by_style[:, None] * style_own + by_content[:, None] * content_own
        of_content = by_content[:, None] * content_cross
        found = products(d, z).mul_(by_style[:, None, None])
        return found.addcmul_(x, of_x[..., None]).addcmul_(ctx.content, of_content[..., None]), None


def _columns(norms: Tensor, side: Side, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of the patches of [x; target]: norms, weights in the loss, and the weights with x counted twice; (batch, V)."""
    count = side.content_count.to(norms.dtype)[:, None]
    columns = torch.cat([pad(norms, (0, width - 1)), side.norms], -1)
    of_x, of_target = (1 / count**2).expand(-1, norms.shape[-1] + width - 1), -2 / count * side.weights
    return columns, torch.cat([of_x, of_target], -1), torch.cat([2 * of_x, of_target], -1)


def _rows_times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Shape: (batch, P, V), (batch, V) -> (batch, P)."""
    return products(matrix, vector[..., None])[..., 0]


def _apart(inner: Tensor, norms_p: Tensor, norms_q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """|f(p) - f(q)|^2 of each patch and its one partner, and its derivatives by |p|^2 and p.q, doubled: (batch, P)."""
    one = Kernel.of(inner[..., None, None], norms_p[..., None], norms_q[..., None])
    turned, value, slope = (t[..., 0, 0] for t in (one.turned, one.value / math.pi, one.slope / math.pi))
    difference = norms_p * norms_p - 2 * value * norms_p * norms_q + norms_q * norms_q
    # dk/d|p| = |q| (J - c J') = |q| sin a / pi, and d|p|/d|p|^2 = 1 / 2|p|.
    own = 2 - 2 * (value + turned * slope) * norms_q * _inverse(norms_p)
    return difference, own, -2 * slope
