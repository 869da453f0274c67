"""One look for all pictures: to be read at 800 pixels, in grey, and by the colour-blind. No pyplot, which is global."""

import io
import warnings
from collections.abc import Iterable, Sequence
from math import isfinite, log10
from textwrap import wrap
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDTH_PX, DPI = 800, 100
KINDS = ("png", "svg", "pdf")
GREY, INK = "#9a9a9a", "#333333"
Line = tuple[str, Literal["-", "--", "-.", ":"], str]
LINES: tuple[Line, ...] = (
    ("#0072b2", "-", "o"), ("#d55e00", "--", "s"), ("#000000", "-.", "^"), ("#009e73", ":", "D"), ("#cc79a7", "-", "v"),
    ("#56b4e9", "--", "P"),
)  # fmt: skip
"""Colour (of Okabe and Ito), dash and marker of each line that has a name: any one of the three tells them apart."""
SPAN = 20.0
"""Figures of which the highest is more than so many times the lowest are drawn by powers."""


class Picture(Figure):
    """A figure that a notebook shows by itself and that becomes a file without a display."""

    def __init__(self, title: str, height_px: int) -> None:
        super().__init__(figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, layout="constrained")
        self.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)

    def legend_below(self, lines: Sequence[Line2D]) -> None:
        """What each line is called, in two columns that lie below the axes."""
        self.legend(
            handles=lines, loc="outside lower left", ncols=2, fontsize=8.5, frameon=False, handlelength=3.2,
            labelcolor=INK,
        )  # fmt: skip

    def file(self, kind: str = "png") -> bytes:
        """The picture as one of KINDS; a PNG has two pixels for one, as screens have."""
        sink = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script that the font lacks
            self.savefig(sink, format=kind, dpi=2 * DPI)
        return sink.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return self.file(), {"width": WIDTH_PX}


def plain(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Give axes their words, and take away what says nothing."""
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)


def scale(axes: Axes, which: Literal["x", "y"], values: Iterable[float]) -> None:
    """By powers, where figures span so much that nothing else shows them all; ticks that are read as they stand."""
    found = [value for value in values if isfinite(value)]
    if not found or min(found) <= 0 or max(found) <= SPAN * min(found):
        return
    decades = log10(max(found) / min(found))
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1, 3) if decades < 4 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def words(text: str, characters: int) -> str:
    """A text in lines of at most so many characters."""
    return "\n".join(wrap(text, characters))
