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
from tasks.transfer.reduce import add_products, products, total
from tasks.transfer.settings import Settings

TINY = 1e-20


@dataclass(frozen=True)
class Kernel:
    """pi J(c), and what its derivatives need. All of one shape."""

    turned: Tensor  # -c
    value: Tensor  # pi J(c)
    slope: Tensor  # pi J'(c) = pi - a

    @classmethod
    def at(cls, turned: Tensor) -> "Kernel":
        """From -c, which is changed in place: every pass over P x Q numbers counts here. acos(-c) is pi - a at once."""
        slope = torch.acos(turned.clamp_(-1, 1))
        value = turned * turned
        torch.sub(1, value, out=value).sqrt_().addcmul_(turned, slope, value=-1)
        return cls(turned, value, slope)

    @classmethod
    def of(cls, inner: Tensor, inverses_p: Tensor, inverses_q: Tensor) -> "Kernel":
        """For all pairs of patches, from inner products, changed in place, and inverse norms (0: silent, or masked).

        Shape: inner (batch, P, Q), inverses_p (batch, P), inverses_q (batch, Q).
        """
        return cls.at(inner.mul_(-inverses_p[..., None]).mul_(inverses_q[..., None, :]))


def inverses(norms: Tensor) -> Tensor:
    """1 / norm, 0 where there is nothing."""
    return torch.where(norms > 0, norms.clamp_min(TINY).reciprocal(), 0)


@dataclass(frozen=True)
class Constants:
    """What is constant in the sums of each width, 0 where no patch begins. Columns are the patches of [x; target]."""

    content_norms: Tensor  # (batch, widths, frames)
    content_mask: Tensor  # (batch, widths, frames)
    content_unit: Tensor  # (batch, widths, 1): makes the content loss relative, and a mean over the widths
    norms: Tensor  # (batch, widths, frames of the target)
    shares: Tensor  # (batch, widths, columns): of (pi J |p| |q|)^2 in the relative style loss
    twice: Tensor  # the same, with the columns of x counted twice
    style: Tensor  # (batch,) share of the target with itself

    @classmethod
    def of(cls, reference: Reference, widths: Sequence[int], grams: dict[int, Tensor] | None = None) -> "Constants":
        """`grams` are the `gram_totals` of the target, where they are known already."""
        target, frames = reference.target(), reference.content.shape[1]
        grams = gram_totals(target, widths) if grams is None else grams
        styles = grams if reference.strength == 1 else gram_totals(reference.styles, widths)
        counts = torch.stack([reference.content_frames - width + 1 for width in widths], -1)
        content_mask = torch.arange(frames, device=counts.device) < counts[..., None]
        weights = torch.stack([pad(weights_end_to_end(target, width), (0, width - 1)) for width in widths], 1)
        content, rows = (patches.windows(_squares(r), widths) for r in (reference.content, end_to_end(target)))
        content = content * content_mask
        units = torch.stack([1 / (styles[width].clamp_min(TINY) * len(widths)) for width in widths], -1)
        number = counts[..., None].to(rows.dtype)
        of_x, of_target = (1 / number**2).expand(-1, -1, frames), -2 / number * weights
        scale = (units / math.pi**2)[..., None].to(rows.dtype)
        return cls(
            content.sqrt(),
            content_mask.to(rows.dtype),
            (1 / (_total_of_each(content).clamp_min(TINY) * len(widths)))[..., None].to(rows.dtype),
            rows.sqrt() * (weights > 0),
            scale * torch.cat([of_x, of_target], -1),
            scale * torch.cat([2 * of_x, of_target], -1),
            (units * torch.stack([grams[width] for width in widths], -1)).sum(-1),
        )

    def select(self, items: Tensor) -> "Constants":
        return Constants(**{name: value[items] for name, value in vars(self).items()})


@dataclass(frozen=True)
class KernelLosses:
    """Losses by the infinitely wide layer, averaged over the widths."""

    content: Tensor
    rows: Tensor  # (batch, frames of the target, bins)
    widths: tuple[int, ...]
    constants: Constants

    @classmethod
    def of(cls, reference: Reference, settings: Settings, seed: int = 0) -> "KernelLosses":
        """`seed` is not used: nothing is drawn."""
        rows, widths = end_to_end(reference.target()), settings.widths
        return cls(reference.content, rows, widths, Constants.of(reference, widths))

    def select(self, items: Tensor) -> "KernelLosses":
        return KernelLosses(self.content[items], self.rows[items], self.widths, self.constants.select(items))

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
        norms = patches.window_sums(squares, width) * (weights > 0)
        inverse = inverses(norms.sqrt())
        value = Kernel.of(inner[width], inverse, inverse).value
        shares = weights * norms
        totals[width] = total(value.mul_(value) * shares[..., None] * shares[..., None, :]) / math.pi**2
    return totals


def _squares(rows: Tensor) -> Tensor:
    return (rows * rows).sum(-1)


def _total_of_each(values: Tensor) -> Tensor:
    """Shape: (batch, widths, frames) -> (batch, widths), float64."""
    return values.sum(-1).double()


