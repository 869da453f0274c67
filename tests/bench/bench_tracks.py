"""Whole tracks: can a seam be told, what memory do ten minutes take, what of a long style is enough?

python -m tests.bench.bench_tracks seams     # one track restyled in two ways of cutting it: each one's control
python -m tests.bench.bench_tracks memory    # ten minutes of stereo from file to file (evaluations cost no memory)
python -m tests.bench.bench_tracks styles    # parts of a long style against the whole

Seams: in overlaps of 0.5 s the flux was 1.92 and 1.76 dB in the median (two cuts of one track) where it was 1.56 and
1.52 elsewhere, and 1.69 and 1.72 at the same times without a seam, however narrow the fade; in those of 1 s it is 1.56
and 1.57, as elsewhere. 16 evaluations more around each seam did as much for overlaps of 0.5 s, at the price of a second
round of batches, and nothing for those of 1 s.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile
import torch

from tasks.audio import Clip
from tasks.clips import synthesise
from tasks.computing import set_up
from tasks.records.pair import Pair
from tasks.records.parameters import Parameters
from tasks.stylise import Track, transfer_track
from tasks.stylise.inputs import Loaded, at_working_level, content_of, settings_of
from tasks.transfer.item import Style
from tests.bench import long_styles, music
from tests.bench.seams import at_seams, level_and_flux
from tests.bench.table import figure, machine, markdown

CPU = torch.device("cpu")
MEMORY_MIB = 4_096
CONTENTS = ("forest/clavelian_march", "antarctic/chipdisko", "tropical/saharan_penguin", "misc/christmas_theme")
STYLE = "retro/ice_music"


# --- seams ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A track restyled in one way of cutting it."""

    track: Track
    joined: torch.Tensor
    seconds: float  # CPU

    @property
    def overlaps(self) -> tuple[torch.Tensor, torch.Tensor]:
        return at_seams([piece.segment for piece in self.track.pieces], music.SAMPLE_RATE)


def restyled(content: torch.Tensor, style: torch.Tensor, segment_seconds: float, overlap_seconds: float) -> Cut:
    params = Parameters(segment_seconds=segment_seconds, overlap_seconds=overlap_seconds)
    levelled, lufs = at_working_level(style, music.SAMPLE_RATE)
    pair, settings = Pair(0, None, (), "optimise", params), settings_of(params, music.SAMPLE_RATE)
    clip = Clip(content[None].numpy(), music.SAMPLE_RATE, music.SAMPLE_RATE, 1, len(content), 1.0)
    track = Track(Loaded(pair, params, settings, content_of(clip), (Style(levelled),), lufs, datetime.now(UTC), 0.0))
    clock = time.process_time()
    joined = transfer_track(track, CPU, lambda step: None).waveform
    assert joined is not None
    return Cut(track, joined, time.process_time() - clock)


def compared(cut: Cut, other: Cut) -> list[list[str]]:
    """Figures of the overlaps of `cut`: its own, those of the other cut, which has no seam there, and elsewhere."""
    rate, content = music.SAMPLE_RATE, cut.track.loaded.content.samples
    (here, inner), (there, _) = cut.overlaps, other.overlaps
    at, elsewhere = here & ~there & inner, ~here & ~there & inner
    level_of_content, _ = level_and_flux(content, rate)
    rows = []
    for name, signal in {"these": cut.joined, "no seam there": other.joined, "content": content}.items():
        level, flux = level_and_flux(signal, rate)
        gain = level - level_of_content
        rows.append([name, *(_spread(values[where]) for values in (gain, flux) for where in (at, elsewhere))])
    return rows


def _spread(values: torch.Tensor) -> str:
    return " / ".join(f"{float(v):.2f}" for v in values.quantile(torch.tensor([0.5, 0.95])))


