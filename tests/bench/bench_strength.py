"""Do equal strengths move different pairs equally far? The style distance that is closed, pair by pair.

A Gram matrix's distance to the style's is the root of the style loss; what a result has closed of it, 0 to 1, is
1 - sqrt(style_loss / style_loss_start), both of waveforms, judged against the style itself. On the first four pairs,
with default parameters:

| strength | closed, lowest to highest | mean |
|---|---|---|
| 0.25 | 0.240 to 0.249 | 0.244 |
| 0.5 | 0.485 to 0.497 | 0.492 |
| 0.75 | 0.719 to 0.746 | 0.737 |
| 1 | 0.868 to 0.975 | 0.939 |

At 1 a pair goes as far as its waveform does in the evaluations that it has.

    python -m tests.bench.bench_strength --pairs 4
"""

import argparse
import sys
from statistics import mean

import torch

from tasks.computing import set_up
from tasks.records.parameters import Parameters
from tasks.stylise.inputs import settings_of
from tasks.transfer.item import Item, Style
from tasks.transfer.judge import relative_losses
from tasks.transfer.pipeline import transfer
from tests.bench import music
from tests.bench.table import machine, markdown

STRENGTHS = (0.25, 0.5, 0.75, 1.0)


def closed(pair: music.Excerpts, strength: float) -> tuple[float, float]:
    """What of the style distance a pair's result has closed, and its content loss."""
    settings = settings_of(Parameters(strength=strength), music.SAMPLE_RATE)
    item = Item(pair.content, (Style(pair.style),))
    steps = transfer([item], settings, torch.device("cpu"))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            [outcome] = end.value
            break
    _, before = relative_losses(pair.content, item, settings)
    content, after = relative_losses(outcome.waveform, item, settings)
    return float(1 - (after / before) ** 0.5), content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=4, choices=range(1, len(music.TRACKS) + 1), metavar="N")
    given = parser.parse_args()
    set_up(1)
    print(machine("torch", threads=1))
    print(f"{music.note()}\n", flush=True)
    pairs = music.pairs(given.pairs)
    found = {}
    for pair in pairs:
        for strength in STRENGTHS:
            found[pair.name, strength] = closed(pair, strength)
            print(f"{pair.name}, {strength:g}: {found[pair.name, strength]}", file=sys.stderr)
    rows = []
    for strength in STRENGTHS:
        shares = [found[pair.name, strength][0] for pair in pairs]
        losses = [found[pair.name, strength][1] for pair in pairs]
        spread = f"{min(shares) - mean(shares):+.3f}, {max(shares) - mean(shares):+.3f}"
        rows.append([f"{strength:g}", *(f"{s:.3f}" for s in shares), spread, ", ".join(f"{x:.2f}" for x in losses)])
    header = ["strength", *(pair.name for pair in pairs), "lowest, highest less mean", "content losses"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
