"""Would more sources help? The same training on a quarter, a half and all of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.records.reasons import UsageError
from tasks.training import loop
from tasks.training.session import Prepared, begun, sources_of
from tasks.training.split import share_of

SHARES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Share:
    """A training on a share of the sources: losses in the end, training's and validation's."""

    share: float
    sources: int
    training_total: float
    validation_total: float


def learning_curve(prepared: Prepared, steps: int) -> Iterator[Share]:
    """Trainings of `steps` steps on 25, 50 and 100 % of the training sources, validated alike; nothing is written.

    Raises UsageError where there is no validation.
    """
    if prepared.split.refusal:
        raise UsageError(prepared.split.refusal)
    for share in SHARES:
        digests = share_of(prepared.split.training, share)
        problem = replace(prepared.problem, training=sources_of(prepared.corpus, digests))
        state = begun(prepared.settings, prepared.job, prepared.problem.device)
        budget = replace(prepared.budget, steps=steps, seconds=0.0, patience=steps)
        work = loop.train(problem, state, budget)
        while True:
            try:
                next(work)
            except StopIteration as end:
                state = end.value[0]
                break
        late = state.records[-budget.every :]
        yield Share(share, len(digests), sum(r.total for r in late) / len(late), state.best_total)


def advice(curve: list[Share]) -> str:
    """Whether more sources would help, from what the second half of them brought."""
    half, whole = curve[-2].validation_total, curve[-1].validation_total
    gap = whole / max(curve[-1].training_total, 1e-9)
    gained = f"twice the sources took the validation loss from {half:.4f} to {whole:.4f}"
    if whole < 0.95 * half:
        return f"{gained}: more sources would help"
    if gap > 1.25:
        return (
            f"{gained}, but it stays {gap:.2f} times the training's: other sources would help, more like these hardly"
        )
    return f"{gained}: more would hardly help; a longer training or a wider network may"
