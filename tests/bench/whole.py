"""One pair from files to an encoded file in a process of its own; what that took, as JSON.

python -m tests.bench.whole content.flac style.flac result.flac [--start 30] [--seconds 10]
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path


def most_resident() -> float:
    """Largest resident memory of this process so far, MiB.

    On Linux getrusage would tell that of the process which started this one, where that was larger.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs=3, help="content, style, result")
    parser.add_argument("--start", type=float)
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args()

    import torch  # noqa: F401 - what it takes by itself is not ours

    before = most_resident()
    from tasks.computing import set_up
    from tasks.records.pair import Input
    from tasks.records.parameters import Parameters
    from tasks.single import restyle_files

    set_up(1)
    content, style, result = given.files
    inputs = [
        Input(role, str(Path(file).resolve()), given.start, given.seconds)
        for role, file in (("content", content), ("style", style))
    ]
    cpu, wall = time.process_time(), time.perf_counter()
    restyled = restyle_files(inputs, Parameters(), "cpu", lambda stage, evaluations: None)
    taken = time.process_time() - cpu, time.perf_counter() - wall
    memory = most_resident() - before
    Path(result).write_bytes(restyled.data)
    numbers = {k: v for k, v in restyled.values.items() if isinstance(v, int | float)}
    print(json.dumps(numbers | {"cpu": taken[0], "wall": taken[1], "memory": memory, "torch": before}))


if __name__ == "__main__":
    main()
