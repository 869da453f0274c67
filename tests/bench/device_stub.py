"""A night on one device that is a clock: batches take the time that so many pairs a second would, all else is done.

    python -m tests.bench.device_stub MANIFEST ROOT SHARD_PAIRS WORKERS

Its workers share the clock: one batch at a time. What it imports, so does each process that decodes.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

EVALUATIONS = 100
SPEED, BUSY, FIGURES = "BENCH_PAIRS_A_SECOND", "BENCH_BUSY", "BENCH_FIGURES"
"""Environment of the workers, which are spawned: the speed, the file that their busy times are put in, and where
what a GPU does for a pair's result (its level, figures, spectrograms) is done: by this `cpu`, or by the `device`,
which takes none of the cores."""


def serve(*given: Any) -> None:
    """A worker's life (tasks.worker.serve) with that device."""
    from tasks import worker
    from tasks.stylise import output, stylist

    stylist.transfer_batch = transfer_batch
    stylist.crew_of = lambda device: stylist.GPU_CREW
    if os.environ[FIGURES] == "device":
        output.levelled = lambda outcome, loaded, device: (outcome.waveform[None], 0.0)
        output.measured = _measured
    worker.serve(*given)


def transfer_batch(batch: Any, device: Any, on_step: Any) -> list[Any]:
    """Every piece comes out as its content, after the time that its share of its track takes the device."""
    from filelock import FileLock

    from tasks.transfer.pipeline import Step

    busy = Path(os.environ[BUSY])
    with FileLock(f"{busy}.lock", poll_interval=0.001):
        begun = time.time()
        until = begun + sum(piece.share for piece in batch) / float(os.environ[SPEED])
        on_step(Step("spectrogram", 0, tuple(range(len(batch)))))
        time.sleep(max(0.0, until - time.time()))
        with busy.open("a") as file:
            file.write(json.dumps([begun, time.time(), len(batch)]) + "\n")
    return [_outcome(piece) for piece in batch]


def _outcome(piece: Any) -> Any:
    from tasks.transfer.pipeline import CURVES, STAGES, Outcome

    curve = [1.0 / (n + 1) for n in range(EVALUATIONS)]
    return Outcome(
        waveform=piece.content.clone(),
        stop_reason="stub",
        evaluations=EVALUATIONS,
        seconds=dict.fromkeys(STAGES, 0.0),
        curves={"stage": [CURVES[0]] * EVALUATIONS, "total": curve, "content": curve, "style": curve},
    )


def _measured(track: Any, written: Any, gain_db: float, device: Any) -> Any:
    """Figures of no meaning, and spectrograms that take as long to draw as those of music."""
    import torch

    from tasks.scale import HEIGHT, WIDTH
    from tests.bench.night_stub import FIGURES as NAMES

    smooth = torch.randn(3, HEIGHT, WIDTH).cumsum(2).mul(0.4).exp()
    return dict.fromkeys(NAMES, 0.0), list(smooth)


def main() -> None:
    from tasks.records.run import Job, Options
    from tasks.shard import Bench, run_shard
    from tasks.submit import prepare_nightly, record
    from tasks.worker import Worker
    from tests.bench import device_stub

    manifest, root, shard_pairs, workers = sys.argv[1:]
    planned = prepare_nightly(
        Job(manifest=manifest, root=root, options=Options(shard_pairs=int(shard_pairs), threads=1))
    )
    record(planned)
    ours = [Worker("cpu", 1, device_stub.serve, seat) for seat in range(int(workers))]
    bench = Bench(planned.root, planned.run, planned.lookup, ours)
    with ThreadPoolExecutor(len(ours)) as shards:  # as many at once as flows.fanout has
        list(shards.map(lambda shard: run_shard(bench, shard, {}), planned.plan.shards))
    bench.close()
    print(planned.run.run_id)


if __name__ == "__main__":
    main()
