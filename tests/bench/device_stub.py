"""A worker whose device is a clock: batches take the time that so many pairs a second would, all else is done."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.transfer.pipeline import CURVES, STAGES, Outcome, Step

EVALUATIONS = 100
SPEED, BUSY, FIGURES = "BENCH_PAIRS_A_SECOND", "BENCH_BUSY", "BENCH_FIGURES"
"""Environment of the workers, which are spawned: the speed, the file that their busy times are put in, and where
the losses of what was written are computed: by this `cpu`, or by the `device`, which takes none of the cores."""


def transfer_batch(batch: Sequence[Any], device: Any, on_step: Callable[[Step], None]) -> list[Outcome]:
    """Every piece comes out as its content, after the time that its share of its track takes the device."""
    begun = time.perf_counter()
    until = begun + sum(piece.share for piece in batch) / float(os.environ[SPEED])
    on_step(Step("spectrogram", 0, tuple(range(len(batch)))))
    time.sleep(max(0.0, until - time.perf_counter()))
    with Path(os.environ[BUSY]).open("a") as file:
        file.write(json.dumps([begun, time.perf_counter(), len(batch)]) + "\n")
    return [_outcome(piece) for piece in batch]


def _outcome(piece: Any) -> Outcome:
    curve = [1.0 / (n + 1) for n in range(EVALUATIONS)]
    return Outcome(
        waveform=piece.content.clone(),
        stop_reason="stub",
        evaluations=EVALUATIONS,
        seconds=dict.fromkeys(STAGES, 0.0),
        curves={"stage": [CURVES[0]] * EVALUATIONS, "total": curve, "content": curve, "style": curve},
    )


def serve(*given: Any) -> None:
    """A worker's life (tasks.worker.serve) with that device."""
    from tasks import worker
    from tasks.stylise import output, stylist

    stylist.transfer_batch = transfer_batch
    stylist.crew_of = lambda device: stylist.GPU_CREW
    if os.environ[FIGURES] == "device":
        output.judged = lambda track, level, device: ((0.0, 0.0), (0.0, 0.0))
    worker.serve(*given)
