"""L-BFGS on a batch, every item with its own step length, history, stopping rule and verdict.

Compact two-loop recursion (Nocedal and Wright 2006, chapter 7; tasks/transfer/optimise/history.py), backtracking by
interpolation, and, where x may not be negative, projection (Bertsekas 1982: entries at the bound whose gradient pushes
outwards take no part).

All items go in lock-step of evaluations. One that has its verdict stands still, at no harm, until the batch is looked
at: on a CPU after each evaluation, on a GPU every few, since each look waits for the device.
"""

from collections.abc import Generator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tasks.transfer.optimise.history import LENGTH, History
from tasks.transfer.optimise.problem import (
    STALL_STEPS,
    Evaluation,
    Problem,
    Record,
    Solution,
    pick,
    records_of,
)
from tasks.transfer.reduce import dot, per_item

ARMIJO = 1e-4
MAX_REFUSED = 12
FIRST_STEP = 0.5
"""Longest first step as a share of |x|; a start from noise has a tiny gradient, so it is scaled and not trusted."""
LOOK_EVERY = 8
"""Evaluations between two looks at a batch on a GPU."""

GOING, DIVERGED, LINE_SEARCH, CONVERGED = range(4)
REASONS = ("budget", "diverged", "line_search", "converged")


@dataclass
class _State:
    """Everything that belongs to the items still in work; the first axis of each is the batch."""

    item: Tensor  # index in the batch that was given
    verdict: Tensor  # GOING or why it stands still
    evaluations: Tensor
    x: Tensor
    size: Tensor  # |x|^2 at the start
    loss: Tensor
    content: Tensor
    style: Tensor
    gradient: Tensor
    direction: Tensor
    step: Tensor
    refused: Tensor  # refused steps in a row
    accepted: Tensor
    past: Tensor  # (batch, STALL_STEPS) losses of the last accepted steps, newest last
    history: History

    def select(self, items: Tensor) -> "_State":
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return _State(**{name: v.select(items) if name == "history" else v[items] for name, v in kept.items()})


def lbfgs(
    problem: Problem, x: Tensor, budget: int, tolerance: float, nonnegative: bool = False
) -> Generator[Record, bool | None, list[Solution]]:
    """Minimise each item of `problem` from x, (batch, rows, columns), with at most `budget` evaluations an item.

    An item ends earlier when STALL_STEPS steps together lower its loss by no more than the share `tolerance`.
    Yields a record for each evaluation; sent True, it ends there. Returns a solution for each item.
    """
    solutions: dict[int, Solution] = {}
    found = problem.evaluate(x)
    state = _start(x, found, nonnegative)
    seen = [(1, state.item, found)]
    every = 1 if x.device.type == "cpu" else LOOK_EVERY
    for evaluation in range(1, budget + 1):
        if evaluation > 1:
            trial = _moved(state.x, state.direction, state.step, nonnegative)
            found = problem.evaluate(trial)
            seen.append((evaluation, torch.where(state.verdict == GOING, state.item, -1), found))
            _judge(state, trial, found, tolerance, nonnegative)
        if evaluation % every == 0 or evaluation in (1, budget):
            ended = yield from records_of(seen)
            seen = []
            state, problem = _leave(state, problem, evaluation == budget or bool(ended), solutions, bool(ended))
            if not len(state.item):
                break
    return [solutions[n] for n in sorted(solutions)]


def _start(x: Tensor, found: Evaluation, nonnegative: bool) -> _State:
    free = _free(x, found.gradient, nonnegative)
    history, size = History.empty(free.flatten(1)), dot(x, x)
    zeros = torch.zeros_like(found.total)
    return _State(
        item=torch.arange(len(x), device=x.device),
        verdict=torch.where(torch.isfinite(found.total), GOING, DIVERGED),
        evaluations=torch.ones_like(found.total),
        x=x,
        size=size,
        loss=found.total,
        content=found.content,
        style=found.style,
        gradient=found.gradient,
        direction=-per_item(_first_scale(size, found.total, history), free) * free,
        step=torch.ones_like(found.total),
        refused=zeros,
        accepted=zeros,
        past=found.total[:, None].repeat(1, STALL_STEPS),
        history=history,
    )


