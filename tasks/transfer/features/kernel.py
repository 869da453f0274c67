"""The random convolution layer of Ulyanov and Lebedev (2016) with infinitely many filters, in closed form.

For Gaussian filters w, E[relu(w.p) relu(w.q)] is the arc-cosine kernel of order 1 (Cho and Saul 2009), up to a factor

    k(p, q) = |p| |q| J(c),   J(c) = (sin a + (pi - a) cos a) / pi,   c = cos a = p.q / (|p| |q|),

so sums over filters become sums over pairs of patches, and |F'F - S'S|^2 = |FF'|^2 - 2 |FS'|^2 + |SS'|^2 gives the
distance of two Gram matrices that nobody forms. Differs from Ulyanov and Lebedev: no filter is drawn, so none is
over-fitted, and patches of several widths count alike.
"""

import math
from collections.abc import Sequence
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
    """What is constant in the sums for one width. Columns are the patches of [x; target]."""

    content_norms: Tensor  # (batch, P)
    content_mask: Tensor  # (batch, P)
    content_unit: Tensor  # (batch, 1): makes the content loss relative, and a mean over the widths
    norms: Tensor  # (batch, Q) of the target's patches
    shares: Tensor  # (batch, columns): of (pi J |p| |q|)^2 in the relative style loss
    twice: Tensor  # the same, with the columns of x counted twice
    constant: Tensor  # (batch,) share of the target with itself

    @classmethod
    def of(cls, reference: Reference, width: int, grams: tuple[Tensor, Tensor], squares: Tensor, count: int) -> "Side":
        """grams: |Gram matrix|^2 of target and styles; squares: of the target's rows; one of `count` widths."""
        content_count = reference.content_frames - width + 1
        inside = mask(content_count, reference.content.shape[1] - width + 1, squares.dtype)
        content_norms = _norms(_squares(reference.content), width, inside)
        weights = weights_end_to_end(reference.target(), width)
        unit = 1 / (grams[1].clamp_min(TINY) * count)
        number = content_count.to(squares.dtype)[:, None]
        of_x = (1 / number**2).expand(-1, reference.content.shape[1])
        shares = [torch.cat([times * of_x, -2 / number * weights], -1) for times in (1, 2)]
        scale = per_item(unit / math.pi**2, squares)
        return cls(
            content_norms,
            inside,
            per_item(1 / (total(content_norms * content_norms).clamp_min(TINY) * count), squares),
            _norms(squares, width, (weights > 0).to(squares.dtype)),
            scale * shares[0],
            scale * shares[1],
            unit * grams[0],
        )

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
        steps, widths, target = patches.plan(settings.widths), settings.widths, reference.target()
        grams = gram_totals(target, widths)
        styles = grams if reference.strength == 1 else gram_totals(reference.styles, widths)
        rows = end_to_end(target)
        squares = _squares(rows)
        sides = {w: Side.of(reference, w, (grams[w], styles[w]), squares, len(widths)) for w in widths}
        return cls(reference.content, rows, steps, sides)

    def select(self, items: Tensor) -> "KernelLosses":
        sides = {width: side.select(items) for width, side in self.sides.items()}
        return KernelLosses(self.content[items], self.rows[items], self.steps, sides)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        content, style = _Losses.apply(x, self)  # type: ignore[no-untyped-call]
        return content, style


def gram_totals(parts: tuple[Part, ...], widths: Sequence[int]) -> dict[int, Tensor]:
    """|Gram matrix of the parts|^2 for each width. Shape: (batch,) each."""
    rows = end_to_end(parts)
    squares = _squares(rows)
    inner = patches.diagonal_sums(products(rows, rows.mT), patches.plan(widths))
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
        z = torch.cat([x, losses.rows], 1)
        inner = patches.diagonal_sums(_with_itself_first(x, z), losses.steps)
        squares, with_content = inner[1].diagonal(dim1=1, dim2=2), (x * losses.content).sum(-1)
        content = style = x.new_zeros(len(x), dtype=torch.float64)
        back = {}
        content_own = content_cross = style_own = torch.zeros_like(squares)
        for width, side in losses.sides.items():
            norms = _norms(squares, width, side.content_mask)
            columns = torch.cat([pad(norms, (0, width - 1)), side.norms], -1)
            kernel = Kernel.of(inner.pop(width), norms, columns)
            slope = kernel.slope.mul_(kernel.value)
            square = kernel.value.mul_(kernel.value)
            column_squares = columns * columns
            sums = _rows_times(square, side.shares * column_squares)
            style = style + total(norms * norms * sums) + side.constant
            # d/d|p| of k^2 is 2 |p| |q|^2 J (J - c J'): once more by the rows.
            sums = _rows_times(square.addcmul_(kernel.turned, slope), side.twice * column_squares)
            style_own = style_own + patches.window_sums_back(2 * side.content_mask * sums, width)
            back[width] = slope.mul_((2 * norms)[..., None]).mul_((side.twice * columns)[..., None, :])
            # The content: k(x, x) - 2 k(x, c) + k(c, c) along the time.
            along = patches.window_sums(with_content, width) * side.content_mask
            difference, own, cross = _apart(along, norms, side.content_norms)
            content = content + total(side.content_unit * difference)
            scale = side.content_unit * side.content_mask
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


def _with_itself_first(x: Tensor, z: Tensor) -> Tensor:
    """x z', where z begins with x, so that a quarter of the first part is known. (batch, T, F), (batch, V, F)."""
    if x.device.type == "cuda":
        return products(x, z.mT)
    frames, half = x.shape[1], x.shape[1] // 2
    out = x.new_empty(*x.shape[:2], z.shape[1])
    for found, rows, columns in zip(out, x, z, strict=True):
        torch.mm(rows[:half], columns.T, out=found[:half])
        torch.mm(rows[half:], columns[half:].T, out=found[half:, half:])
        found[half:, :half] = found[:half, half:frames].T
    return out


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
