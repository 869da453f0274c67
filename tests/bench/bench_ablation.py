"""What each default is worth: stages on and off, widths, evaluations, starts, phase; on two pairs.

Losses of the written audio, over those of the published recipe's written audio for the same pair: on its own filters,
on fresh ones, and the style distance at widths 11 and 48; chroma similarity to the content; CPU seconds.

    python -m tests.bench.bench_ablation [--pairs 2] [--only widths]
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tasks.computing import set_up
from tests.bench import music, peer, sides
from tests.bench.judge import Judge
from tests.bench.table import figure, machine, markdown

Cell = dict[str, Any]


def evaluations(*both: tuple[int, int]) -> list[Cell]:
    return [{"spectrogram_evaluations": s, "refine_evaluations": r} for s, r in both]


GROUPS: dict[str, Sequence[Cell]] = {
    "stages": [{"refine_evaluations": 0}, {"spectrogram_evaluations": 0}, {"phase_iterations": 0}],
    "evaluations": evaluations((24, 192), (96, 192), (48, 32), (48, 64), (48, 96), (48, 384)),
    "tolerance": [{"tolerance": t} for t in (0.0, 0.003, 0.03)],
    "widths": [{"widths": w} for w in ((2,), (11,), (4, 16), (1, 2, 4, 8, 16, 32), (2, 8, 32, 64))],
    "start": [{"start": "noise"}, {"start": "style"}],
    "phase start": [{"phase_start": s} for s in ("content", "style", "random", "estimated", "tree")],
    "phase method": [{"phase_method": m} for m in ("raar", "fast_griffinlim", "griffinlim")],
    "content weight": [{"content_weight": w} for w in (0.003, 0.03)],
}


class Table:
    """Rows of one figure for each pair and column."""

    def __init__(self, pairs: Sequence[music.Excerpts]) -> None:
        self._pairs = pairs
        self._judges = [Judge(pair) for pair in pairs]
        self._recipes = [peer.recipe(pair).figures for pair in pairs]

    def row(self, name: str, cell: Cell) -> list[str]:
        columns: list[list[float]] = []
        for pair, judge, recipe in zip(self._pairs, self._judges, self._recipes, strict=True):
            us = sides.ours(pair, **cell)
            found = judge(us.audio)
            columns.append(
                [
                    found.own.total / recipe.own.total,
                    found.fresh.total / recipe.fresh.total,
                    found.heard.style_11 / recipe.heard.style_11,
                    found.style_48 / recipe.style_48,
                    found.heard.chroma,
                    us.outcome.evaluations,
                    us.cpu,
                ]
            )
        print(name, columns, file=sys.stderr, flush=True)
        return [name, *(" / ".join(map(figure, values)) for values in zip(*columns, strict=True))]


def told(cell: Cell) -> str:
    return ", ".join(f"{name} {value}" for name, value in cell.items())


def chosen(cell: Cell) -> bool:
    """Whether a cell is the default itself."""
    return sides.settings(**cell) == sides.settings()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="some groups of cells alone")
    given = parser.parse_args()
    set_up(1)
    pairs = music.pairs(given.pairs)
    table = Table(pairs)
    rows = [table.row(f"**default**: {told(_defaults())}", {})]
    for group in given.only or GROUPS:
        rows += [table.row(told(cell), cell) for cell in GROUPS[group] if not chosen(cell)]
    print(machine("torch", threads=1), end="\n\n")
    print(f"{music.note()}. Pairs: {'; '.join(pair.name for pair in pairs)}.", end="\n\n")
    header = [
        "changed",
        "own filters, over published",
        "fresh filters",
        "width 11",
        "width 48",
        "chroma",
        "evaluations",
    ]
    print(markdown([*header, "CPU s"], rows))


def _defaults() -> Cell:
    settings = sides.settings()
    return {name: getattr(settings, name) for cells in GROUPS.values() for cell in cells for name in cell}


if __name__ == "__main__":
    main()
