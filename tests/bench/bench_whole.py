"""The whole path of one ten-second pair, from files to an encoded file with its figures: memory, CPU seconds, losses.

Each runs in a fresh process with one thread. The published recipe at 44.1 kHz, on the mono mix, is not run to its end:
its time is scaled from a few of its evaluations.

    python -m tests.bench.bench_whole [--evaluations 3]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

from tasks.audio import decode
from tasks.clips import synthesise
from tasks.computing import set_up
from tasks.stylise.inputs import at_working_level
from tests.bench import music, peer, published
from tests.bench.table import Row, figure, machine, markdown, measures, verdict

COMMAND = "python -m tests.bench.bench_whole"
MEMORY_MIB = 700.0
RATE = 44_100
STEREO = 2
"""The first pair whose content is wide: its sides are 8 dB below its middle, those before it 27 and none at all."""
PHASE_ITERATIONS = 5
OCTAVES = (62.5, 125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)
QUIET = 1e-4  # of the loudest band's power: what is 40 dB below has no place that one hears


def mono(folder: Path) -> tuple[list[str], list[str]]:
    """(files, options) of the first pair at the rate of the benchmark."""
    [pair] = music.pairs(1)
    files = [folder / "content.flac", folder / "style.flac"]
    for file, samples in zip(files, (pair.content, pair.style), strict=True):
        soundfile.write(file, samples.clamp(-1, 1).numpy(), music.SAMPLE_RATE)
    return [str(file) for file in files], []


def stereo(folder: Path) -> tuple[list[str], list[str]]:
    """The same of the files of a pair as they are: 44.1 kHz, two channels."""
    if music.FOLDER.is_dir():
        options = ["--start", str(music.STARTS), "--seconds", str(music.SECONDS)]
        return [str(music.FOLDER / f"{track}.ogg") for track in music.TRACKS[STEREO]], options
    files = []
    for name, other in (("pluck", "bell"), ("drums", "rain")):
        both = [synthesise(each, music.SECONDS, RATE) for each in (name, other)]
        left, right = both[0] + 0.3 * both[1], 0.5 * both[0] + 0.6 * both[1]
        files.append(str(folder / f"{name}.wav"))
        soundfile.write(files[-1], np.stack([left, right], 1) / 2, RATE)
    return files, []


def run(files: list[str], options: list[str], result: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.whole", *files, str(result), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def sounds(files: list[str], options: list[str]) -> list[torch.Tensor]:
    """Channels of files at RATE, (channels, samples) each."""
    start, seconds = (float(options[1]), float(options[3])) if options else (None, None)
    return [
        torch.from_numpy(
            decode(
                Path(file).read_bytes(), sample_rate=RATE, mix=False, start=start, seconds=seconds, max_seconds=60
            ).samples
        )
        for file in files
    ]


def level_error(result: torch.Tensor, content: torch.Tensor) -> float:
    """How far the level difference of left and right moved, dB: mean over octaves and tenths of a second."""
    found, wanted = _powers(result), _powers(content)
    loud = wanted.sum(0) > QUIET * wanted.sum(0).max()
    moved = (10 * torch.log10(found[0] / found[1]) - 10 * torch.log10(wanted[0] / wanted[1])).abs()
    return float(moved[loud].mean())


def _powers(channels: torch.Tensor) -> torch.Tensor:
    """Shape: (2, samples) -> (2, octaves, tenths of a second)."""
    n_fft = 8_192
    power = torch.stft(channels, n_fft, RATE // 10, window=torch.hann_window(n_fft), return_complex=True).abs() ** 2
    hz = torch.arange(n_fft // 2 + 1) * RATE / n_fft
    bands = [power[:, (hz >= low) & (hz < 2 * low)].sum(1) for low in OCTAVES[:-1]]
    return torch.stack(bands, 1) + 1e-9


def recipe_seconds(files: list[str], options: list[str], evaluations: int) -> tuple[peer.Times, float]:
    """The recipe's times at 44.1 kHz on the mono mixes, and what a whole run would take."""
    set_up(1)
    content, style = (at_working_level(sound.mean(0), RATE)[0] for sound in sounds(files, options))
    times = peer.timed(music.Excerpts("44.1 kHz", content, style), evaluations, PHASE_ITERATIONS)
    return times, times.of(peer.usual_evaluations())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--evaluations", type=int, default=3, help="of the published recipe, to scale its time from")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gramophone-bench-") as folder:
        place = Path(folder)
        small = run(*mono(place), place / "mono-result.flac")
        files, options = stereo(place)
        large = run(files, options, place / "result.flac")
        [content], [result] = sounds(files[:1], options), sounds([str(place / "result.flac")], [])
        moved = level_error(result, content[:, : result.shape[1]])
        times, seconds = recipe_seconds(files, options, given.evaluations)
    mib = "peak resident memory over the import of torch, MiB"
    at = "44.1 kHz stereo"
    rows = [
        Row(f"{mib}, {music.SAMPLE_RATE} Hz mono", [small["memory"]], verdict([small["memory"]], MEMORY_MIB), COMMAND),
        Row(f"{mib}, {at}", [large["memory"]], "(no target)", COMMAND),
        Row(f"CPU seconds from files to file, {at}", [large["cpu"]], "(no target)", COMMAND),
        Row(f"CPU seconds, published (scaled) over ours, {at}", [seconds / large["cpu"]], "(no target)", COMMAND),
        Row(f"level difference of left and right, moved by, dB, {at}", [moved], "(no target)", COMMAND),
    ]
    print(machine("torch", "soundfile", "soxr", threads=1), end="\n\n")
    print(f"{music.note()}; at {RATE} Hz the same excerpts as they come, in stereo.", end="\n\n")
    print(measures(rows), end="\n\n")
    print(
        f"The published recipe at {RATE} Hz would take {seconds:,.0f} CPU s on the mono mix: scaled from "
        f"{given.evaluations} steps of {times.evaluation:.2f} s and {PHASE_ITERATIONS} iterations of Griffin-Lim of "
        f"{times.phase_iteration:.3f} s to {published.PHASE_ITERATIONS}; it was not run to its end.",
        end="\n\n",
    )
    names = ["content_loss", "style_loss_start", "style_loss", "content_loss_heldout", "style_loss_heldout"]
    names += ["chroma_similarity", "onset_correlation", "timbre_distance", "gain_db", "evaluations", "cpu", "wall"]
    cells = [[name.replace("_", " "), figure(small[name]), figure(large[name])] for name in names]
    print(markdown(["of the written audio, relative losses", f"{music.SAMPLE_RATE} Hz mono", at], cells))


if __name__ == "__main__":
    main()
