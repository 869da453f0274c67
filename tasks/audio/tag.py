"""What an output says of itself in its comment: which pair of which run it is, so that a copy finds its way home."""

import io
import json
from typing import NamedTuple

import soundfile


class Tag(NamedTuple):
    pair_key: str
    run_id: str | None  # None: made by hand, of no run

    def text(self) -> str:
        """As JSON: players show it, and converters keep it."""
        told = {"made_by": "gramophone", "pair_key": self.pair_key, "run_id": self.run_id}
        return json.dumps({name: value for name, value in told.items() if value})


def read_tag(data: bytes) -> Tag | None:
    """The tag of an audio file; None where it has none of ours, or is no audio."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            told = json.loads(file.comment)
        return Tag(str(told["pair_key"]), told.get("run_id")) if told["made_by"] == "gramophone" else None
    except (soundfile.LibsndfileError, ValueError, TypeError, KeyError):
        return None
