"""Wall seconds until `gramophone --help` has answered, beside `python -c pass`: what a user waits for, and what no
program in Python can avoid.

    python -m tests.bench.bench_cli
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.table import machine, markdown, spread, verdict

TARGET_SECONDS = 0.5
PEER = [sys.executable, "-c", "pass"]


def command() -> list[str]:
    """The installed command, else the function it calls."""
    script = Path(sys.executable).with_name("gramophone")
    call = "from flows.cli import main; main()"
    return [str(script), "--help"] if script.exists() else [sys.executable, "-c", call, "--help"]


def seconds(arguments: list[str]) -> float:
    """Wall seconds of one call, which must succeed."""
    clock = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - clock
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    help_ = command()
    for once in (help_, PEER):  # fills the bytecode and file caches
        seconds(once)
    # Interleaved, so that a busy moment of the machine falls on both.
    both = [(seconds(help_), seconds(PEER)) for _ in range(runs)]
    ours, peers = ([pair[side] for pair in both] for side in (0, 1))
    rows = [
        ["gramophone --help", spread(ours), verdict(ours, TARGET_SECONDS)],
        ["python -c pass", spread(peers), ""],
        ["ratio", spread([us / them for us, them in both]), ""],
    ]
    print(machine("click", runs=runs), end="\n\n")
    print(markdown(["wall seconds", "min / median / max", "median"], rows))


if __name__ == "__main__":
    main()
