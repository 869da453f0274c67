"""A network for one style, in place of the optimisation of a spectrogram."""

from tasks.transfer.feedforward.network import Architecture, Network
from tasks.transfer.feedforward.objective import Contents, Objective

__all__ = ["Architecture", "Contents", "Network", "Objective"]