class _Losses(torch.autograd.Function):
    """(content, style) of a batch. The forward pass leaves the gradient but for one product each of x and the target.

    Patches of x meet those of x and those of the target in one matrix, x [x; target]'. With D = d loss / d of it, whose
    columns of x count twice since x is on both sides, d loss / d x = D [x; target]. Norms of patches are sums of
    squares of rows, so their gradients are multiples of the rows of x; the content adds a multiple of each of its rows.
    What has a number for each patch is done for all widths at once: small tensors cost their calls, not their size.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, losses: KernelLosses) -> tuple[Tensor, Tensor]:
        widths, own, frames = losses.widths, losses.constants, x.shape[1]
        plan = patches.plan(widths)
        inner = patches.diagonal_sums(_with_itself_first(x, losses.rows), plan)
        with_itself = inner[1].diagonal(dim1=1, dim2=2)
        with_both = torch.stack([with_itself, (x * losses.content).sum(-1)], 1)
        sums = patches.windows(with_both, widths) * own.content_mask[:, None]
        norms, along = sums[:, 0].clamp_min(0).sqrt(), sums[:, 1]
        columns = torch.cat([norms, own.norms], -1)
        column_inverses, squares = inverses(columns), columns * columns
        shares, twice, slopes = own.shares * squares, own.twice * squares, own.twice * columns
        norms_twice, by_rows, back = 2 * norms, [], {}
        for n, width in enumerate(widths):
            matrix = inner.pop(width)
            p, q = (slice(size) for size in matrix.shape[1:])
            kernel = Kernel.of(matrix, column_inverses[:, n, p], column_inverses[:, n, q])
            slope = kernel.slope.mul_(kernel.value)
            square = kernel.value.mul_(kernel.value)
            by_row = _rows_times(square, shares[:, n, q])
            # d/d|p| of k^2 is 2 |p| |q|^2 J (J - c J'): once more by the rows.
            both = by_row, _rows_times(square.addcmul_(kernel.turned, slope), twice[:, n, q])
            by_rows.append(pad(torch.stack(both, 1), (0, width - 1)))
            back[width] = slope.mul_(norms_twice[:, n, p, None]).mul_(slopes[:, n, None, q])
        by_row, by_row_twice = torch.stack(by_rows, 2).unbind(1)
        difference, of_own, of_cross = _apart(along, norms, own.content_norms, column_inverses[..., :frames])
        scale = own.content_unit * own.content_mask
        of_rows = torch.stack([2 * own.content_mask * by_row_twice, scale * of_own, scale * of_cross], 1)
        ctx.save_for_backward(x, patches.diagonal_sums_back(back, plan), patches.windows_back(of_rows, widths))
        ctx.content, ctx.rows = losses.content, losses.rows
        content, style = total(own.content_unit * difference), total(norms * norms * by_row) + own.style
        return content.to(x.dtype), style.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, by_content: Tensor, by_style: Tensor) -> tuple[Tensor, None]:
        x, d, of_rows = ctx.saved_tensors
        by_style, by_content = by_style[:, None], by_content[:, None]
        of_x = by_style * of_rows[:, 0] + by_content * of_rows[:, 1]
        found = products(d[..., : x.shape[1]], x)
        add_products(found, d[..., x.shape[1] :], ctx.rows)
        found.mul_(by_style[..., None]).addcmul_(x, of_x[..., None])
        return found.addcmul_(ctx.content, (by_content * of_rows[:, 2])[..., None]), None


def _with_itself_first(x: Tensor, rows: Tensor) -> Tensor:
    """x [x; rows]', (batch, frames, columns); on a CPU a quarter of x x' is copied and not computed."""
    if x.device.type == "cuda":
        return products(x, torch.cat([x, rows], 1).mT)
    frames, half = x.shape[1], x.shape[1] // 2
    out = x.new_empty(*x.shape[:2], frames + rows.shape[1])
    for found, own, others in zip(out, x, rows, strict=True):
        torch.mm(own[:half], own.T, out=found[:half, :frames])
        torch.mm(own[half:], own[half:].T, out=found[half:, half:frames])
        found[half:, :half] = found[:half, half:frames].T
        torch.mm(own, others.T, out=found[:, frames:])
    return out


def _rows_times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Shape: (batch, P, V), (batch, V) -> (batch, P)."""
    if matrix.device.type == "cuda":
        return products(matrix, vector[..., None])[..., 0]
    return torch.stack([each @ values for each, values in zip(matrix, vector, strict=True)])


def _apart(along: Tensor, norms: Tensor, content_norms: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """|f(p) - f(q)|^2 of each patch and that of the content, and its derivatives by |p|^2 and p.q, doubled.

    Shape: (batch, widths, frames) each; along: p.q; inverse: that of the norms.
    """
    kernel = Kernel.at(-along * inverse * inverses(content_norms))
    value, slope = kernel.value / math.pi, kernel.slope / math.pi
    difference = norms * norms - 2 * value * norms * content_norms + content_norms * content_norms
    # dk/d|p| = |q| (J - c J') = |q| sin a / pi, and d|p|/d|p|^2 = 1 / 2|p|.
    own = 2 - 2 * (value + kernel.turned * slope) * content_norms * inverse
    return difference, own, -2 * slope
