"""The history of L-BFGS, kept so that a direction costs two passes over it and no wait for the device.

Steps s, changes of gradient y and the newest gradient g are rows of one matrix; its Gram matrix says all that the
recursion asks of them, so the direction is found in 2 H + 1 numbers (Chen, Wang and Zhou 2014) by the compact form of
Byrd, Nocedal and Schnabel (1994), and one product brings it back. Differs from both: each item of a batch has a place
in the ring of its own, since a step may be refused for one and taken for another.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tasks.transfer.reduce import products

LENGTH = 10


@dataclass
class History:
    """The last LENGTH steps of each item. The first axis of each tensor is the batch."""

    rows: Tensor  # (batch, 2 LENGTH + 1, numbers): s of each slot, y of each slot, the newest gradient
    gram: Tensor  # (batch, 2 LENGTH + 1, 2 LENGTH + 1), float64: their inner products
    good: Tensor  # (batch, LENGTH), bool: slots that hold a step along which the gradient grew
    slot: Tensor  # (batch,) the slot to be written next: the oldest

    @classmethod
    def empty(cls, gradient: Tensor) -> "History":
        """Shape: gradient (batch, numbers)."""
        batch, numbers = gradient.shape
        found = cls(
            gradient.new_zeros(batch, 2 * LENGTH + 1, numbers),
            gradient.new_zeros(batch, 2 * LENGTH + 1, 2 * LENGTH + 1, dtype=torch.float64),
            torch.zeros(batch, LENGTH, dtype=torch.bool, device=gradient.device),
            torch.zeros(batch, dtype=torch.long, device=gradient.device),
        )
        found.remember(gradient, gradient, gradient, torch.zeros_like(found.good[:, 0]))
        return found

    def select(self, items: Tensor) -> "History":
        return History(**{f.name: getattr(self, f.name)[items] for f in fields(self)})

    def remember(self, s: Tensor, y: Tensor, gradient: Tensor, taken: Tensor) -> None:
        """A step, for the items that took it, and all newest gradients. Shape: (batch, numbers), taken (batch,)."""
        new = torch.stack([s, y, gradient], 1)
        if not _all_on_cpu(taken):  # what is refused may be infinite, and must not reach the Gram matrix
            new[:, :2] = torch.where(taken[:, None, None], new[:, :2], 0)
        items = torch.arange(len(s), device=s.device)
        places = torch.stack([self.slot, self.slot + LENGTH, torch.full_like(self.slot, 2 * LENGTH)], 1)
        self._store(items, places, new)
        inner = products(self.rows, new.mT).double()
        self.gram.scatter_(2, places[:, None, :].expand_as(inner), inner)
        self.gram.scatter_(1, places[:, :, None].expand_as(inner.mT), inner.mT)
        curvature = self.gram[items, self.slot, self.slot + LENGTH]
        size = self.gram[items, self.slot + LENGTH, self.slot + LENGTH]
        self.good[items, self.slot] = taken & (curvature > 1e-10 * size) & (size > 0)
        self.slot = (self.slot + taken.long()) % LENGTH

    def _store(self, items: Tensor, places: Tensor, new: Tensor) -> None:
        if new.device.type == "cpu":  # an assignment by index is slow there
            for rows, place, values in zip(self.rows, places.tolist(), new, strict=True):
                for n, value in zip(place, values, strict=True):
                    rows[n] = value
        else:
            self.rows[items[:, None], places] = new

    @property
    def gradient_square(self) -> Tensor:
        """|g|^2 of the newest gradient, (batch,)."""
        return self.gram[:, -1, -1]

    def direction(self, first_scale: Tensor) -> Tensor:
        """Minus the estimate of the inverse Hessian times the newest gradient; (batch, numbers).

        Of an item without history, minus the gradient times `first_scale`, (batch,).
        """
        return -products(self._coefficients(first_scale).to(self.rows.dtype)[:, None], self.rows)[:, 0]

    def _coefficients(self, first_scale: Tensor) -> Tensor:
        """What the direction is made of, with the sign turned; (batch, 2 LENGTH + 1), float64."""
        order = (self.slot[:, None] + torch.arange(LENGTH, device=self.slot.device)) % LENGTH  # oldest first
        good = self.good.gather(1, order).double()
        both = good[..., None] * good[..., None, :]
        sy = self._inner(order, order + LENGTH) * both
        yy = self._inner(order + LENGTH, order + LENGTH) * both
        last = torch.full_like(order[:, :1], 2 * LENGTH)
        sg, yg = (self._inner(o, last) * good[..., None] for o in (order, order + LENGTH))
        diagonal = sy.diagonal(dim1=1, dim2=2)
        scale = _newest(diagonal / yy.diagonal(dim1=1, dim2=2).clamp_min(1e-300), good, first_scale)[:, None, None]
        # An empty slot is a row and a column of the unit matrix, whose unknown is 0.
        r = torch.triu(sy) + torch.diag_embed(1 - good)
        u = torch.linalg.solve_triangular(r, sg, upper=True)
        right = diagonal[..., None] * u + scale * (yy @ u) - scale * yg
        a = torch.linalg.solve_triangular(r.mT, right, upper=False)
        out = torch.zeros_like(self.gram[:, 0])
        out.scatter_(1, order, (a * good[..., None])[..., 0])
        out.scatter_(1, order + LENGTH, (-scale * u * good[..., None])[..., 0])
        out[:, -1] = scale[:, 0, 0]
        return out

    def _inner(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Some rows and columns of each item's Gram matrix."""
        width = self.gram.shape[-1]
        return self.gram.gather(1, rows[..., None].expand(-1, -1, width)).gather(
            2, columns[:, None].expand(-1, rows.shape[1], -1)
        )


def _newest(values: Tensor, good: Tensor, otherwise: Tensor) -> Tensor:
    """The last good value of each item, oldest first. Shape: (batch, LENGTH) twice, (batch,) -> (batch,)."""
    age = torch.arange(1, LENGTH + 1, device=good.device) * good
    newest = values.gather(1, age.argmax(1, keepdim=True))[:, 0]
    return torch.where(age.amax(1) > 0, newest, otherwise)


def _all_on_cpu(taken: Tensor) -> bool:
    """True for all items, where asking costs no wait for a device."""
    return taken.device.type == "cpu" and bool(taken.all())
