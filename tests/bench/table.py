"""Tables of benchmarks, in markdown: what ran on what, and every figure beside the peer's of the same run."""

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine(*packages: str, **settings: object) -> str:
    """One line on the machine and the versions; `settings` are named as given (threads=1)."""
    named = [f"{key.replace('_', ' ')} {value}" for key, value in settings.items()]
    versions = [f"{name} {_version(name)}" for name in packages]
    python = f"Python {platform.python_version()}"
    return ", ".join([f"{_processor()}, {os.cpu_count()} cores", *named, python, *versions])


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, marks, *rows))


def figure(value: float) -> str:
    """Three significant digits; whole numbers from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """Minimum, median and maximum of what was repeated; the value itself of what was not."""
    if len(values) == 1:
        return figure(values[0])
    return " / ".join(figure(v) for v in (min(values), statistics.median(values), max(values)))


def verdict(values: Sequence[float], target: float, *, at_least: bool = False, stretch: float | None = None) -> str:
    """Whether the median keeps to its target: at most that, or at least; and to the one that nobody promised."""
    median, sign = statistics.median(values), ">=" if at_least else "<="
    wanted = f"{sign} {target:g}" + ("" if stretch is None else f", stretch {stretch:g}")
    if not _kept(median, target, at_least):
        return f"**MISSED** ({wanted})"
    further = stretch is not None and _kept(median, stretch, at_least)
    return f"met, the stretch too ({wanted})" if further else f"met ({wanted})"


@dataclass(frozen=True)
class Row:
    """One measure: what was found, what its target says to it, and the command that finds it again."""

    measure: str
    values: Sequence[float]
    verdict: str
    command: str


def measures(rows: Sequence[Row]) -> str:
    """The table of measures; one that has no values was not measured."""
    header = ["measure", "min / median / max", "median against its target", "command"]
    cells = [[r.measure, spread(r.values) if r.values else "-", r.verdict, f"`{r.command}`"] for r in rows]
    return markdown(header, cells)


def _kept(value: float, target: float, at_least: bool) -> bool:
    return value >= target if at_least else value <= target


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    """The processor's name: platform.processor() is empty on most Linux systems."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
