"""Our transfer against the published recipe, by what both have written, and what it cost.

Ours is run afresh with default parameters. The recipe's figures are kept (published.json; ten CPU minutes a pair make
them anew), and its time is taken again in turns with ours on the first pairs, from some of its evaluations and
iterations. Decoding and levelling of the inputs is not counted, our writing and reading back is.

    python -m tests.bench.bench_transfer [--pairs 8] [--timed-pairs 2] [--timed-evaluations 15]
    python -m tests.bench.bench_transfer --device cuda     # pairs a second, on a GPU
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from tasks.computing import set_up
from tasks.transfer.judge import relative_losses
from tasks.transfer.weights import from_published
from tests.bench import music, peer, published, sides, throughput
from tests.bench.judge import Figures, Heard, Judge, heard
from tests.bench.table import Row, figure, machine, markdown, measures, verdict

COMMAND = "python -m tests.bench.bench_transfer"
TIMED_PHASE_ITERATIONS = 25


@dataclass(frozen=True)
class Further:
    """What ours gives with other parameters, so that one thing is equal."""

    weighted: published.Loss  # on the recipe's filters, with the recipe's own content weight
    equal: Heard  # at the strength at which its style distance is the recipe's


@dataclass
class Compared:
    """One pair, both sides."""

    pair: music.Excerpts
    us: sides.Ours
    ours: Figures
    recipe: peer.Recipe
    late: float  # style distance of ours on frames half a hop late, over that on its own
    further: Further | None = None

    def ratio(self, name: str) -> float:
        """Ours over the recipe's."""
        ours, theirs = (_value(side, name) for side in (self.ours, self.recipe.figures))
        return ours / theirs


def compared(pair: music.Excerpts) -> Compared:
    recipe = peer.recipe(pair)
    us = sides.ours(pair)
    found = Judge(pair)(us.audio)
    seconds = f"{us.cpu:.1f} CPU s, published {recipe.cpu:.0f}"
    losses = f"ours {figure(found.own.total)}, published {figure(recipe.figures.own.total)}"
    print(f"{pair.name}: {losses}; {seconds}", file=sys.stderr, flush=True)
    return Compared(pair, us, found, recipe, _half_a_hop_late(pair, us.audio))


