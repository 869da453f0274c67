"""What of a long style is enough: parts of it against the whole, by Gram matrices and by results.

Of two minutes of forest/forest 30 s are off by 0.07 to 0.10 of the Gram matrix's size, 60 s by 0.04 to 0.05, 10 s by
0.15 to 0.19; a ten-second result closed 0.79 of the way to the whole style with 10 s, 0.86 with 20 and 30 s, 0.92 with
60 s, which cost 1.7 times the CPU seconds of 30 s.
"""

import argparse
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from tasks.records.parameters import Parameters
from tasks.stylise.inputs import at_working_level, settings_of
from tasks.transfer.features import patches
from tasks.transfer.features.kernel import Kernel, inverses
from tasks.transfer.item import Item, Style
from tasks.transfer.judge import relative_losses
from tasks.transfer.pipeline import transfer
from tasks.transfer.references import reference_of, spectrogram_of
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import frames_of
from tests.bench import music
from tests.bench.table import markdown

CPU = torch.device("cpu")
CONTENT = "forest/clavelian_march"
STYLE = "forest/forest"


def report(given: argparse.Namespace) -> None:
    style, _ = at_working_level(music.sound(given.style, given.seconds, 5.0), music.SAMPLE_RATE)
    settings = settings_of(Parameters(), music.SAMPLE_RATE)
    whole = spectrogram_of(style, settings, frames_of(len(style), settings.hop_length))[0]
    grams = {width: gram(whole, width) for width in settings.widths}
    what = f"{given.seconds:g} s of {given.style}, represented by parts of it, {given.seeds} seeds"
    print(f"{what}: distance of the Gram matrices over the size of the whole's\n")
    rows = []
    for seconds in given.parts:
        shares = [_errors(style, whole, grams, replace(settings, style_seconds_max=seconds), seed)
                  for seed in range(given.seeds)]  # fmt: skip
        by_width = [[share[width] for share in shares] for width in settings.widths]
        cells = [f"{np.mean(values):.3f} ({max(values):.3f})" for values in by_width]
        loss = _result(style, settings, seconds, given.seconds) if given.results else ""
        rows.append([f"{seconds:g}", *cells, loss])
        print(rows[-1], file=sys.stderr)
    header = ["style_seconds_max", *(f"width {width}: mean (most)" for width in settings.widths)]
    print(markdown([*header, "style loss of a result, judged by the whole; CPU s"], rows))


def gram(rows: torch.Tensor, width: int, block: int = 512) -> torch.Tensor:
    """k(p, q)^2 of all pairs of patches. Shape: (frames, bins) -> (patches, patches)."""
    squares = (rows * rows).sum(-1)[None]
    norms = patches.window_sums(squares, width).sqrt()
    plan, count = patches.plan((width,)), rows.shape[0] - width + 1
    out = torch.empty(count, count)
    for start in range(0, count, block):
        part = rows[start : min(start + block, count) + width - 1]
        inner = patches.diagonal_sums((part @ rows.T)[None], plan)[width]
        own = norms[:, start : start + inner.shape[1]]
        value = Kernel.of(inner, inverses(own), inverses(norms)).value * own[..., None] * norms[:, None]
        out[start : start + inner.shape[1]] = value[0].square_()
    return out


def _errors(
    style: torch.Tensor, whole: torch.Tensor, grams: dict[int, torch.Tensor], settings: Settings, seed: int
) -> dict[int, float]:
    """Relative Gram distance of what represents a style to all of it, by width."""
    [part] = reference_of([Item(style, (Style(style),), seed)], settings, CPU).styles
    rows, runs = part.rows[0], part.run[0]
    starts = torch.zeros(len(whole))
    for run in range(int(runs.max()) + 1):
        first = rows[runs == run]
        starts[int((whole - first[0]).abs().sum(-1).argmin())] = len(first)
    found = {}
    for width, squares in grams.items():
        weights = torch.zeros(len(squares), dtype=torch.float64)
        for start in starts.nonzero().flatten().tolist():
            weights[start : start + int(starts[start]) - width + 1] += 1
        all_of_it = torch.full_like(weights, 1 / len(weights))
        apart = weights / weights.sum() - all_of_it
        found[width] = float((_form(squares, apart) / _form(squares, all_of_it)) ** 0.5)
    return found


def _form(squares: torch.Tensor, weights: torch.Tensor) -> float:
    return float(weights @ (squares @ weights.float()).double())


def _result(style: torch.Tensor, settings: Settings, seconds: float, all_seconds: float) -> str:
    """What a ten-second content restyled with a part of the style comes to, judged by the whole style."""
    content, _ = at_working_level(music.sound(CONTENT, 10.0), music.SAMPLE_RATE)
    item, clock = Item(content, (Style(style),)), time.process_time()
    steps = transfer([item], replace(settings, style_seconds_max=seconds), CPU)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            [outcome] = end.value
            break
    cpu = time.process_time() - clock
    _, loss = relative_losses(outcome.waveform, item, replace(settings, style_seconds_max=all_seconds + 1))
    _, start = relative_losses(content, item, replace(settings, style_seconds_max=all_seconds + 1))
    return f"{loss:.2g} of {start:.2g}; {cpu:.0f}"
