"""RESULTS.md from the benchmarks: each in a process of its own, each in its section with its command.

python -m tests.bench.results                     # all of them
python -m tests.bench.results bench_kernel        # one section anew; the others stay
python -m tests.bench.results bench_transfer --pairs 2
"""

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).with_name("RESULTS.md")
SECTIONS: dict[str, tuple[str, list[str]]] = {
    "bench_transfer": ("Against the published recipe", ["bench_transfer"]),
    "on_a_gpu": ("Pairs of ten seconds a second on a GPU", ["bench_transfer", "--device", "cuda"]),
    "bench_kernel": ("One evaluation against its matrix products", ["bench_kernel"]),
    "bench_phase": ("Phase reconstruction", ["bench_phase"]),
    "bench_whole": ("From files to a file; 44.1 kHz stereo", ["bench_whole"]),
    "bench_ablation": ("What each default is worth", ["bench_ablation"]),
    "bench_strength": ("What a strength closes of the distance", ["bench_strength"]),
    "bench_page": ("The page of a run in a browser", ["bench_page"]),
    "bench_feedforward": ("A network for one style against the optimiser", ["bench_feedforward"]),
    "seams": ("Seams of a whole track", ["bench_tracks", "seams"]),
    "styles": ("What represents a long style", ["bench_tracks", "styles"]),
    "memory": ("Memory of a ten-minute track", ["bench_tracks", "memory"]),
    "plan": ("A manifest of a million rows, planned", ["bench_plan"]),
    "pipeline": (
        "Whether a device is kept busy",
        ["bench_pipeline", "--pairs", "512", "--shard-pairs", "128", "--workers", "1", "2"],
    ),
    "million": ("A night of a million pairs, scaled down", ["bench_million"]),
    "end": ("Verdict, report and events at size", ["bench_end"]),
    "at_size": ("A million results, read", ["bench_results", "--s3"]),
}
HEAD = """# Benchmarks

Written by `make bench`; each section says what ran, on what, and by which command. Nothing here is edited by hand.
What bounds the measures that miss their target is in [NOTES.md](NOTES.md).
"""


def section(name: str, arguments: list[str]) -> str:
    """What a benchmark prints, under its heading; what it fails with, where it does."""
    title, [module, *own] = SECTIONS[name]
    told = ["-m", f"tests.bench.{module}", *own, *arguments]
    command = [sys.executable, *told]
    clock, load = time.perf_counter(), os.getloadavg()[0]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    minutes = (time.perf_counter() - clock) / 60
    print(f"{name}: {minutes:.1f} minutes", file=sys.stderr)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    ran = f"`{' '.join(['python', *told])}`"
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {minutes:.1f} minutes, load average {load:.1f} at the start"
    return f"## {title}\n\n{ran} ({when})\n\n{done.stdout.strip()}\n"


def kept() -> dict[str, str]:
    """The sections that are there."""
    text = FILE.read_text() if FILE.exists() else ""
    found = re.findall(r"<!-- (\w+) -->\n(.*?)(?=<!-- |\Z)", text, re.DOTALL)
    return {name: body.strip() + "\n" for name, body in found}


def main() -> None:
    name, *arguments = sys.argv[1:] or [""]
    wanted = [name] if name else list(SECTIONS)
    for each in wanted:
        new = {each: section(each, arguments)}
        there = kept() | new  # read now: another section may have been written meanwhile
        parts = [f"<!-- {n} -->\n{there[n]}" for n in SECTIONS if n in there]
        FILE.write_text("\n".join([HEAD, *parts]))


if __name__ == "__main__":
    main()