def _half_a_hop_late(pair: music.Excerpts, audio: Tensor) -> float:
    settings = sides.settings()
    late = pad(audio[settings.hop_length // 2 :], (0, settings.hop_length // 2))
    there, here = (relative_losses(sound, sides.item(pair), settings)[1] for sound in (late, audio))
    return there / here


def further(one: Compared) -> Further:
    pair = one.pair
    weight = from_published(published.CONTENT_WEIGHT, pair.content, pair.style, sides.settings())
    weighted = Judge(pair).own(sides.ours(pair, content_weight=weight).audio)
    found = Further(weighted, at_equal_style(pair, one.ours.heard, one.recipe.figures.heard.style_11))
    print(f"{pair.name}: {found}", file=sys.stderr, flush=True)
    return found


def at_equal_style(pair: music.Excerpts, full: Heard, distance: float) -> Heard:
    """What ours sounds like at a given style distance: between the two strengths around it.

    Strength is a share of the way between Gram matrices, so a distance, which is squared, tells where to look.
    """
    none = heard(pair, sides.written(pair.content))
    near = 1 - math.sqrt(min(1.0, distance / none.style_11))
    tried = [heard(pair, sides.ours(pair, strength=s).audio) for s in (max(0.05, near - 0.05), min(0.98, near + 0.05))]
    at = sorted((none, *tried, full), key=lambda one: one.style_11)
    logs = [math.log(max(one.style_11, 1e-12)) for one in at]
    chroma, onset = (
        float(np.interp(math.log(distance), logs, [getattr(one, name) for one in at])) for name in ("chroma", "onset")
    )
    return Heard(distance, chroma, onset)


def timed(pairs: Sequence[music.Excerpts], evaluations: int) -> tuple[list[float], peer.Times]:
    """(our CPU seconds, the recipe's times), ours before and after the recipe's on each pair."""
    ours, theirs = [], []
    for pair in pairs:
        ours.append(sides.ours(pair).cpu)
        theirs.append(peer.timed(pair, evaluations, TIMED_PHASE_ITERATIONS))
        ours.append(sides.ours(pair).cpu)
    names = ("setup", "evaluation", "phase_iteration")
    return ours, peer.Times(*(statistics.mean(getattr(one, name) for one in theirs) for name in names))


def rows(pairs: Sequence[Compared], ours: Sequence[float], times: peer.Times) -> list[Row]:
    """Every measure with its target."""
    found = {name: [p.ratio(name) for p in pairs] for name in ("own", "fresh", "style_11", "style_48")}
    spectrogram = [p.ours.own.total / p.recipe.spectrogram for p in pairs]
    equal = [(p.further, p.recipe) for p in pairs if p.further]
    weighted = [more.weighted.total / recipe.spectrogram for more, recipe in equal]
    heard = {
        name: [getattr(more.equal, name) - getattr(recipe.figures.heard, name) for more, recipe in equal]
        for name in ("chroma", "onset")
    }
    fast = [times.of(p.recipe.evaluations) / p.us.cpu for p in pairs]
    turns = [times.of(p.recipe.evaluations) / statistics.mean(ours) for p in pairs[: len(ours) // 2]]
    seconds = "CPU seconds, published over ours"
    measured = [
        ("published loss of the written audio, own filters, ours over published", found["own"], 0.35, 0.28, False),
        ("the same, filters that neither optimised on", found["fresh"], 0.33, 0.26, False),
        ("style distance at width 11, ours over published", found["style_11"], 0.1, None, False),
        ("style distance at width 48, ours over published", found["style_48"], 0.1, None, False),
        ("our written audio over the published *spectrogram*, own filters", spectrogram, 1.15, 1.05, False),
        ("the same, ours with the recipe's own content weight", weighted, 1.15, 1.05, False),
        (f"{seconds}, all pairs, at the times taken today", fast, 100, 200, True),
        (f"{seconds}, in turns, {len(turns)} pairs", turns, 100, 200, True),
        (f"{seconds}, as its run was clocked", [p.recipe.cpu / p.us.cpu for p in pairs], 100, 200, True),
        ("style distance of ours half a hop late, over that on its frames", [p.late for p in pairs], 1.5, None, False),
        ("chroma similarity at equal style distance, ours less published", heard["chroma"], 0, None, True),
        ("onset correlation at equal style distance, ours less published", heard["onset"], 0, None, True),
    ]
    return [
        Row(measure, values, verdict(values, target, at_least=at_least, stretch=stretch), COMMAND)
        for measure, values, target, stretch, at_least in measured
        if values
    ]


def details(pairs: Sequence[Compared]) -> str:
    """Both sides of each pair: losses of the written audio, likeness to the content, CPU seconds."""
    header = [
        "pair, side", "own filters", "content", "style", "fresh filters", "content", "style", "width 11", "width 48",
        "chroma", "onset", "at equal style: chroma", "onset", "evaluations", "CPU s",
    ]  # fmt: skip
    cells = []
    for p in pairs:
        theirs = p.recipe.figures
        equal = (figure(p.further.equal.chroma), figure(p.further.equal.onset)) if p.further else ("", "")
        cells.append(
            [f"{p.recipe.name}: ours", *_cells(p.ours), *equal, str(p.us.outcome.evaluations), figure(p.us.cpu)]
        )
        equal = figure(theirs.heard.chroma), figure(theirs.heard.onset)
        cells.append(["published", *_cells(theirs), *equal, str(p.recipe.evaluations), figure(p.recipe.cpu)])
        cells.append(["published, its spectrogram", figure(p.recipe.spectrogram), *[""] * 13])
    return markdown(header, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=8, choices=range(1, len(music.TRACKS) + 1), metavar="N")
    parser.add_argument("--timed-pairs", type=int, default=2, help="time the published recipe again on so many")
    parser.add_argument("--timed-evaluations", type=int, default=15, help="by so many of its evaluations")
    parser.add_argument("--kept", action="store_true", help="leave out pairs for which the recipe would have to run")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing more after so long")
    parser.add_argument("--device", default="cpu", help="cuda: pairs a second instead")
    given = parser.parse_args()
    if given.device != "cpu":
        print(throughput.report(given.device, f"{COMMAND} --device {given.device}"))
        return
    set_up(1)
    pairs = sorted(music.pairs(given.pairs), key=peer.at_hand, reverse=True)  # the rest may be made meanwhile
    _warm_up(pairs[0])
    end = time.monotonic() + 60 * given.minutes
    both = [compared(pair) for pair in pairs if (peer.at_hand(pair) or not given.kept) and time.monotonic() < end]
    ours, times = timed([one.pair for one in both[: given.timed_pairs]], given.timed_evaluations)
    for one in both:
        one.further = further(one) if time.monotonic() < end else None
    print(machine("torch", "torchaudio", "scipy", "numpy", "soundfile", threads=1, pairs=len(both)), end="\n\n")
    print(f"{music.note()}. Absolute losses, content weight {published.CONTENT_WEIGHT}.", end="\n\n")
    print(measures(rows(both, ours, times)), end="\n\n")
    print(_clocked(times, ours, given.timed_evaluations), end="\n\n")
    print(details(both))


def _clocked(times: peer.Times, ours: Sequence[float], evaluations: int) -> str:
    mine = ", ".join(f"{s:.2f}" for s in ours)
    return (
        f"Times taken today, in turns with ours on {len(ours) // 2} pairs ({mine} CPU s): the recipe's set-up "
        f"{times.setup:.2f} CPU s, one of its evaluations {times.evaluation:.3f} (mean of {evaluations} steps), one "
        f"iteration of Griffin-Lim {times.phase_iteration:.4f} (mean of {TIMED_PHASE_ITERATIONS}). A whole run is "
        f"scaled from them to the pair's own number of evaluations and {published.PHASE_ITERATIONS} iterations."
    )


def _value(figures: Figures, name: str) -> float:
    if name == "style_11":
        return figures.heard.style_11
    value = getattr(figures, name)
    return float(value.total if isinstance(value, published.Loss) else value)


def _cells(figures: Figures) -> list[str]:
    losses = [v for loss in (figures.own, figures.fresh) for v in _parts(loss)]
    heard = figures.heard
    return [figure(v) for v in (*losses, heard.style_11, figures.style_48, heard.chroma, heard.onset)]


def _parts(loss: published.Loss) -> tuple[float, float, float]:
    return loss.total, published.CONTENT_WEIGHT * loss.content, loss.style


def _warm_up(pair: music.Excerpts) -> None:
    """Load the libraries that the first call loads, on two seconds of music."""
    short = music.Excerpts("warm-up", *(w[: 2 * music.SAMPLE_RATE] for w in (pair.content, pair.style)))
    sides.ours(short)
    published.restyle(short.content, short.style, 1, iterations=1, phase_iterations=1)


if __name__ == "__main__":
    main()
