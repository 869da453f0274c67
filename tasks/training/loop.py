"""The training loop and its guards. A generator of steps: who drives it shows progress, stores states, and may stop it.

| trouble | guard |
|---|---|
| a loss or gradient that is not finite, or none | back to the last good state at a third of the rate; a fourth fails |
| exploding gradients | clipped to a norm of CLIP; the norm as it was is recorded |
| over-fitting | the weights' running mean is validated, the best kept; the end comes after `patience` worse ones |
| worse than nothing | the untrained network is validated first, and only what does better is ever the best |
| no end | budgets in steps and in seconds of training, over all processes |
"""

import hashlib
import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tasks.records.reasons import PairError, Reason
from tasks.training.state import Record, State, with_weights
from tasks.transfer.feedforward import Network

CLIP = 1.0
WARM_UP = 50  # steps of a rising rate
SLOWER = 1 / 3
MOST_RESTORES = 3
MEAN_STEPS = 100
"""Steps over which the running mean of the weights reaches. It stands in for a falling rate, whose course would have to
know the end, which a budget of seconds does not."""
MUCH_WORSE = 2.0
"""A state whose loss is so many times that of the last good one is not a good one."""


class Problem(Protocol):
    """What a network is trained for."""

    def losses(self, network: Network, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(content, style) of some excerpts that the generator draws. Shape: (batch,) each."""
        ...

    def total(self, content: Tensor, style: Tensor) -> Tensor:
        """What is minimised, one number."""
        ...

    def validate(self, network: Network) -> tuple[float, float, float] | None:
        """(total, content, style) of what is not trained on; None where nothing is kept for that."""
        ...


@dataclass(frozen=True)
class Budget:
    """Bounds of a training. `seconds` 0: none. `every`: steps between two validations, and two good states."""

    steps: int
    seconds: float = 0.0
    every: int = 100
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Estimate:
    """What a training will take, from steps that were timed and thrown away."""

    seconds_step: float
    seconds_validation: float

    def steps_within(self, budget: Budget) -> int:
        """How many steps the budget is good for."""
        if not budget.seconds:
            return budget.steps
        return max(1, min(budget.steps, int(budget.seconds / self.seconds_of(1, budget))))

    def seconds_of(self, steps: int, budget: Budget) -> float:
        return steps * (self.seconds_step + self.seconds_validation / budget.every)


def estimate(problem: Problem, state: State, budget: Budget, steps: int = 2) -> Estimate:
    """Times `steps` steps after one to warm up, and a validation, on a copy."""
    copy = State.from_bytes(state.to_bytes(), next(state.network.parameters()).device)
    clocks = [time.perf_counter()]
    for number in range(1 + steps):
        _step(problem, copy, generator_of(budget.seed, number))
        clocks.append(time.perf_counter())
    problem.validate(copy.network)
    return Estimate((clocks[-1] - clocks[1]) / steps, time.perf_counter() - clocks[-1])


@dataclass(frozen=True)
class Step:
    """`good`: the state after it, where that is one to come back to and to be stored; else None."""

    record: Record
    good: bytes | None


def train(problem: Problem, state: State, budget: Budget) -> Generator[Step, bool | None, tuple[State, str]]:
    """Train until a bound is reached; sent True, it ends there. What goes on from a good state has the same losses.

    Returns the state and why it ended: `steps`, `seconds`, `early` or `stopped`. Raises PairError (diverged) when it
    has come back to good states MOST_RESTORES times.
    """
    if not state.step and (found_first := problem.validate(state.network)):
        state.best_total = found_first[0]
    good, clock, before = state.to_bytes(), time.perf_counter(), state.seconds
    while not (why := _ended(state, budget)):
        rate = state.learning_rate * min(1.0, (state.step + 1) / WARM_UP)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        found = _step(problem, state, generator_of(budget.seed, state.step))
        if found is None:
            state = _restored(good, state)
            continue
        state.step += 1
        state.seconds = before + time.perf_counter() - clock
        record = Record(state.step, state.seconds, *found, rate, restores=state.restores)
        in_turn = state.step % budget.every == 0
        if in_turn or _ended(state, budget):
            record = _validated(problem, state, record)
        state.records.append(record)
        is_good = in_turn and _is_good(state, budget.every)
        good = state.to_bytes() if is_good else good
        if (yield Step(record, good if is_good else None)):
            return state, "stopped"
    return state, why


def generator_of(seed: int, step: int) -> torch.Generator:
    """The draws of a step, whatever came before it."""
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _ended(state: State, budget: Budget) -> str:
    if state.worse >= budget.patience:
        return "early"
    if state.step >= budget.steps:
        return "steps"
    return "seconds" if budget.seconds and state.seconds >= budget.seconds else ""


def _step(problem: Problem, state: State, generator: torch.Generator) -> tuple[float, float, float, float] | None:
    """One step of the optimiser: total, content, style, gradient norm; no step, and None, where it has diverged."""
    content, style = problem.losses(state.network, generator)
    total = problem.total(content, style)
    state.optimiser.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), CLIP)
    told: list[float] = torch.stack([x.detach().double() for x in (total, content.mean(), style.mean(), norm)]).tolist()
    if not all(map(math.isfinite, told)) or not told[3]:  # no gradient at all: every bin is at its bound
        return None
    state.optimiser.step()
    # At first over few steps: the mean should not remember where the network began.
    kept = min(1 - 1 / MEAN_STEPS, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for name, value in state.network.state_dict().items():
            state.mean[name].lerp_(value, 1 - kept)
    return told[0], told[1], told[2], told[3]


def _validated(problem: Problem, state: State, record: Record) -> Record:
    """The record with the losses of the running mean, which is kept where it is the best so far."""
    with torch.no_grad():
        found = problem.validate(with_weights(state.network, state.mean))
    if found is None or found[0] < state.best_total:
        state.best = {name: value.clone() for name, value in state.mean.items()}
        state.best_total, state.best_step, state.worse = (found or (math.inf,))[0], state.step, 0
    else:
        state.worse += 1
    if found is None:
        return record
    values = dict(zip(("validation_total", "validation_content", "validation_style"), found, strict=True))
    return Record(**vars(record) | values)


def _is_good(state: State, every: int) -> bool:
    """Whether to come back here: the losses of late are not much worse than those before."""
    totals = [record.total for record in state.records]
    late, first = totals[-every:], totals[: max(1, every // 10)]
    return sum(late) / len(late) <= MUCH_WORSE * sum(first) / len(first)


def _restored(good: bytes, lost: State) -> State:
    restores = lost.restores + 1
    if restores > MOST_RESTORES:
        raise PairError(
            Reason.DIVERGED,
            f"the training diverged at step {lost.step}, and {MOST_RESTORES} times before, each with a "
            f"third of the learning rate, now {lost.learning_rate:.2g}; try a smaller --learning-rate, or fewer blocks",
        )
    state = State.from_bytes(good, next(lost.network.parameters()).device)
    state.restores, state.learning_rate, state.seconds = restores, lost.learning_rate * SLOWER, lost.seconds
    return state