def seams(given: argparse.Namespace) -> None:
    content, style = music.sound(given.content, given.seconds, 20.0), music.sound(given.style, 10.0)
    first, second = (restyled(content, style, seconds, given.overlap) for seconds in given.segments)
    what = f"{given.seconds:g} s of {given.content} + 10 s of {given.style}, overlaps of {given.overlap:g} s"
    print(f"{what}; median / 95th percentile over windows of 93 ms, dB\n")
    header = ["level over content's, overlaps", "elsewhere", "flux, overlaps", "elsewhere"]
    for cut, other in ((first, second), (second, first)):
        params = cut.track.loaded.params
        name = f"{len(cut.track.pieces)} segments of {params.segment_seconds:g} s"
        print(markdown([name, *header], compared(cut, other)))
        print(f"\nCPU seconds: {cut.seconds:.1f}\n")


# --- memory ---------------------------------------------------------------------------------------


def memory(given: argparse.Namespace) -> None:
    """The command line's own path, watched from outside: resident memory of the process and all that it started."""
    with tempfile.TemporaryDirectory(prefix="gramophone-bench-") as folder:
        files = [Path(folder) / name for name in ("content.flac", "style.flac", "result.flac")]
        _stereo(files[0], CONTENTS, 600.0)
        _stereo(files[1], (STYLE, *CONTENTS), 240.0)
        few = [f"--{name}=4" for name in ("spectrogram-evaluations", "refine-evaluations", "phase-iterations")]
        command = [
            sys.executable,
            "-m",
            "flows.cli",
            "restyle",
            *map(str, files[:2]),
            "-o",
            str(files[2]),
            "--device=cpu",
        ]
        clock, most, when = time.perf_counter(), 0.0, 0.0
        with subprocess.Popen([*command, *few, "--json"], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                resident = sum(_resident(pid) for pid in _family(process.pid))
                if resident > most:
                    most, when = resident, time.perf_counter() - clock
                time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        print("ten minutes of 44.1 kHz stereo, four of style, from file to file, four evaluations a stage\n")
        rows = [[figure(most), f"{MEMORY_MIB:,}", f"{when:.0f} of {time.perf_counter() - clock:.0f}"]]
        print(markdown(["peak resident memory of all processes, MiB", "target", "reached after, s"], rows))


def _stereo(file: Path, tracks: tuple[str, ...], seconds: float, rate: int = 44_100) -> None:
    """Tracks end to end, again and again, in two channels."""
    if music.FOLDER.is_dir():
        parts = [soundfile.read(music.FOLDER / f"{track}.ogg", dtype="float32", always_2d=True)[0] for track in tracks]
    else:
        parts = [synthesise(kind, 30.0, rate)[:, None] for kind in ("pluck", "drums")]
    whole = np.concatenate([part[:, [0, -1]] for part in parts])
    frames = round(seconds * rate)
    soundfile.write(file, np.tile(whole, (-(-frames // len(whole)), 1))[:frames], rate)


def _family(root: int) -> Iterator[int]:
    """A process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    yield from found


def _resident(pid: int) -> float:
    """MiB; what processes share counts for each."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = parser.add_subparsers(required=True)
    one = parts.add_parser("seams")
    one.add_argument("--seconds", type=float, default=50.0)
    one.add_argument("--segments", type=float, nargs=2, default=(5.1, 6.7), help="seconds")
    one.add_argument("--content", default=CONTENTS[0], help="a track of the package")
    one.add_argument("--style", default=STYLE)
    one.add_argument("--overlap", type=float, default=Parameters().overlap_seconds, help="seconds")
    one.set_defaults(run=seams)
    two = parts.add_parser("memory")
    two.set_defaults(run=memory)
    three = parts.add_parser("styles")
    three.add_argument("--style", default=long_styles.STYLE, help="a track of the package")
    three.add_argument("--seconds", type=float, default=120.0)
    three.add_argument("--parts", type=float, nargs="+", default=(5.0, 10.0, 20.0, 30.0, 60.0))
    three.add_argument("--seeds", type=int, default=5)
    three.add_argument("--no-results", dest="results", action="store_false", help="leave the transfers out")
    three.set_defaults(run=long_styles.report)
    given = parser.parse_args()
    set_up(1)
    print(machine("torch", threads=1), flush=True)
    given.run(given)


if __name__ == "__main__":
    main()
