"""Why an attempt failed: a closed list that only grows, and the error that carries one."""

from dataclasses import dataclass
from enum import StrEnum


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
    """What a failure means for a rerun: is it permanent while nothing changed, and what helps."""

    permanent: bool
    remedy: str


_MEND_INPUT = "mend the input, then `gramophone rerun {run}`"
_MEND_ROW = "mend the row, then `gramophone rerun {run} --manifest MENDED`"
_AGAIN = "`gramophone rerun {run} --reason {reason}`"

POLICIES: dict[Reason, Policy] = {
    Reason.ROW_INVALID: Policy(True, _MEND_ROW),
    Reason.PARAMS_INVALID: Policy(
        True, f"{_MEND_ROW}; a known name with a wrong value also by `gramophone rerun {{run}} --set NAME=VALUE`"
    ),
    Reason.INPUT_MISSING: Policy(True, "put the file there, then `gramophone rerun {run}`"),
    Reason.INPUT_FORBIDDEN: Policy(True, "allow its place with `--allow URI`, or mend the row"),
    Reason.INPUT_CHANGED: Policy(False, _AGAIN),
    Reason.INPUT_UNSUPPORTED: Policy(True, _MEND_INPUT),
    Reason.DECODE_ERROR: Policy(True, _MEND_INPUT),
    Reason.INPUT_SILENT: Policy(True, _MEND_INPUT),
    Reason.INPUT_TOO_SHORT: Policy(True, _MEND_INPUT),
    Reason.INPUT_TOO_LONG: Policy(
        True, "choose a slice (content_start, content_seconds) or `gramophone rerun {run} --set max_seconds=N`"
    ),
    Reason.CHECKPOINT_INVALID: Policy(True, "mend the file of weights or its digest, then `gramophone rerun {run}`"),
    Reason.DIVERGED: Policy(True, "`gramophone rerun {run} --reason diverged --set optimiser=adam`"),
    Reason.OOM: Policy(False, "`gramophone rerun {run} --reason oom` on a larger device"),
    Reason.TIMEOUT: Policy(False, _AGAIN),
    Reason.WORKER_LOST: Policy(False, _AGAIN),
    Reason.STORAGE: Policy(False, _AGAIN),
    Reason.DISK_FULL: Policy(False, f"make room, then {_AGAIN}"),
    Reason.PREEMPTED: Policy(False, _AGAIN),
    Reason.CANCELLED: Policy(False, _AGAIN),
    Reason.LOST: Policy(False, _AGAIN),
    Reason.BUG: Policy(True, "report it with the message; rerun after an upgrade, or with --force"),
}


def remedy(reason: Reason | str, run_id: str) -> str:
    """What to type next for a failure of this reason in run `run_id`."""
    reason = Reason(reason)
    return POLICIES[reason].remedy.format(run=run_id, reason=reason.value)


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
        super().__init__("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in message))


class OutOfReach(Exception):
    """Storage, server or device cannot be reached (exit code 4)."""


REFUSALS = (UsageError, OutOfReach, PairError)
"""What keeps a run from being planned: nothing was written, and the message says what to do."""
