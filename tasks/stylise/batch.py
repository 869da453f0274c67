"""Batches of segments through the transfer: what may go together does, what fails is found by halving."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from tasks.records.reasons import PairError, Reason
from tasks.stylise.track import Piece, Track
from tasks.transfer.buckets import batch_key, bytes_per_item
from tasks.transfer.pipeline import Outcome, Step, transfer


class Stopped(Exception):
    """The run was asked to stop while a batch was in work."""


Place = tuple[int, int]
"""Which track of those that are given, and which of its pieces."""


def batches(tracks: Sequence[Track], budget_mb: float) -> Iterator[list[Place]]:
    """Open pieces that may share a batch, whatever track they are of, together as far as memory allows, in order."""
    groups: dict[Any, list[Place]] = {}
    for t, track in enumerate(tracks):
        for n in track.open:
            key = batch_key(track.pieces[n].item, track.loaded.settings)
            groups.setdefault((key, track.loaded.settings), []).append((t, n))
    for group in groups.values():
        t, n = group[0]
        each = bytes_per_item(tracks[t].pieces[n].item, tracks[t].loaded.settings)
        size = max(1, int(budget_mb * 1e6 // each))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def transfer_track(track: Track, device: torch.device, on_step: Callable[[Step], None]) -> Outcome:
    """One pair by itself, a segment at a time. Raises what its first failed segment raised."""
    for n in range(len(track.pieces)):
        if n in track.open:
            [track.outcomes[n]] = transfer_batch([track.pieces[n]], device, on_step)
    return track.outcome()


def transfer_batch(
    batch: Sequence[Piece], device: torch.device, on_step: Callable[[Step], None]
) -> list[Outcome | Exception]:
    """Run the transfer over a batch, of which at most three times as many pieces are begun as it holds.

    A piece that raises is found by halving. Out of memory halves what goes together from then on: what did not fit
    once is not tried again. `on_step` may raise Stopped to end it.
    """
    outcomes: list[Outcome | Exception] = []
    size = len(batch)
    while part := batch[len(outcomes) : len(outcomes) + size]:
        found = _tried(part, device, on_step)
        half = len(part) // 2
        if isinstance(found, list):
            outcomes += found
        elif not half:
            outcomes.append(found)
        elif isinstance(found, PairError):
            size = half
        else:
            for some in (part[:half], part[half:]):
                outcomes += transfer_batch(some, device, on_step)
    return outcomes


def _tried(
    batch: Sequence[Piece], device: torch.device, on_step: Callable[[Step], None]
) -> list[Outcome | Exception] | Exception:
    """The outcomes of a batch, or what it failed with: a PairError where that is out of memory."""
    try:
        return _drain(batch, device, on_step)
    except Stopped:
        raise
    except Exception as error:
        # Without its frames, which hold the device's memory.
        failure = _out_of_memory(error, batch[0], device) or error.with_traceback(None)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return failure


def _out_of_memory(error: Exception, one: Piece, device: torch.device) -> PairError | None:
    # On a CPU torch says it in a plain RuntimeError.
    if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
        return None
    seconds = one.segment.samples / one.loaded.settings.sample_rate
    what = str(error).split("\n")[0]
    return PairError(
        Reason.OOM,
        f"out of memory on {device} with {seconds:.0f} s of audio alone in its batch ({what}); "
        "try a smaller segment_seconds (overlap_seconds is a fifth of it at most) or style_seconds_max",
    )


def _drain(batch: Sequence[Piece], device: torch.device, on_step: Callable[[Step], None]) -> list[Outcome | Exception]:
    steps = transfer([piece.item for piece in batch], batch[0].loaded.settings, device)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return [_verdict(outcome) for outcome in end.value]
        on_step(step)


def _verdict(outcome: Outcome) -> Outcome | PairError:
    if not outcome.diverged:
        return outcome
    return PairError(
        Reason.DIVERGED,
        f"the losses were no longer finite after {outcome.evaluations} evaluations; "
        "try optimiser=adam or a smaller content_weight",
    )
