"""A distribution as a small drawing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

BARS, WIDTH, HEIGHT = 24, 240, 56


@dataclass(frozen=True)
class Histogram:
    """How often values fall where: heights of the bars (0 to 1) over equal steps from `low` to `high`."""

    name: str
    bars: tuple[float, ...]
    low: float
    middle: float  # the median
    high: float
    values: int

    @property
    def rectangles(self) -> list[tuple[float, float, float, float]]:
        """x, y, width, height of each bar that has any, in a drawing of WIDTH by HEIGHT."""
        step = WIDTH / len(self.bars)
        tall = [max(1.5, share * HEIGHT) if share else 0.0 for share in self.bars]
        return [(n * step, HEIGHT - h, step - 1, h) for n, h in enumerate(tall) if h]


def histogram(name: str, values: Sequence[float], powers: bool = False) -> Histogram | None:
    """None where there is nothing to draw. `powers`: steps are equal by ratio, for what spans decades."""
    found = [value for value in values if math.isfinite(value) and (value > 0 or not powers)]
    if not found:
        return None
    scale = math.log if powers else float
    low, high = scale(min(found)), scale(max(found))
    counts = [0] * BARS
    for value in found:
        counts[min(BARS - 1, int((scale(value) - low) / (high - low) * BARS)) if high > low else BARS // 2] += 1
    bars = tuple(count / max(counts) for count in counts)
    return Histogram(name, bars, min(found), median(found), max(found), len(found))
