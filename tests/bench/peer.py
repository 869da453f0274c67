"""The published recipe's side: its figures for a pair, from published.json or made now, and its time measured anew.

The audio is kept by tests.bench.kept and not committed: the music is not ours to give away. Its figures are.
"""

import hashlib
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench import kept, music, published, sides
from tests.bench.judge import Figures, Heard, Judge

FILE = Path(__file__).with_name("published.json")
SAME = 1e-4
"""Excerpts of one name whose norms differ by a smaller share are the same: another machine decodes to other bits."""
EVALUATIONS = 315  # of a run, where none is written down


@dataclass(frozen=True)
class Recipe:
    """What the recipe made of a pair. CPU seconds are those of the day and the machine on which it was made."""

    name: str
    code: str  # digest of the recipe's source
    norms: tuple[float, float]  # of content and style
    figures: Figures  # of its written audio
    spectrogram: float  # total loss of its spectrogram, on its own filters: what the recipe reports
    evaluations: int
    cpu_optimise: float
    cpu_phase: float

    @property
    def cpu(self) -> float:
        return self.cpu_optimise + self.cpu_phase


@dataclass(frozen=True)
class Times:
    """CPU seconds of the recipe's parts."""

    setup: float  # bank, features of content and style, first evaluation, last loss
    evaluation: float
    phase_iteration: float

    def of(self, evaluations: int) -> float:
        return self.setup + (evaluations - 1) * self.evaluation + published.PHASE_ITERATIONS * self.phase_iteration


def recipe(pair: music.Excerpts) -> Recipe:
    """The recipe's figures for a pair: those that are written down, else from the kept audio, else from a new run."""
    found = _written_down(pair)
    if found is None:
        made = kept.restyled(pair.content, pair.style)
        figures = Judge(pair)(sides.written(made.waveform))
        seconds = made.cpu_optimise, made.cpu_phase
        found = asdict(Recipe(pair.name, _code(), _norms(pair), figures, made.loss.total, len(made.curve), *seconds))
        entries = _entries() | {kept.digest(pair.content, pair.style): found}
        FILE.write_text(json.dumps(entries, indent=1) + "\n")
    return _read(found)


def at_hand(pair: music.Excerpts) -> bool:
    """Whether the recipe need not run for ten minutes."""
    path = kept.FOLDER / f"{kept.digest(pair.content, pair.style)}.npz"
    return _written_down(pair) is not None or path.exists()


def timed(pair: music.Excerpts, evaluations: int, phase_iterations: int) -> Times:
    """Time the beginning of the recipe again: some evaluations and some iterations of Griffin-Lim are like the rest."""
    ticks: list[float] = []
    made = published.restyle(
        pair.content,
        pair.style,
        kept.SEED,
        iterations=evaluations,
        phase_iterations=phase_iterations,
        on_evaluation=lambda *_: ticks.append(time.process_time()),
    )
    spent = ticks[-1] - ticks[0]
    return Times(made.cpu_optimise - spent, spent / (len(ticks) - 1), made.cpu_phase / phase_iterations)


def usual_evaluations() -> int:
    """Of a whole run of the recipe: the median of those that are written down."""
    found: list[int] = [entry["evaluations"] for entry in _entries().values()]
    return round(statistics.median(found or [EVALUATIONS]))


def _entries() -> dict[str, Any]:
    """published.json: by digest, what `Recipe` holds."""
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def _written_down(pair: music.Excerpts) -> dict[str, Any] | None:
    entries, norms, code = _entries(), _norms(pair), _code()
    same = (entry for entry in entries.values() if _same(entry, pair.name, code, norms))
    return entries.get(kept.digest(pair.content, pair.style)) or next(same, None)


def _norms(pair: music.Excerpts) -> tuple[float, float]:
    return float(pair.content.norm()), float(pair.style.norm())


def _same(entry: dict[str, Any], name: str, code: str, norms: tuple[float, float]) -> bool:
    close = all(abs(a / b - 1) < SAME for a, b in zip(entry["norms"], norms, strict=True))
    return close and (entry["name"], entry["code"]) == (name, code)


def _read(entry: dict[str, Any]) -> Recipe:
    figures = entry["figures"]
    own, fresh = (published.Loss(**figures[name]) for name in ("own", "fresh"))
    judged = Figures(own, fresh, Heard(**figures["heard"]), figures["style_48"])
    return Recipe(**entry | {"figures": judged, "norms": tuple(entry["norms"])})


def _code() -> str:
    return hashlib.sha256(Path(published.__file__).read_bytes()).hexdigest()[:16]
