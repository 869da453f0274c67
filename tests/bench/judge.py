"""The judge of the benchmark: what a written audio loses by the published recipe's own filters, by filters that nobody
optimised on, and by infinitely many at widths that no objective saw; and how much of the content is heard in it.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer import quality
from tasks.transfer.judge import relative_losses
from tests.bench import kept, music, published, sides

FRESH_SEED = 1_000_003


@dataclass(frozen=True)
class Heard:
    """Style distance by the kernel of the published width, relative; likeness to the content, -1 to 1."""

    style_11: float
    chroma: float
    onset: float


@dataclass(frozen=True)
class Figures:
    own: published.Loss  # on the filters that the published recipe optimised on
    fresh: published.Loss
    heard: Heard
    style_48: float


class Judge:
    """Judges audio (samples,) of one pair."""

    def __init__(self, pair: music.Excerpts) -> None:
        self._pair = pair

    def __call__(self, audio: Tensor) -> Figures:
        fresh = self._fresh.loss(self._x(audio))
        return Figures(self.own(audio), fresh, heard(self._pair, audio), _style(self._pair, audio, 48))

    def own(self, audio: Tensor) -> published.Loss:
        """Its loss on the filters that the published recipe optimised on, and nothing else."""
        return self._own.loss(self._x(audio))

    @cached_property
    def _own(self) -> published.Objective:
        return self._objective(kept.SEED)

    @cached_property
    def _fresh(self) -> published.Objective:
        return self._objective(FRESH_SEED)

    def _objective(self, seed: int) -> published.Objective:
        content, style = published.log_magnitude(self._pair.content), published.log_magnitude(self._pair.style)
        with torch.no_grad():
            return published.Objective(content, style, _bank(seed))

    def _x(self, audio: Tensor) -> Tensor:
        return published.log_magnitude(pad(audio, (0, len(self._pair.content) - len(audio))))


def heard(pair: music.Excerpts, audio: Tensor) -> Heard:
    """The part of a judgement that costs little."""
    ours, theirs = (quality.heard(sound, music.SAMPLE_RATE) for sound in (audio, pair.content))
    return Heard(
        _style(pair, audio, 11), quality.chroma_similarity(ours, theirs), quality.onset_correlation(ours, theirs)
    )


def _style(pair: music.Excerpts, audio: Tensor, width: int) -> float:
    return relative_losses(audio, sides.item(pair), sides.settings(features="kernel", widths=(width,)))[1]


@lru_cache(maxsize=2)
def _bank(seed: int) -> Tensor:
    return published.filter_bank(seed)
