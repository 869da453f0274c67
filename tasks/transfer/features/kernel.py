"""The random convolution layer of Ulyanov and Lebedev (2016) with infinitely many filters, in closed form.

For Gaussian filters w, E[relu(w.p) relu(w.q)] is the arc-cosine kernel of order 1 (Cho and Saul 2009), up to a factor

    k(p, q) = |p| |q| J(c),   J(c) = (sin a + (pi - a) cos a) / pi,   c = cos a = p.q / (|p| |q|),

so sums over filters become sums over pairs of patches, and |F'F - S'S|^2 = |FF'|^2 - 2 |FS'|^2 + |SS'|^2 gives the
distance of two Gram matrices that nobody forms. Differs from Ulyanov and Lebedev: no filter is drawn, so none is
over-fitted, and patches of several widths count alike.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tasks.transfer.features import patches
from tasks.transfer.features.reference import Reference
from tasks.transfer.reduce import products, total
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import mask

TINY = 1e-20


@dataclass(frozen=True)
class Kernel:
    """k for all pairs of patches of one width, and its derivatives."""

    values: Tensor  # (batch, P, Q)
    by_product: Tensor  # dk / d(p.q), (batch, P, Q)
    sines: Tensor  # sin a / pi, (batch, P, Q): dk / d|p| is |q| times this


def arc_cosine(inner: Tensor, norms_p: Tensor, norms_q: Tensor) -> Kernel:
    """The kernel from inner products and norms; a patch of norm 0 (silent, or masked) has k = 0 with all others.

    Shape: inner (batch, P, Q), norms_p (batch, P), norms_q (batch, Q). No singularity where a = 0: the derivatives
    by p.q and by the norms are bounded, unlike those by a.
    """
    inverse_p, inverse_q = (torch.where(n > 0, 1 / n.clamp_min(TINY), 0) for n in (norms_p, norms_q))
    cosine = (inner * inverse_p[..., None] * inverse_q[..., None, :]).clamp(-1, 1)
    by_product = 1 - torch.acos(cosine) / math.pi
    sines = torch.sqrt(1 - cosine * cosine) / math.pi
    values = (sines + by_product * cosine) * norms_p[..., None] * norms_q[..., None, :]
    return Kernel(values, by_product, sines)


@dataclass(frozen=True)
class Side:
    """The constant half of the sums for one width: norms of the reference's patches and their own sum."""

    content_norms: Tensor  # (batch, P)
    content_total: Tensor  # (batch,) sum of k(c, c)
    style_norms: Tensor  # (batch, Q)
    style_total: Tensor  # (batch,) sum of k(s, s)^2 over all pairs, over Q^2
    content_mask: Tensor  # (batch, P)
    content_count: Tensor  # (batch,) patches of the content
    style_count: Tensor  # (batch,) patches of the style

    def select(self, items: Tensor) -> "Side":
        return Side(**{name: value[items] for name, value in vars(self).items()})


@dataclass(frozen=True)
class KernelLosses:
    """Losses by the infinitely wide layer, averaged over the widths."""

    reference: Reference
    steps: patches.Plan
    sides: dict[int, Side]

    @classmethod
    def of(cls, reference: Reference, settings: Settings, seed: int = 0) -> "KernelLosses":
        """`seed` is not used: nothing is drawn."""
        steps = patches.plan(settings.widths)
        squares = (reference.style * reference.style).sum(-1)
        content = (reference.content * reference.content).sum(-1)
        own = patches.diagonal_sums(products(reference.style, reference.style.mT), steps)
        sides = {}
        for width in settings.widths:
            content_count = reference.content_frames - width + 1
            style_count = reference.style_frames - width + 1
            content_mask = mask(content_count, content.shape[-1] - width + 1, content.dtype)
            style_mask = mask(style_count, squares.shape[-1] - width + 1, squares.dtype)
            style_norms = _norms(patches.window_sums(squares, width), style_mask)
            content_norms = _norms(patches.window_sums(content, width), content_mask)
            values = arc_cosine(own[width], style_norms, style_norms).values
            sides[width] = Side(
                content_norms,
                total(content_norms * content_norms),
                style_norms,
                total(values * values) / style_count.double() ** 2,
                content_mask,
                content_count,
                style_count,
            )
        return cls(reference, steps, sides)

    def select(self, items: Tensor) -> "KernelLosses":
        return KernelLosses(
            self.reference.select(items), self.steps, {w: side.select(items) for w, side in self.sides.items()}
        )

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        content, style = _Losses.apply(x, self)  # type: ignore[no-untyped-call]
        return content, style