def _first_scale(size: Tensor, loss: Tensor, history: History) -> Tensor:
    """A multiple of the gradient to step by when nothing is known of the curvature.

    The step that would bring a linear loss to zero, bounded by the size of x.
    """
    norm = history.gradient_square.clamp_min(1e-300)
    longest = FIRST_STEP * (size / norm).sqrt()
    return torch.minimum(loss.abs() / norm, torch.where(longest > 0, longest, 1 / norm.sqrt()))


def _leave(
    state: _State, problem: Problem, all_of_them: bool, solutions: dict[int, Solution], out_of_time: bool
) -> tuple[_State, Problem]:
    """Take the items that have their verdict, or all, out of the batch."""
    told = torch.stack([v.double() for v in (state.verdict, state.item, state.evaluations, state.content, state.style)])
    verdicts, items, evaluations, contents, styles = told.tolist()
    leaving = [n for n, verdict in enumerate(verdicts) if all_of_them or verdict != GOING]
    if not leaving:
        return state, problem
    for n in leaving:
        reason = "time" if out_of_time and verdicts[n] == GOING else REASONS[int(verdicts[n])]
        solutions[int(items[n])] = Solution(state.x[n].clone(), contents[n], styles[n], int(evaluations[n]), reason)
    keep = torch.tensor([n for n in range(len(verdicts)) if n not in leaving], dtype=torch.long, device=state.x.device)
    return state.select(keep), problem.select(keep)


def _moved(x: Tensor, direction: Tensor, step: Tensor, nonnegative: bool) -> Tensor:
    moved = torch.addcmul(x, per_item(step, x), direction)
    return moved.clamp_min_(0) if nonnegative else moved


def _free(x: Tensor, gradient: Tensor, nonnegative: bool) -> Tensor:
    """The gradient without the entries that are held at the bound."""
    return torch.where((x > 0) | (gradient < 0), gradient, 0) if nonnegative else gradient


def _judge(state: _State, trial: Tensor, found: Evaluation, tolerance: float, nonnegative: bool) -> None:
    """Accept or refuse the trial step of each item that is going, and find its next direction, step and verdict."""
    going = state.verdict == GOING
    moved, change = trial - state.x, found.gradient - state.gradient
    slope = dot(state.gradient, moved)
    ok = going & torch.isfinite(found.total) & (found.total <= state.loss + ARMIJO * slope) & (slope < 0)
    state.step = torch.where(ok, 1.0, _shorter(state.step, state.loss, found.total, slope))
    state.evaluations = state.evaluations + going
    state.refused = torch.where(ok, 0, state.refused + going)
    state.accepted = state.accepted + ok
    state.past = torch.where(ok[:, None], torch.cat([state.past[:, 1:], state.loss[:, None]], 1), state.past)
    for name, new in (
        ("x", trial),
        ("gradient", found.gradient),
        ("content", found.content),
        ("style", found.style),
        ("loss", found.total),
    ):
        setattr(state, name, pick(ok, new, getattr(state, name)))
    free = _free(state.x, state.gradient, nonnegative)
    state.history.remember(moved.flatten(1), change.flatten(1), free.flatten(1), ok)
    state.direction = pick(ok, _direction(state, free, nonnegative), state.direction)
    state.verdict = _verdict(state, tolerance)


def _shorter(step: Tensor, loss: Tensor, found: Tensor, slope: Tensor) -> Tensor:
    """The minimum of the parabola through both losses and the slope, between a tenth and a half of the step."""
    share = -slope / (2 * (found - loss - slope).clamp_min(1e-300))
    share = torch.where(torch.isfinite(found), share.clamp(0.1, 0.5), 0.1)
    return step * share


def _direction(state: _State, free: Tensor, nonnegative: bool) -> Tensor:
    """Minus the inverse Hessian's estimate times the gradient; downhill for sure."""
    first = _first_scale(state.size, state.loss, state.history)
    found = state.history.direction(first).reshape(free.shape)
    if nonnegative:
        found = torch.where(free != 0, found, 0)
    return pick(dot(found, free) < 0, found, -per_item(first, free) * free)


def _verdict(state: _State, tolerance: float) -> Tensor:
    gained = state.past[:, 0] - state.loss
    stalled = (state.accepted >= max(STALL_STEPS, LENGTH)) & (gained <= tolerance * state.past[:, 0].abs())
    now = torch.where(stalled, CONVERGED, torch.where(state.refused >= MAX_REFUSED, LINE_SEARCH, GOING))
    return torch.where(state.verdict == GOING, now, state.verdict)
