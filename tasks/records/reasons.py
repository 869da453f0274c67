"""Why an attempt failed: a closed list that only grows, and the error that carries one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    ROW_INVALID = "row_invalid"
    PARAMS_INVALID = "params_invalid"
    INPUT_MISSING = "input_missing"
    INPUT_FORBIDDEN = "input_forbidden"
    INPUT_CHANGED = "input_changed"
    INPUT_UNSUPPORTED = "input_unsupported"
    DECODE_ERROR = "decode_error"
    INPUT_SILENT = "input_silent"
    INPUT_TOO_SHORT = "input_too_short"
    INPUT_TOO_LONG = "input_too_long"
    CHECKPOINT_INVALID = "checkpoint_invalid"
    DIVERGED = "diverged"
    OOM = "oom"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    STORAGE = "storage"
    DISK_FULL = "disk_full"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    LOST = "lost"
    BUG = "bug"


@dataclass(frozen=True)
class Policy:
    """What a failure means for a rerun.

    `permanent`: it repeats itself while neither inputs, parameters nor code change. `counted`: it counts toward the
    attempts of a pair, after which reruns leave it alone; what storage, the machine or a person has done does not.
    `within`: what the run has tried by itself before the pair failed.
    """

    permanent: bool
    counted: bool
    remedy: str
    within: str = "once"


_MEND_INPUT = "mend the input, then `gramophone rerun {run}`"
_MEND_ROW = "mend the row, then `gramophone rerun {run} --manifest MENDED`"
_AGAIN = "`gramophone rerun {run} --reason {reason}`"
_LEFT = "`gramophone rerun {run}`"
_ALONE = "halves of the batch, in the end twice alone, each with a new worker"
_PERMANENT, _PASSING = True, False
_COUNTED, _FREE = True, False

POLICIES: dict[Reason, Policy] = {
    Reason.ROW_INVALID: Policy(
        _PERMANENT, _FREE, f"{_MEND_ROW}, which goes by pair_id; where that was wrong, `gramophone run MENDED`"
    ),
    Reason.PARAMS_INVALID: Policy(
        _PERMANENT,
        _FREE,
        f"{_MEND_ROW}; a known name with a wrong value also by `gramophone rerun {{run}} --set NAME=VALUE`",
    ),
    Reason.INPUT_MISSING: Policy(_PERMANENT, _COUNTED, "put the file there, then `gramophone rerun {run}`"),
    Reason.INPUT_FORBIDDEN: Policy(
        _PERMANENT,
        _FREE,
        f"where the message says that the clip was withdrawn, choose another: {_MEND_ROW}; else allow its place: "
        "`gramophone rerun {run} --allow URI`",
    ),
    Reason.INPUT_CHANGED: Policy(_PASSING, _FREE, _AGAIN),
    Reason.INPUT_UNSUPPORTED: Policy(_PERMANENT, _COUNTED, _MEND_INPUT),
    Reason.DECODE_ERROR: Policy(_PERMANENT, _COUNTED, _MEND_INPUT, "read twice, decoded again if it came otherwise"),
    Reason.INPUT_SILENT: Policy(_PERMANENT, _COUNTED, _MEND_INPUT),
    Reason.INPUT_TOO_SHORT: Policy(_PERMANENT, _COUNTED, _MEND_INPUT),
    Reason.INPUT_TOO_LONG: Policy(
        _PERMANENT,
        _COUNTED,
        "choose a slice (content_start, content_seconds) or `gramophone rerun {run} --set max_seconds=N`",
    ),
    Reason.CHECKPOINT_INVALID: Policy(
        _PERMANENT,
        _FREE,
        "mend the file of weights or its digest, or train the style's network, then `gramophone rerun {run}`",
    ),
    Reason.DIVERGED: Policy(_PERMANENT, _COUNTED, "`gramophone rerun {run} --reason diverged --set optimiser=adam`"),
    Reason.OOM: Policy(
        _PASSING,
        _COUNTED,
        "`gramophone rerun {run} --reason oom` on a larger device",
        "halves of the batch, down to it alone",
    ),
    Reason.TIMEOUT: Policy(_PASSING, _COUNTED, _AGAIN, _ALONE),
    Reason.WORKER_LOST: Policy(_PASSING, _COUNTED, _AGAIN, _ALONE),
    Reason.STORAGE: Policy(_PASSING, _FREE, _AGAIN, "six times, with pauses from 0.3 to 20 s that vary at random"),
    Reason.DISK_FULL: Policy(_PASSING, _FREE, f"make room, then {_AGAIN}"),
    Reason.PREEMPTED: Policy(_PASSING, _FREE, _LEFT, "not at all"),
    Reason.CANCELLED: Policy(_PASSING, _FREE, _LEFT, "not at all"),
    Reason.LOST: Policy(_PASSING, _FREE, _LEFT, "not at all"),
    Reason.BUG: Policy(_PERMANENT, _COUNTED, "report it with the message; rerun after an upgrade, or with --force"),
}

QUARANTINED = "quarantined"
"""A pair that reruns leave alone, since it has failed so often. Derived from the results, and no reason of its own."""
_ONCE_MORE = (
    "change its input or parameters, or compute it once more: `gramophone rerun {run} --reason {reason} --force`"
)


def named(row: Mapping[str, Any]) -> str:
    """The reason of a pair that is not done, for people: that it is quarantined comes first."""
    reason = row["reason"] or "waiting"
    return f"{QUARANTINED} ({reason})" if row["quarantined"] else reason


def remedy(reason: Reason | str, run_id: str, quarantined: bool = False) -> str:
    """What to type next for a failure of this reason in run `run_id`."""
    reason = Reason(reason)
    text = _ONCE_MORE if quarantined else POLICIES[reason].remedy
    return text.format(run=run_id, reason=reason.value)


_BEFORE_A_RUN = {
    Reason.INPUT_MISSING: "put the file there",
    Reason.INPUT_FORBIDDEN: "allow its place with `--allow URI`, or choose another clip",
    Reason.INPUT_TOO_LONG: "choose a slice (content_start, content_seconds), or run with `--max-seconds N`",
    Reason.STORAGE: "try again",
}


def remedy_before_a_run(reason: Reason) -> str:
    """What to do about an input that is found unusable while there is no run yet."""
    return _BEFORE_A_RUN.get(reason, "mend the input, or choose another")


def printable(text: str) -> str:
    """Control characters and marks of direction spelled out, which do nothing to a terminal then; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class PairError(Exception):
    """One pair cannot be done; the others go on. `message` says what, where and why, for a person."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type["PairError"], tuple[Reason, str]]:
        return (PairError, (self.reason, self.message))  # crosses process borders


class UsageError(Exception):
    """The command, configuration or manifest as a whole is wrong (exit code 2).

    Its message can be shown on a terminal: of whatever it quotes, control characters are spelled out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class OutOfReach(Exception):
    """Storage, server or device cannot be reached (exit code 4)."""


class NoWorkers(OutOfReach):
    """Nowhere is there a worker, nor has there been for long."""


REFUSALS = (UsageError, OutOfReach, PairError)
"""What keeps a run from being planned: nothing was written, and the message says what to do."""
