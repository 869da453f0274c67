"""Maximum spanning forests by rounds of Boruvka (1926), and what is added up along their edges.

Every tree takes its loudest edge to another at once: a handful of rounds joins what hundreds of thousands of steps of a
heap would. Waits for the device a few times a round, for how many trees are left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Forest:
    """Of every node the number of its tree, (nodes,), and its phase less that of the tree's root; how many trees."""

    tree: Tensor
    phase: Tensor
    size: int


@dataclass(frozen=True)
class Edges:
    """Between nodes, (edges,): both ends; how loud, integers, no two alike; phase of the second less the first's."""

    first: Tensor
    second: Tensor
    loud: Tensor
    step: Tensor


def joined(forest: Forest, edges: Edges) -> Tensor:
    """The phase of every node, radians, float64, when all trees are joined that an edge joins. Shape: (nodes,).

    `edges` are between the trees of `forest`.
    """
    rounds = [forest]
    while len(edges.loud):
        forest = _grown(edges, forest.size)
        edges = _between(forest, edges)
        rounds.append(forest)
    return _phases(rounds)


def rooted(parent: Tensor, phase: Tensor) -> Forest:
    """Trees of nodes that know the end of the edge they took, and their phase less that end's. Shape: (nodes,), twice.

    By pointer doubling. A node that took none is its own parent, with phase 0.
    """
    here = torch.arange(len(parent), device=parent.device)
    # Edges are no two alike, so the only circles are two nodes that took the same one: the first is their root.
    root = (parent[parent] == here) & (here <= parent)
    parent, phase = torch.where(root, here, parent), torch.where(root, 0, phase)
    while not torch.equal(further := parent[parent], parent):
        phase, parent = phase + phase[parent], further
    number = root.cumsum(0) - 1
    return Forest(number[parent], phase, int(number[-1]) + 1)


def _grown(edges: Edges, nodes: int) -> Forest:
    """Each node takes its loudest edge."""
    best = torch.full((nodes,), -1, device=edges.loud.device)
    for end in (edges.first, edges.second):
        best.scatter_reduce_(0, end, edges.loud, "amax")
    parent = torch.arange(nodes, device=best.device)
    phase = torch.zeros(nodes, dtype=edges.step.dtype, device=best.device)
    ways = ((edges.first, edges.second, -edges.step), (edges.second, edges.first, edges.step))
    for end, other, change in ways:
        takes = (edges.loud == best[end]).nonzero()[:, 0]
        parent[end[takes]] = other[takes]
        phase[end[takes]] = change[takes]
    return rooted(parent, phase)


def _between(forest: Forest, edges: Edges) -> Edges:
    """The edges that are left between trees."""
    first, second = forest.tree[edges.first], forest.tree[edges.second]
    cross = (first != second).nonzero()[:, 0]
    step = edges.step + forest.phase[edges.first] - forest.phase[edges.second]
    return Edges(first[cross], second[cross], edges.loud[cross], step[cross])


def _phases(rounds: Sequence[Forest]) -> Tensor:
    """From the last roots, which have phase 0, to the nodes of the first round."""
    last = rounds[-1]
    phase = torch.zeros(last.size, dtype=last.phase.dtype, device=last.phase.device)
    for forest in reversed(rounds):
        phase = phase[forest.tree] + forest.phase
    return phase
