"""What a look at a container comes to: whole, or a fault with what to do about it."""

from dataclasses import dataclass

from tasks.records.reasons import PairError, Reason

CONVERT = "convert it to WAV or FLAC"
EXPORT_AGAIN = "export or upload it again"


@dataclass(frozen=True)
class Checked:
    """Bytes that are whole as far as their container can tell; `data` has a header with lengths in it."""

    data: bytes
    notes: tuple[str, ...] = ()


def unsupported(what: str) -> PairError:
    return PairError(Reason.INPUT_UNSUPPORTED, f"is {what}, which is not read; {CONVERT}")


def damaged(why: str) -> PairError:
    return PairError(Reason.DECODE_ERROR, f"is damaged: {why}; {EXPORT_AGAIN}")


def cut_short(why: str) -> PairError:
    return PairError(Reason.DECODE_ERROR, f"is cut short: {why}; {EXPORT_AGAIN}")


def no_sound(why: str) -> PairError:
    return PairError(Reason.INPUT_TOO_SHORT, f"holds no sound: {why}")