def _norms(squares: Tensor, where: Tensor) -> Tensor:
    return torch.sqrt(squares.clamp_min(0)) * where


class _Losses(torch.autograd.Function):
    """(content, style) of a batch. The forward pass leaves the gradient but for two matrix products.

    With D = d loss / d A for A = X X' and E for A = X S': d loss / d X = 2 D X + E S, and the content adds a
    multiple of each row of the content. Norms of patches are the diagonals of S_K, so their gradients go there.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, losses: KernelLosses) -> tuple[Tensor, Tensor]:
        reference, count = losses.reference, len(losses.sides)
        own = patches.diagonal_sums(products(x, x.mT), losses.steps)
        cross = patches.diagonal_sums(products(x, reference.style.mT), losses.steps)
        with_content = (x * reference.content).sum(-1)
        squares = (x * x).sum(-1)
        content = style = x.new_zeros(len(x), dtype=torch.float64)
        own_back, cross_back = {}, {}
        content_own = content_cross = style_diagonal = torch.zeros_like(squares)
        for width, side in losses.sides.items():
            norms = _norms(patches.window_sums(squares, width), side.content_mask)
            inverse = torch.where(norms > 0, 1 / norms.clamp_min(TINY), 0)
            xx, xs = arc_cosine(own[width], norms, norms), arc_cosine(cross[width], norms, side.style_norms)
            # Weights of the two sums in the relative loss of this width.
            unit = 1 / (side.style_total.clamp_min(TINY) * count)
            w_xx = unit / side.content_count.double() ** 2
            w_xs = -2 * unit / (side.content_count.double() * side.style_count.double())
            style = style + w_xx * total(xx.values * xx.values) + w_xs * total(xs.values * xs.values) + 1 / count
            own_back[width] = 2 * _each(w_xx, x) * xx.values * xx.by_product
            cross_back[width] = 2 * _each(w_xs, x) * xs.values * xs.by_product
            slopes = 2 * _each(w_xx, x)[..., 0] * (xx.values * xx.sines * norms[..., None, :]).sum(-1)
            slopes = slopes + _each(w_xs, x)[..., 0] * (xs.values * xs.sines * side.style_norms[..., None, :]).sum(-1)
            style_diagonal = style_diagonal + patches.window_sums_back(slopes * inverse, width)
            # The content: k(x, x) - 2 k(x, c) + k(c, c) along the time.
            inner = patches.window_sums(with_content, width) * side.content_mask
            one = _along(inner, norms, side.content_norms)
            unit = 1 / (side.content_total.clamp_min(TINY) * count)
            difference = norms * norms - 2 * one.values + side.content_norms * side.content_norms
            content = content + unit * total(difference)
            slopes = 1 - one.sines * side.content_norms * inverse
            content_own = content_own + patches.window_sums_back(
                _each(unit, x)[..., 0] * slopes * side.content_mask, width
            )
            content_cross = content_cross + patches.window_sums_back(
                -2 * _each(unit, x)[..., 0] * one.by_product * side.content_mask, width
            )
        d = patches.diagonal_sums_back(own_back, losses.steps, own[1].shape)
        e = patches.diagonal_sums_back(cross_back, losses.steps, cross[1].shape)
        ctx.save_for_backward(x, d, e, style_diagonal, content_own, content_cross)
        ctx.reference = reference
        return content.to(x.dtype), style.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, by_content: Tensor, by_style: Tensor) -> tuple[Tensor, None]:
        x, d, e, style_diagonal, content_own, content_cross = ctx.saved_tensors
        style = 2 * (products(d, x) + style_diagonal[..., None] * x) + products(e, ctx.reference.style)
        content = 2 * content_own[..., None] * x + content_cross[..., None] * ctx.reference.content
        return by_style[:, None, None] * style + by_content[:, None, None] * content, None


def _each(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, None, None]


def _along(inner: Tensor, norms_p: Tensor, norms_q: Tensor) -> Kernel:
    """The kernel of each patch with its one partner. Shape: (batch, P) each."""
    found = arc_cosine(inner[..., None, None], norms_p[..., None], norms_q[..., None])
    return Kernel(*(t[..., 0, 0] for t in (found.values, found.by_product, found.sines)))
