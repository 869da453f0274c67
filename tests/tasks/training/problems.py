"""Problems that are cheap to train on, and how to train to the end."""

import torch

from tasks.training.state import State
from tasks.transfer.feedforward import Architecture, Network

BINS, FRAMES = 9, 20


def state(learning_rate=1e-2, seed=0, blocks=1, width=8):
    return State(Network(Architecture(BINS, width, blocks), seed), learning_rate)


class Lift:
    """The content is to be lifted by 1; validation is of the same kind unless `validation` says otherwise."""

    def __init__(self, validation=lambda loss: loss, at=lambda step: None):
        self.validation, self.at, self.steps = validation, at, 0

    def losses(self, network, generator):
        self.at(self.steps)
        self.steps += 1
        return self._losses(network, torch.rand(4, FRAMES, BINS, generator=generator))

    def total(self, content, style):
        return (style + 0.01 * content).mean()

    @torch.no_grad()
    def validate(self, network):
        content, style = self._losses(network, torch.rand(4, FRAMES, BINS, generator=torch.Generator().manual_seed(9)))
        found = self.validation(float(style.mean()))
        return None if found is None else (found, float(content.mean()), found)

    def _losses(self, network, x):
        made = network(x, torch.ones(x.shape[:2]))
        return (made - x).square().mean((1, 2)), (made - x - 1).square().mean((1, 2))


def trained(work, until=None):
    """(state, why, steps) of a training that is driven to its end, or to the step `until`."""
    steps, answer = [], None
    while True:
        try:
            step = work.send(answer)
        except StopIteration as end:
            return (*end.value, steps)
        steps.append(step)
        answer = until is not None and step.record.step >= until
