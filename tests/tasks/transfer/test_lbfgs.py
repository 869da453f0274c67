from dataclasses import dataclass

import pytest
import torch

from tasks.transfer.optimise import adam, lbfgs
from tasks.transfer.optimise.problem import Evaluation


@dataclass
class Quadratics:
    """Sum of scale * (x - target)^2 for each item; an item whose target is NaN has no finite loss."""

    target: torch.Tensor
    scale: torch.Tensor
    calls: list

    def evaluate(self, x):
        self.calls.append(len(x))
        gap = x - self.target
        loss = (self.scale * gap * gap).double().sum((1, 2))
        return Evaluation(loss, loss, torch.zeros_like(loss), 2 * self.scale * gap)

    def select(self, items):
        return Quadratics(self.target[items], self.scale[items], self.calls)


def quadratics(*targets, condition=100.0):
    target = torch.stack([torch.as_tensor(t, dtype=torch.float32).expand(3, 4) for t in targets])
    scale = torch.logspace(0, float(torch.log10(torch.tensor(condition))), 12).reshape(3, 4).expand_as(target)
    return Quadratics(target, scale, [])


def solved(optimiser, problem, x, budget=60, nonnegative=False, tolerance=2e-4):
    work = optimiser(problem, x, budget, tolerance, nonnegative)
    records = []
    while True:
        try:
            records.append(next(work))
        except StopIteration as end:
            return end.value, records


@pytest.mark.parametrize("optimiser", [lbfgs, adam])
def test_each_item_comes_to_its_own_minimum(optimiser):
    problem = quadratics(1.0, -2.0, 3.0, condition=4.0)
    solutions, _ = solved(optimiser, problem, torch.full((3, 3, 4), 0.5), budget=400)
    for solution, target in zip(solutions, (1.0, -2.0, 3.0), strict=True):
        # Adam ends within its last steps of a minimum, L-BFGS where six steps no longer help.
        torch.testing.assert_close(solution.x, torch.full((3, 4), target), rtol=0, atol=0.05)


def test_items_leave_as_they_converge_and_the_rest_goes_on():
    problem = quadratics(1.0, 1.0)
    x = torch.stack([torch.full((3, 4), 1.0), torch.zeros(3, 4)])
    solutions, records = solved(lbfgs, problem, x)
    assert records[0].active == (0, 1)
    assert solutions[0].stop_reason == "line_search"  # it was there already: no step helps
    assert solutions[0].evaluations < solutions[1].evaluations
    assert all(s.content < 1e-6 for s in solutions)
    assert problem.calls[-1] == 1


def test_where_x_may_not_be_negative_it_ends_at_the_bound():
    solutions, _ = solved(lbfgs, quadratics(-1.0, 2.0), torch.ones(2, 3, 4), nonnegative=True)
    assert solutions[0].x.abs().max() == 0
    torch.testing.assert_close(solutions[1].x, torch.full((3, 4), 2.0), rtol=0, atol=1e-2)


def test_an_item_that_is_not_finite_diverges_and_its_neighbours_are_what_they_are_without_it():
    x = torch.zeros(3, 3, 4)
    with_it, _ = solved(lbfgs, quadratics(1.0, float("nan"), -2.0), x)
    without, _ = solved(lbfgs, quadratics(1.0, -2.0), x[:2])
    assert [s.diverged for s in with_it] == [False, True, False]
    assert torch.equal(with_it[0].x, without[0].x)
    assert torch.equal(with_it[2].x, without[1].x)


def test_a_tiny_gradient_at_the_start_is_scaled_and_does_not_stop_it():
    problem = quadratics(1.0)
    problem.scale = problem.scale * 1e-12
    solutions, _ = solved(lbfgs, problem, torch.zeros(1, 3, 4))
    assert solutions[0].content < 1e-3 * 1e-12 * 12


def test_the_budget_counts_evaluations():
    problem = quadratics(1.0, condition=1e6)
    solutions, records = solved(lbfgs, problem, torch.zeros(1, 3, 4), budget=5)
    assert len(problem.calls) == len(records) == solutions[0].evaluations == 5
    assert solutions[0].stop_reason == "budget"


@dataclass
class Slow:
    """1 + exp(-x) for each item: there is always a little more to gain."""

    def evaluate(self, x):
        loss = 1 + torch.exp(-x).double().sum((1, 2))
        return Evaluation(loss, loss, torch.zeros_like(loss), -torch.exp(-x))

    def select(self, items):
        return self


def test_a_higher_tolerance_ends_earlier_and_none_goes_to_the_budget():
    ends = {}
    for tolerance in (0.0, 1e-6, 0.01):
        [solution], _ = solved(lbfgs, Slow(), torch.zeros(1, 3, 4), budget=40, tolerance=tolerance)
        ends[tolerance] = solution
    assert ends[0.01].evaluations < ends[1e-6].evaluations
    assert ends[0.01].stop_reason == "converged"
    assert ends[0.01].content > ends[1e-6].content > ends[0.0].content
    assert (ends[0.0].evaluations, ends[0.0].stop_reason) == (40, "budget")
