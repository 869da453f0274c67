"""Our transfer against the published recipe: losses of the written audio, judged by the recipe, and CPU seconds.

Both run in one process, on the same excerpts, one after the other, with nothing kept between them; decoding and
levelling of the inputs is not counted, writing and reading back the output is. The judge is the recipe's own loss on
the very filters that the recipe optimised on and we never saw, and again on filters that neither saw.

    python -m tests.bench.bench_transfer --pairs 2
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import torch

from tasks.audio import decode, encode
from tasks.records.parameters import Parameters
from tasks.transfer.pipeline import Item, Outcome, transfer
from tasks.transfer.settings import Settings
from tests.bench import music, published
from tests.bench.table import figure, machine, markdown, spread, verdict

LOSS_TARGET = 0.5
CPU_TARGET = 1 / 50
SEED = 1
HELDOUT_SEED = 1_000_003


@dataclass(frozen=True)
class Measured:
    """One side of one pair."""

    loss: published.Loss  # of the written audio, on the recipe's own filters
    heldout: published.Loss  # of the written audio, on filters that nobody optimised on
    cpu: float  # seconds of the process, all threads
    wall: float  # seconds
    remarks: str


def ours(pair: music.Excerpts, device: torch.device) -> tuple[torch.Tensor, str]:
    """Our pipeline with its default parameters: waveform (samples,) and what it says about itself."""
    params = Parameters()
    settings = Settings(**{f.name: getattr(params, f.name) for f in fields(Settings)})
    outcome = _returned(pair, settings, device)
    if outcome.waveform is None:
        raise SystemExit(f"our transfer of {pair.name} gave no audio: {outcome.stop_reason}")
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in outcome.seconds.items())
    return outcome.waveform, f"{outcome.evaluations} evaluations; {stages}"


def peer(pair: music.Excerpts, iterations: int) -> tuple[torch.Tensor, str]:
    """The published recipe likewise."""
    result = published.restyle(pair.content, pair.style, SEED, iterations=iterations, on_evaluation=_tell)
    remarks = f"{len(result.curve)} evaluations; optimise {result.cpu_optimise:.1f}, phase {result.cpu_phase:.1f} CPU s"
    return result.waveform, f"{remarks}; its spectrogram's loss {figure(result.loss.total)}"


def written(waveform: torch.Tensor) -> torch.Tensor:
    """The waveform as FLAC holds it, at the level it had: what would clip is turned down for the file."""
    down = min(1.0, 0.9 / float(waveform.abs().max()))
    data = encode((waveform * down).numpy(), music.SAMPLE_RATE, "flac")
    seconds = len(waveform) / music.SAMPLE_RATE
    return torch.from_numpy(decode(data, sample_rate=music.SAMPLE_RATE, max_seconds=seconds + 1).samples) / down


def measure(pair: music.Excerpts, make: Callable[[], tuple[torch.Tensor, str]]) -> Measured:
    """Run one side, write its audio, and judge what was written."""
    cpu, wall = time.process_time(), time.perf_counter()
    waveform, remarks = make()
    audio = written(waveform)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    loss, heldout = (published.published_loss(audio, pair.content, pair.style, seed) for seed in (SEED, HELDOUT_SEED))
    return Measured(loss, heldout, cpu, wall, remarks)


def report(names: list[str], sides: list[tuple[Measured, Measured]]) -> str:
    """The table of all pairs, our side and the peer's, and the ratios with their targets."""
    rows = []
    for name, both in zip(names, sides, strict=True):
        for who, m in zip(("ours", "published"), both, strict=True):
            parts = (m.loss.total, published.CONTENT_WEIGHT * m.loss.content, m.loss.style)
            held = (m.heldout.total, published.CONTENT_WEIGHT * m.heldout.content, m.heldout.style)
            rows.append([f"{name}: {who}", *map(figure, (*parts, *held, m.cpu, m.wall))])
        loss, heldout, cpu = _ratios(*both)
        rows.append(
            [f"{name}: **ratio**", f"**{loss:.3f}**", "", "", f"{heldout:.3f}", "", "", f"**1/{1 / cpu:.0f}**", ""]
        )
    header = ["written audio", "loss", "content", "style", "held-out", "content", "style", "CPU s", "wall s"]
    losses, heldouts, cpus = zip(*(_ratios(*both) for both in sides), strict=True)
    summary = [
        ["published loss", spread(losses), verdict(losses, LOSS_TARGET)],
        ["held-out loss", spread(heldouts), ""],
        ["CPU seconds", spread(cpus), verdict(cpus, CPU_TARGET)],
    ]
    remarks = [f"- {n}: ours {o.remarks}\n- {n}: published {p.remarks}" for n, (o, p) in zip(names, sides, strict=True)]
    ratios = markdown(["ours / published", "min / median / max" if len(sides) > 1 else "one pair", "median"], summary)
    return "\n\n".join([markdown(header, rows), ratios, "\n".join(remarks)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=2, choices=range(1, len(music.TRACKS) + 1), metavar="N")
    parser.add_argument("--iterations", type=int, default=published.ITERATIONS, help="of the published recipe")
    parser.add_argument("--threads", type=int, default=1, help="more waste CPU seconds in waiting, on both sides")
    parser.add_argument("--device", default="cpu", help="of our side; the published recipe stays on the CPU")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)

    packages = ("torch", "scipy", "numpy", "soundfile")
    print(machine(*packages, threads=given.threads, device=device, published_iterations=given.iterations))
    print(f"{music.note()}; absolute losses, content weight {published.CONTENT_WEIGHT}\n", flush=True)
    pairs = music.pairs(given.pairs)
    _warm_up(pairs[0], device)
    sides = []
    for pair in pairs:
        us = measure(pair, partial(ours, pair, device))
        print(f"{pair.name}: ours {figure(us.loss.total)}, {us.cpu:.1f} CPU s", file=sys.stderr)
        them = measure(pair, partial(peer, pair, given.iterations))
        print(f"{pair.name}: published {figure(them.loss.total)}, {them.cpu:.1f} CPU s", file=sys.stderr)
        sides.append((us, them))
    print(report([pair.name for pair in pairs], sides))


def _returned(pair: music.Excerpts, settings: Settings, device: torch.device) -> Outcome:
    steps = transfer([Item(pair.content, pair.style, SEED)], settings, device)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            outcome: Outcome = end.value[0]
            return outcome


def _ratios(us: Measured, them: Measured) -> tuple[float, float, float]:
    return us.loss.total / them.loss.total, us.heldout.total / them.heldout.total, us.cpu / them.cpu


def _warm_up(pair: music.Excerpts, device: torch.device) -> None:
    """Load the libraries that the first call loads, for both sides, on two seconds of music."""
    short = music.Excerpts("warm-up", *(w[: 2 * music.SAMPLE_RATE] for w in (pair.content, pair.style)))
    written(ours(short, device)[0])
    published.restyle(short.content, short.style, SEED, iterations=1, phase_iterations=1)


def _tell(evaluation: int, loss: float) -> None:
    if evaluation % 25 == 0:
        print(f"  published: evaluation {evaluation}, loss {figure(loss)}", file=sys.stderr)


if __name__ == "__main__":
    main()
