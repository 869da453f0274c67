"""Adam on a batch (Kingma and Ba 2015): slower than L-BFGS, and hard to throw off."""

import math
from collections.abc import Generator

import torch
from torch import Tensor

from tasks.transfer.optimise.problem import Problem, Record, Solution, pick, records_of
from tasks.transfer.reduce import dot, per_item

BETAS = (0.9, 0.99)
RATE = 0.05
"""Step at the start as a share of the root mean square of x; falls to nothing along a half cosine."""


def adam(
    problem: Problem, x: Tensor, budget: int, tolerance: float, nonnegative: bool = False
) -> Generator[Record, bool | None, list[Solution]]:
    """Minimise each item of `problem` from x, (batch, rows, columns), with exactly `budget` evaluations an item:
    its step falls along the budget, so there is no `tolerance` to speak of.

    Yields a record for each evaluation; sent True, it ends there. Returns for each item the best point that it saw.
    """
    size = (dot(x, x) / x[0].numel()).sqrt()
    rate = RATE * torch.where(size > 0, size, torch.ones_like(size))
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    items = torch.arange(len(x), device=x.device)
    lowest = torch.full_like(size, torch.inf)
    best, content, style = x, lowest, lowest
    finite = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for evaluation in range(1, budget + 1):
        found = problem.evaluate(x)
        ended = yield from records_of([(evaluation, items, found)])
        finite = finite & torch.isfinite(found.total)
        better = found.total < lowest
        lowest = torch.where(better, found.total, lowest)
        content, style = torch.where(better, found.content, content), torch.where(better, found.style, style)
        best = pick(better, x, best)
        if ended:
            break
        first = BETAS[0] * first + (1 - BETAS[0]) * found.gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * found.gradient**2
        step = (first / (1 - BETAS[0] ** evaluation)) / ((second / (1 - BETAS[1] ** evaluation)).sqrt() + 1e-12)
        cosine = 0.5 * (1 + math.cos(math.pi * evaluation / budget))
        x = x - per_item(rate * cosine, x) * step
        x = x.clamp_min(0) if nonnegative else x
    reason = "time" if ended else "budget"
    return [
        Solution(best[n], float(content[n]), float(style[n]), evaluation, reason if finite[n] else "diverged")
        for n in range(len(x))
    ]
