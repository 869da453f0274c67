"""Training toward one style: excerpts of the sources that are trained on, whole segments of those that are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tasks.training.augment import Augmentation, excerpt, masked
from tasks.training.corpus import Source
from tasks.transfer.feedforward import Network
from tasks.transfer.feedforward.objective import Contents, Objective

TINY = 1e-6


@dataclass(frozen=True)
class StyleProblem:
    """`crop_frames` and `batch_items`: of a step. What is validated with is left as it is, up to `segment` samples."""

    objective: Objective
    training: Sequence[Source]
    validation: Sequence[Source]
    how: Augmentation
    crop_frames: int
    batch_items: int
    segment: int
    device: torch.device

    def losses(self, network: Network, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        hop = self.objective.settings.hop_length
        drawn = [self._excerpt(self.crop_frames * hop, generator) for _ in range(self.batch_items)]
        contents = Contents.of(torch.stack(drawn).to(self.device), self.objective.settings)
        holed = masked(contents.x, self.how, generator)
        return self.objective.losses(network, Contents(holed, contents.spectra))

    def total(self, content: Tensor, style: Tensor) -> Tensor:
        """The geometric mean of the objective: each content counts by the share that is left of its own distance."""
        return (style + self.objective.settings.content_weight * content).clamp_min(TINY).log().mean().exp()

    @torch.no_grad()
    def validate(self, network: Network) -> tuple[float, float, float] | None:
        if not self.validation:
            return None
        found = [self.objective.losses(network, contents) for contents in self._kept]
        content, style = (torch.cat(each) for each in zip(*found, strict=True))
        return float(self.total(content, style)), float(content.mean()), float(style.mean())

    @torch.no_grad()
    def untouched(self) -> float | None:
        """The style loss of the validation's contents as they are, the mean."""
        if not self.validation:
            return None
        losses = [self.objective.against(contents.x)(contents.x)[1] for contents in self._kept]
        return float(torch.cat(losses).mean())

    @cached_property
    def _kept(self) -> list[Contents]:
        hop, kept = self.objective.settings.hop_length, []
        for source in self.validation:
            sound = source.sounds[0]
            size = min(self.segment, len(sound)) // hop * hop
            start = (len(sound) - size) // 2
            kept.append(Contents.of(sound[None, start : start + size].to(self.device), self.objective.settings))
        return kept

    def _excerpt(self, samples: int, generator: torch.Generator) -> Tensor:
        source = self.training[int(torch.randint(len(self.training), (1,), generator=generator))]
        sound = source.sounds[int(torch.randint(len(source.sounds), (1,), generator=generator))]
        return excerpt(sound, samples, self.how, generator)
