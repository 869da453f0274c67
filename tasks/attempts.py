"""What an attempt looks like in the results: the columns that come from the pair, and a failure's."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tasks.records import schema
from tasks.records.pair import Attempt, Pair
from tasks.records.parameters import ALGORITHM_VERSION
from tasks.records.reasons import PairError, Reason
from tasks.transfer.settings import SettingsError

_DESCRIPTION = (*schema.AUDIO_COLUMNS, *schema.QUALITY_COLUMNS)
COPIED = (*(c.name for c in _DESCRIPTION), "curves_uri", "evaluations", "stop_reason")
"""What a served attempt repeats of the one that serves it, so that a query needs no join."""


def of_pair(pair: Pair) -> dict[str, Any]:
    """Identity, inputs and parameters of a pair as columns."""
    values: dict[str, Any] = {
        "pair_id": pair.pair_id,
        "inputs": [i.as_dict() for i in pair.inputs],
        "method": pair.method,
        "model_sha256": pair.model_sha256,
        "algorithm_version": ALGORITHM_VERSION,
        "tags": list(pair.tags),
    }
    if pair.content is not None:
        values |= {"content_uri": pair.content.uri, "content_sha256": pair.content.sha256}
    if pair.style is not None:
        values |= {"style_uri": pair.style.uri, "style_sha256": pair.style.sha256}
    if pair.params is not None:
        values |= {
            "params": pair.params.canonical_json(),
            "params_sha256": pair.params.sha256(),
            "seed": pair.params.seed,
        }
        if pair.inputs and all(i.sha256 for i in pair.inputs):
            values["pair_key"] = pair.key()
    return values


def failed(pair: Pair, error: BaseException, started_at: datetime | None = None) -> Attempt:
    """The attempt of a pair that could not be done, with the reason of `told`."""
    now, why = datetime.now(UTC), told(error)
    values = of_pair(pair) | {
        "status": "failed",
        "reason": str(why.reason),
        "error_type": type(error.__cause__ or error).__name__,
        "message": why.message,
        "started_at": started_at or now,
        "finished_at": now,
    }
    return Attempt(pair.manifest_row, values)


def told(error: BaseException) -> PairError:
    """An error as a reason and a sentence: what is neither of a pair nor of its settings is a `bug`."""
    if isinstance(error, PairError):
        return error
    if isinstance(error, SettingsError):
        return PairError(Reason.PARAMS_INVALID, str(error))
    return PairError(Reason.BUG, f"{type(error).__name__}: {error}")


def served_by(row: Mapping[str, Any]) -> str:
    """The name of the attempt that computed a row's audio: itself, or the one that served it."""
    return row["served_by"] or f"{row['run_id']}/{row['manifest_row']}"


def served(pair: Pair, row: Mapping[str, Any], started_at: datetime) -> Attempt:
    """An `ok` attempt that names the audio of an earlier one with the same pair_key and computes nothing."""
    values = of_pair(pair) | {name: row[name] for name in COPIED}
    values |= {
        "status": "ok",
        "served_by": served_by(row),
        "started_at": started_at,
        "finished_at": datetime.now(UTC),
    }
    return Attempt(pair.manifest_row, values)
