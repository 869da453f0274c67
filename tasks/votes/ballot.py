"""One session of one listener: its trials, and each vote as a file of its own as soon as it is given."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tasks.layout import Layout
from tasks.lineage import code_version
from tasks.records import schema
from tasks.records.reasons import UsageError, printable
from tasks.store import Store
from tasks.stored import parquet_bytes
from tasks.votes.trials import Aspect, Kind, Stimulus, Trial

LONGEST_NAME = 64


@dataclass(frozen=True)
class Ballot:
    """`run_id` is where the votes are kept; `aspect` is None for preference."""

    store: Store
    layout: Layout
    run_id: str
    kind: Kind
    aspect: Aspect | None
    trials: tuple[Trial, ...]
    session: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
    voted: set[int] = field(default_factory=set)

    @property
    def ended(self) -> bool:
        return len(self.voted) == len(self.trials)

    def cast(self, number: int, scores: Mapping[str, float], heard: Mapping[str, float], listener: str) -> bool:
        """Keep the votes of a trial: a score and the seconds heard by letter. False where it was voted on before.

        Raises UsageError for votes that are none, PairError where they cannot be stored.
        """
        if not 0 <= number < len(self.trials):
            raise UsageError(f"there is no trial {number}; this session has {len(self.trials)}")
        sounds = self.trials[number].lettered()
        _check(self.kind, scores, set(sounds))
        now, code = datetime.now(UTC), code_version()
        rows = [
            {
                "schema_version": schema.SCHEMA_VERSION,
                "session": self.session,
                "asked_run_id": self.run_id,
                "listener": printable(listener.strip())[:LONGEST_NAME] or None,
                "kind": self.kind,
                "aspect": self.aspect or "preference",
                "trial": number,
                "letter": letter,
                "score": float(scores[letter]),
                "seconds_heard": _number(heard.get(letter)),
                "voted_at": now,
                "code_version": code,
                **_about(sound),
            }
            for letter, sound in sounds.items()
        ]
        data = parquet_bytes(schema.table_of(rows, schema.VOTES))
        kept = self.store.commit(self.layout.vote(self.run_id, self.session, number), data)
        self.voted.add(number)
        return kept


def _check(kind: Kind, scores: Mapping[str, Any], letters: set[str]) -> None:
    values = sorted(found for score in scores.values() if (found := _number(score)) is not None)
    if set(scores) != letters or len(values) != len(letters):
        raise UsageError(f"a vote has a number for each of {', '.join(sorted(letters))}")
    if kind == "ab" and values not in ([0.0, 1.0], [0.5, 0.5]):
        raise UsageError("one of two is preferred (1 and 0), or neither (0.5 and 0.5)")
    if not 0 <= values[0] <= values[-1] <= 100:
        raise UsageError("a rating is from 0 to 100")


def _number(value: Any) -> float | None:
    """A finite number, as somebody may have sent it."""
    try:
        found = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def _about(sound: Stimulus) -> dict[str, Any]:
    """What was heard, by columns that the results have too; of an input, where it lies."""
    row = sound.row
    kept = ("run_id", "manifest_row", "pair_id", "content_uri", "style_uri")
    about = {"role": sound.role, "condition": sound.condition, **{name: row[name] for name in kept}}
    if sound.number is None:
        return about | {name: row[name] for name in ("pair_key", "audio_uri", "audio_sha256", "params_sha256")}
    one = row["inputs"][sound.number]
    return about | {"audio_uri": one["uri"], "audio_sha256": one["sha256"]}
