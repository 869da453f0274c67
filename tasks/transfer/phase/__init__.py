"""Phase reconstruction: a signal whose spectrogram is close to a wanted magnitude, for a batch.

A start gives every bin a phase, a method improves it by alternating projections. By default `estimated` or `tree`, then
`raar`; what else is here is for comparison, and for sounds of its own.
"""

from tasks.transfer.phase.convergence import spectral_convergence_db
from tasks.transfer.phase.iterations import ALPHA, BETA, METHODS, griffinlim, reconstruct
from tasks.transfer.phase.peaks import estimated
from tasks.transfer.phase.projections import Projections, with_magnitude
from tasks.transfer.phase.spanning_tree import tree
from tasks.transfer.phase.starts import random_phase, style

__all__ = [
    "ALPHA",
    "BETA",
    "METHODS",
    "Projections",
    "estimated",
    "griffinlim",
    "random_phase",
    "reconstruct",
    "spectral_convergence_db",
    "style",
    "tree",
    "with_magnitude",
]
