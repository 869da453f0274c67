"""A network for one style against the optimiser, on contents that its training never saw.

The corpus: ten seconds of every track of the music that is long enough, but for the style's and the contents of the
benchmark's pairs, which are restyled afterwards by the network, by the network with a few refine evaluations, and by
the optimiser. Judged is the written audio: its style loss over the untouched content's. A root that has the network
already is not trained in anew.

Measured so (two cores of an AMD EPYC, 2 threads, other work beside it at times: 6,117 steps in 1,200 s), style
forest/forest, 30 sources and 5 for validation: on the eight contents 0.031 of the untouched style loss is left (0.009
to 0.051) for 0.23 CPU seconds, 0.018 with 8 refine evaluations for 1.45; the optimiser leaves 0.002 (0.0005 to 0.0035)
for 16.3, on one thread for 7. A fifth of the steps left 0.12.

    python -m tests.bench.bench_feedforward --seconds 1200 --threads 2 --root /tmp/feedforward
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from tasks.audio import encode
from tasks.computing import set_up
from tasks.layout import Layout
from tasks.networks import find_network
from tasks.records.parameters import Parameters
from tasks.records.training import TrainingEnd, TrainingJob, TrainingOptions
from tasks.store import open_store
from tasks.stylise.inputs import settings_of
from tasks.transfer.item import Item, Style, Trained
from tasks.transfer.judge import relative_losses
from tasks.transfer.pipeline import transfer
from tasks.transfer.settings import Settings
from tests.bench import music, sides
from tests.bench.table import figure, machine, markdown, verdict

STYLE = music.TRACKS[0][1]
CONTENTS = tuple(content for content, _ in music.TRACKS)
REFINED = (0, 8, 20)


def corpus(folder: Path) -> int:
    """Write the corpus and the style below `folder`; returns how many sources there are."""
    count = 0
    for path in sorted(music.FOLDER.rglob("*.ogg")):
        track = str(path.relative_to(music.FOLDER).with_suffix(""))
        if track in CONTENTS or track == STYLE:
            continue
        try:
            sound = music.sound(track, music.SECONDS)
        except Exception as error:  # too short
            print(f"left out: {track}: {error}", file=sys.stderr)
            continue
        _write(folder / "corpus" / f"{track.replace('/', '-')}.wav", sound)
        count += 1
    _write(folder / "style.wav", music.sound(STYLE, music.SECONDS))
    return count


def _write(path: Path, sound: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode((sound * min(1.0, 0.9 / float(sound.abs().max()))).numpy(), music.SAMPLE_RATE, "wav"))


def trained(folder: Path, told: TrainingOptions, threads: int) -> tuple[Trained, str]:
    """The network below `folder`, trained there unless it is there already, and what is to be said of its training."""
    from tasks.training import session

    root, style = f"file://{folder}/root", folder / "style.wav"
    digest = open_store(root).read(f"file://{style}").sha256
    note = folder / "note.txt"
    if not list(open_store(root).list(Layout(root).models(digest))):
        job = TrainingJob(style=str(style), corpus=str(folder / "corpus"), root=root, training=told)
        prepared, cpu = session.prepare(job), time.process_time()
        work = session.carry_out(prepared)
        while True:
            try:
                record = next(work)
            except StopIteration as end:
                ended: TrainingEnd = end.value
                break
            if record.validated:
                print(f"step {record.step}, {record.seconds:.0f} s: {record}", file=sys.stderr, flush=True)
        cpu = time.process_time() - cpu
        sides_ = prepared.split
        note.write_text(
            f"{len(sides_.training)} sources trained on, {len(sides_.validation)} for validation; {threads} threads, "
            f"{ended.seconds:,.0f} s, {cpu:,.0f} CPU s; {ended.message}"
        )
    return find_network(root, digest, "", str(style)), note.read_text()


def restyled(item: Item, settings: Settings) -> tuple[float, float, float]:
    """(style loss of the written audio, content loss, CPU seconds of the transfer)."""
    cpu = time.process_time()
    [outcome] = sides.returned(transfer([item], settings, torch.device("cpu")))
    cpu = time.process_time() - cpu
    assert outcome.waveform is not None
    content, style = relative_losses(sides.brought_out(outcome.waveform), item, settings)
    return style, content, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=1_200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--contents", type=int, default=len(CONTENTS), choices=range(1, len(CONTENTS) + 1), metavar="N")
    parser.add_argument("--learning-rate", type=float, default=TrainingOptions().learning_rate)
    given = parser.parse_args()
    if not music.FOLDER.is_dir():
        raise SystemExit(f"{music.note()}: nothing to train on")
    set_up(given.threads)
    print(machine("torch", threads=given.threads))
    print(f"{music.note()}\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.root or Path(temporary)
        if not (folder / "style.wav").exists():
            corpus(folder)
        told = TrainingOptions(budget_seconds=given.seconds, learning_rate=given.learning_rate, patience=1_000)
        network, note = trained(folder, told, given.threads)
    print(f"Style {STYLE}. {note}\n", flush=True)
    _compare(network, CONTENTS[: given.contents])


def _compare(network: Trained, contents: tuple[str, ...]) -> None:
    ways: dict[str, Settings] = {
        f"network, {n} refine evaluations": settings_of(
            Parameters(method="feedforward", feedforward_refine_evaluations=n), music.SAMPLE_RATE
        )
        for n in REFINED
    }
    ways["network, phase estimated, 32 iterations"] = settings_of(
        Parameters(method="feedforward", feedforward_phase_iterations=32), music.SAMPLE_RATE
    )
    alone = Parameters(spectrogram_evaluations=0, refine_evaluations=REFINED[1])
    ways[f"no network, {REFINED[1]} refine evaluations"] = settings_of(alone, music.SAMPLE_RATE)
    ways["optimiser"] = settings_of(Parameters(), music.SAMPLE_RATE)
    style = Style(music.level(music.sound(STYLE, music.SECONDS)))
    found: dict[str, list[tuple[float, float, float, float]]] = {way: [] for way in ways}
    for track in contents:
        sound = music.level(music.sound(track, music.SECONDS))
        item = Item(sound, (style,), trained=network)
        before = relative_losses(sound, item, ways["optimiser"])[1]
        for way, settings in ways.items():
            own = item if settings.method == "feedforward" else replace(item, trained=None)
            after, content, cpu = restyled(own, settings)
            found[way].append((after / before, after, content, cpu))
        left = {way: round(each[-1][0], 4) for way, each in found.items()}
        print(f"{track}: untouched {before:.3f}, left {left}", file=sys.stderr, flush=True)
    _tell(found)


def _tell(found: dict[str, list[tuple[float, float, float, float]]]) -> None:
    optimiser = mean(each[3] for each in found["optimiser"])
    rows = []
    for way, each in found.items():
        left, style, content, cpu = (list(values) for values in zip(*each, strict=True))
        rows.append(
            [way, f"{mean(left):.3f}", f"{min(left):.3f} to {max(left):.3f}", f"{mean(style):.4f}",
             f"{mean(content):.2f}", figure(mean(cpu)), f"1/{optimiser / mean(cpu):.0f}"]
        )  # fmt: skip
    header = [
        "way",
        "style loss left, mean",
        "lowest to highest",
        "style loss",
        "content loss",
        "CPU s",
        "of the optimiser's",
    ]
    print(markdown(header, rows))
    plain: list[Any] = found[f"network, {REFINED[0]} refine evaluations"]
    print(f"\nleft of the untouched style loss, mean: {verdict([mean(p[0] for p in plain)], 0.15)}")
    print(f"CPU seconds over the optimiser's: {verdict([mean(p[3] for p in plain) / optimiser], 1 / 20)}")


if __name__ == "__main__":
    main()
