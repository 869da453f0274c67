"""A network for one style, in place of the optimisation of a spectrogram."""

from tasks.transfer.feedforward.network import Architecture, Network

__all__ = ["Architecture", "Network"]
