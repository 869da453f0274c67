"""One evaluation of the default objective against the four matrix products in it, which nothing can avoid.

The evaluation is loss and gradient by the kernel features with default widths, as the spectrogram stage asks for them;
the products are X X', X S', D X and E S, T x T x F each, alone and on the same data. Both take turns.

    python -m tests.bench.bench_kernel [--repeat 60]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from tasks.computing import set_up
from tasks.transfer.features import Part, Reference, losses_of
from tasks.transfer.objective import SpectrogramProblem
from tests.bench import music, published, sides
from tests.bench.table import Row, figure, machine, markdown, measures, verdict

FRAMES = 430
TARGET = 1.5
COMMAND = "python -m tests.bench.bench_kernel"


def both(pair: music.Excerpts) -> tuple[Callable[[], object], Callable[[], object]]:
    """(an evaluation, the products), to be called."""
    content, style = (published.log_magnitude(w)[:FRAMES] for w in (pair.content, pair.style))
    frames = torch.tensor([len(content)])
    settings = sides.settings()
    reference = Reference(content[None], frames, (Part.unbroken(style[None], frames),))
    problem = SpectrogramProblem(losses_of(reference, settings, 0), settings.content_weight)
    x = 0.5 * (content + style)

    def products() -> tuple[Tensor, ...]:
        a, b = x @ x.T, x @ style.T
        return a @ x, b @ style

    return lambda: problem.evaluate(x[None]), products


def times(calls: tuple[Callable[[], object], ...], repeat: int) -> list[list[tuple[float, float]]]:
    """(CPU of this thread, wall) of each of the calls, milliseconds, in turns."""
    found: list[list[tuple[float, float]]] = [[] for _ in calls]
    for turn in range(repeat + 5):
        for call, seen in zip(calls, found, strict=True):
            cpu, wall = time.thread_time(), time.perf_counter()
            call()
            both = time.thread_time() - cpu, time.perf_counter() - wall
            if turn >= 5:
                seen.append((1e3 * both[0], 1e3 * both[1]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=60)
    repeat = parser.parse_args().repeat
    calls, rows, cells = both(music.pairs(1)[0]), [], []
    for threads in (1, 2):
        set_up(threads)
        ours, products = times(calls, repeat)
        for clock, name in ((0, "CPU of the thread"), (1, "wall")):
            us, them = ([seen[clock] for seen in side] for side in (ours, products))
            medians, least = (statistics.median(us), statistics.median(them)), (min(us), min(them))
            ratios = [medians[0] / medians[1], least[0] / least[1]]
            cells.append([f"{threads}, {name}", *map(figure, (*medians, ratios[0], *least, ratios[1]))])
            # With more threads the others' work is not in this one's CPU time.
            if clock == (threads > 1):
                what = f"one evaluation over its four products, {name}, {threads} thread{'s' * (threads > 1)}"
                rows.append(Row(what, [ratios[0]], verdict([ratios[0]], TARGET), COMMAND))
    widths = sides.settings().widths
    print(machine("torch", repeats=repeat, frames=FRAMES, bins=published.N_FFT // 2 + 1, widths=widths), end="\n\n")
    print(measures(rows), end="\n\n")
    header = ["threads, ms", "evaluation, median", "products", "ratio", "evaluation, least", "products", "ratio"]
    print(markdown(header, cells))


if __name__ == "__main__":
    main()
