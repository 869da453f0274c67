"""Optimisers of a batch in which every item is a problem of its own."""

from collections.abc import Callable, Generator

from torch import Tensor

from tasks.transfer.optimise.adam import adam
from tasks.transfer.optimise.lbfgs import lbfgs
from tasks.transfer.optimise.problem import Problem, Record, Solution

Optimiser = Callable[[Problem, Tensor, int, float, bool], Generator[Record, bool | None, list[Solution]]]
OPTIMISERS: dict[str, Optimiser] = {"lbfgs": lbfgs, "adam": adam}

__all__ = ["OPTIMISERS", "Optimiser", "Problem", "Record", "Solution", "adam", "lbfgs"]
