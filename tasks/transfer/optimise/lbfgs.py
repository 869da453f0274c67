"""L-BFGS on a batch, every item with its own step length, history, stopping rule and verdict.

Two-loop recursion (Nocedal and Wright 2006, algorithm 7.4), backtracking by interpolation, and, where x may not be
negative, projection (Bertsekas 1982: entries at the bound whose gradient pushes outwards take no part).

Differs from a loop over items: all go in lock-step of evaluations. A step that is refused for an item leaves an empty
slot (rho = 0) in its history, so an item's arithmetic depends on its own past alone, whoever else is in the batch.
"""

from collections.abc import Generator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tasks.transfer.optimise.problem import STALL_SHARE, STALL_STEPS, Evaluation, Problem, Record, Solution, record_of
from tasks.transfer.reduce import dot, per_item

HISTORY = 10
ARMIJO = 1e-4
MAX_REFUSED = 12
FIRST_STEP = 0.5
"""Longest first step as a share of |x|; a start from noise has a tiny gradient, so it is scaled and not trusted."""


@dataclass
class _State:
    """Everything that belongs to the items still in work; the first axis of each is the batch."""

    item: Tensor  # index in the batch that was given
    x: Tensor
    loss: Tensor
    content: Tensor
    style: Tensor
    gradient: Tensor
    direction: Tensor
    step: Tensor
    refused: Tensor  # refused steps in a row
    accepted: Tensor
    past: Tensor  # (batch, STALL_STEPS) losses of the last accepted steps, newest last
    s: Tensor  # (batch, HISTORY, rows, columns)
    y: Tensor
    rho: Tensor  # (batch, HISTORY), 1 / s.y; 0 marks an empty slot
    scale: Tensor  # (batch, HISTORY), s.y / y.y

    def select(self, items: Tensor) -> "_State":
        return _State(**{f.name: getattr(self, f.name)[items] for f in fields(self)})


def lbfgs(
    problem: Problem, x: Tensor, budget: int, nonnegative: bool = False
) -> Generator[Record, None, list[Solution]]:
    """Minimise each item of `problem` from x, (batch, rows, columns), with at most `budget` evaluations an item.

    Yields a record for each evaluation and returns a solution for each item.
    """
    solutions: dict[int, Solution] = {}
    found = problem.evaluate(x)
    state = _start(x, found, nonnegative)
    yield record_of(1, state.item, found)
    evaluation = 1
    while True:
        reason = _verdicts(state, evaluation >= budget)
        state, problem = _leave(state, problem, reason, evaluation, solutions)
        if not len(state.item):
            return [solutions[n] for n in sorted(solutions)]
        trial = _moved(state.x, state.direction, state.step, nonnegative)
        found = problem.evaluate(trial)
        evaluation += 1
        yield record_of(evaluation, state.item, found)
        _judge(state, trial, found, slot=evaluation % HISTORY, nonnegative=nonnegative)


def _start(x: Tensor, found: Evaluation, nonnegative: bool) -> _State:
    batch = len(x)
    free = _free(x, found.gradient, nonnegative)
    zeros = x.new_zeros(batch, HISTORY, *x.shape[1:])
    return _State(
        item=torch.arange(batch),
        x=x,
        loss=found.total,
        content=found.content,
        style=found.style,
        gradient=found.gradient,
        direction=-per_item(_first_scale(x, found.total, free), free) * free,
        step=torch.ones_like(found.total),
        refused=torch.zeros_like(found.total),
        accepted=torch.zeros_like(found.total),
        past=found.total[:, None].repeat(1, STALL_STEPS),
        s=zeros,
        y=zeros.clone(),
        rho=found.total.new_zeros(batch, HISTORY),
        scale=found.total.new_zeros(batch, HISTORY),
    )


def _first_scale(x: Tensor, loss: Tensor, free: Tensor) -> Tensor:
    """A multiple of the gradient to step by when nothing is known of the curvature.

    The step that would bring a linear loss to zero, bounded by the size of x.
    """
    norm = dot(free, free).clamp_min(1e-300)
    longest = FIRST_STEP * (dot(x, x) / norm).sqrt()
    return torch.minimum(loss.abs() / norm, torch.where(longest > 0, longest, 1 / norm.sqrt()))


def _verdicts(state: _State, spent: bool) -> list[str | None]:
    """Why each item stops now, or None."""
    gained = state.past[:, 0] - state.loss
    stalled = (state.accepted >= max(STALL_STEPS, HISTORY)) & (gained <= STALL_SHARE * state.past[:, 0].abs())
    finite = torch.isfinite(state.loss)
    verdicts: list[str | None] = []
    for ok, refused, still in zip(finite.tolist(), state.refused.tolist(), stalled.tolist(), strict=True):
        if not ok:
            verdicts.append("diverged")
        elif refused >= MAX_REFUSED:
            verdicts.append("line_search")
        elif still:
            verdicts.append("converged")
        else:
            verdicts.append("budget" if spent else None)
    return verdicts


