"""A phase from the magnitude alone, along the loudest ways: the gradient of gradient.py integrated over a maximum
spanning tree of the bins, each a neighbour of the next in time and in frequency.

The heap of Prusa, Balazs and Sondergaard (2017) grows such a tree bin by bin. Differs also in what is loud: an edge, by
both its ends, and not a bin.
"""

import torch
from torch import Tensor

from tasks.transfer.phase.forest import Edges, Forest, joined, rooted
from tasks.transfer.phase.gradient import steps, unit

BINS_AT_ONCE = 2**22  # some 100 bytes a bin: 0.4 GB, whatever the batch
AXES = (1, 2)  # time, frequency


def tree(magnitude: Tensor, n_fft: int, hop: int) -> Tensor:
    """Unit spectra for a magnitude. Shape: (batch, frames, bins), twice; complex64.

    Silent bins have phase 0. Waits for the device, as forest.py says, some thirty times in all.
    """
    at_once = max(1, BINS_AT_ONCE // magnitude[0].numel())
    parts = (magnitude[k : k + at_once] for k in range(0, len(magnitude), at_once))
    return torch.cat([unit(_integrated(part, steps(part, n_fft, hop))) for part in parts])


def _integrated(magnitude: Tensor, step: tuple[Tensor, Tensor]) -> Tensor:
    """Phases, radians, float64. Shape: (batch, frames, bins).

    The first round is made here, where neighbours are slices: it joins nineteen bins of twenty, and to index them all
    would cost more than the other rounds together.
    """
    loud = _loudness(magnitude)
    forest = _first_trees(loud, step)
    return joined(forest, _between(forest, loud, step)).view_as(magnitude)


def _loudness(magnitude: Tensor) -> tuple[Tensor, Tensor]:
    """Of the edges along time and along frequency: integers, no two alike, -1 in silence.

    Loudness is that of both ends together, the quieter one twice, since a step is as good as the worse of its slopes.
    The bits of a float are in its order; below them stands the edge's place.
    """
    size = (magnitude / magnitude.amax((1, 2), keepdim=True).clamp_min(1e-30)).float()
    time, frequency = (torch.minimum(*_ends(size, axis)) * torch.mul(*_ends(size, axis)) for axis in AXES)
    return _unlike(time, 0), _unlike(frequency, time.numel())


def _unlike(loud: Tensor, places: int) -> Tensor:
    place = torch.arange(places, places + loud.numel(), device=loud.device).view_as(loud)
    return torch.where(loud > 0, (loud.view(torch.int32).long() << 32) | place, -1)


def _first_trees(louds: tuple[Tensor, Tensor], steps: tuple[Tensor, Tensor]) -> Forest:
    """Each bin takes its loudest edge. Bins are numbered in the order of their places."""
    batch, frames, bins = len(louds[0]), louds[1].shape[1], louds[0].shape[2]
    here = torch.arange(batch * frames * bins, device=louds[0].device).view(batch, frames, bins)
    best, parent, phase = torch.full_like(here, -1), here.clone(), torch.zeros_like(here, dtype=steps[0].dtype)
    for axis, loud in zip(AXES, louds, strict=True):
        for end in _ends(best, axis):
            torch.maximum(end, loud, out=end)
    for axis, loud, step in zip(AXES, louds, steps, strict=True):
        first, second = _ends(here, axis)
        ends = zip(*(_ends(grid, axis) for grid in (best, parent, phase)), (second, first), (-step, step), strict=True)
        for its_best, its_parent, its_phase, other, change in ends:
            takes = (its_best == loud) & (loud >= 0)
            its_parent.copy_(torch.where(takes, other, its_parent))
            its_phase.copy_(torch.where(takes, change, its_phase))
    return rooted(parent.flatten(), phase.flatten())


def _between(forest: Forest, louds: tuple[Tensor, Tensor], steps: tuple[Tensor, Tensor]) -> Edges:
    """The edges that are left between trees."""
    shape = (len(louds[0]), louds[1].shape[1], louds[0].shape[2])
    tree, phase = forest.tree.view(shape), forest.phase.view(shape)
    parts = []
    for axis, loud, step in zip(AXES, louds, steps, strict=True):
        (first, second), (before, after) = _ends(tree, axis), _ends(phase, axis)
        cross = ((first != second) & (loud >= 0)).nonzero(as_tuple=True)
        parts.append((first[cross], second[cross], loud[cross], step[cross] + before[cross] - after[cross]))
    return Edges(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _ends(grid: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Views of the first and of the second ends of all edges along an axis."""
    edges = grid.shape[axis] - 1
    return grid.narrow(axis, 0, edges), grid.narrow(axis, 1, edges)
