"""Pictures of results, for a file or a notebook: each a function from rows to a figure, and `show` for one pair."""

from tasks.plots.by_style import by_style
from tasks.plots.curves import with_curves
from tasks.plots.losses import losses
from tasks.plots.notebook import show
from tasks.plots.spectrograms import spectrograms
from tasks.plots.sweep import sweep

__all__ = ["by_style", "losses", "show", "spectrograms", "sweep", "with_curves"]