def _leave(
    state: _State, problem: Problem, reasons: list[str | None], evaluations: int, solutions: dict[int, Solution]
) -> tuple[_State, Problem]:
    """Take the items that stop out of the batch."""
    if not any(reasons):
        return state, problem
    for n, reason in enumerate(reasons):
        if reason is not None:
            losses = float(state.content[n]), float(state.style[n])
            solutions[int(state.item[n])] = Solution(state.x[n].clone(), *losses, evaluations, reason)
    keep = torch.tensor([n for n, reason in enumerate(reasons) if reason is None], dtype=torch.long)
    return state.select(keep), problem.select(keep.to(state.x.device))


def _moved(x: Tensor, direction: Tensor, step: Tensor, nonnegative: bool) -> Tensor:
    moved = x + per_item(step, x) * direction
    return moved.clamp_min(0) if nonnegative else moved


def _free(x: Tensor, gradient: Tensor, nonnegative: bool) -> Tensor:
    """The gradient without the entries that are held at the bound."""
    return torch.where((x > 0) | (gradient < 0), gradient, 0) if nonnegative else gradient


def _judge(state: _State, trial: Tensor, found: Evaluation, slot: int, nonnegative: bool) -> None:
    """Accept or refuse the trial step of each item, and find its next direction and step."""
    moved = trial - state.x
    slope = dot(state.gradient, moved)
    ok = torch.isfinite(found.total) & (found.total <= state.loss + ARMIJO * slope) & (slope < 0)
    _remember(state, moved, found.gradient - state.gradient, ok, slot)
    shorter = _shorter(state.step, state.loss, found.total, slope)
    state.step = torch.where(ok, torch.ones_like(state.step), shorter)
    state.refused = torch.where(ok, 0, state.refused + 1)
    state.accepted = state.accepted + ok
    state.past = torch.where(ok[:, None], torch.cat([state.past[:, 1:], state.loss[:, None]], 1), state.past)
    wide = per_item(ok, trial).bool()
    state.x = torch.where(wide, trial, state.x)
    state.gradient = torch.where(wide, found.gradient, state.gradient)
    for name in ("content", "style"):
        setattr(state, name, torch.where(ok, getattr(found, name), getattr(state, name)))
    state.loss = torch.where(ok, found.total, state.loss)
    state.direction = torch.where(wide, _direction(state, slot, nonnegative), state.direction)


def _shorter(step: Tensor, loss: Tensor, found: Tensor, slope: Tensor) -> Tensor:
    """The minimum of the parabola through both losses and the slope, between a tenth and a half of the step."""
    share = -slope / (2 * (found - loss - slope).clamp_min(1e-300))
    share = torch.where(torch.isfinite(found), share.clamp(0.1, 0.5), 0.1)
    return step * share


def _remember(state: _State, s: Tensor, y: Tensor, ok: Tensor, slot: int) -> None:
    """Store a step whose curvature is positive; leave the slot empty for an item that has none to store."""
    curvature, size = dot(s, y), dot(y, y)
    good = ok & (curvature > 1e-10 * size) & (size > 0)
    wide = per_item(good, s).bool()
    # where, not a product: what is refused may be infinite, and 0 times infinity is not 0.
    state.s[:, slot] = torch.where(wide, s, 0)
    state.y[:, slot] = torch.where(wide, y, 0)
    state.rho[:, slot] = torch.where(good, 1 / torch.where(good, curvature, 1), 0)
    state.scale[:, slot] = torch.where(good, curvature / torch.where(good, size, 1), 0)


def _direction(state: _State, slot: int, nonnegative: bool) -> Tensor:
    """Minus the inverse Hessian's estimate times the gradient; downhill for sure."""
    free = _free(state.x, state.gradient, nonnegative)
    order = [(slot - k) % HISTORY for k in range(HISTORY)]  # newest first
    q, alphas = free, {}
    for k in order:
        alphas[k] = state.rho[:, k] * dot(state.s[:, k], q)
        q = q - per_item(alphas[k], q) * state.y[:, k]
    q = per_item(_scale(state, order, free), q) * q
    for k in reversed(order):
        beta = state.rho[:, k] * dot(state.y[:, k], q)
        q = q + per_item(alphas[k] - beta, q) * state.s[:, k]
    direction = -torch.where(free != 0, q, 0) if nonnegative else -q
    downhill = per_item(dot(direction, free) < 0, direction).bool()
    steepest = -per_item(_first_scale(state.x, state.loss, free), free) * free
    return torch.where(downhill, direction, steepest)


def _scale(state: _State, order: list[int], free: Tensor) -> Tensor:
    """s.y / y.y of the newest step in the history; where that is empty, the scale of a first step."""
    scale = _first_scale(state.x, state.loss, free)
    for k in reversed(order):  # the newest is written last
        scale = torch.where(state.rho[:, k] > 0, state.scale[:, k], scale)
    return scale
