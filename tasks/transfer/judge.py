"""Losses of a finished waveform, measured anew: by the objective's own features, and by filters that nobody optimised.

The style loss is the distance to the styles themselves, whatever strength was asked for, so that strengths compare;
and it is that of the features alone, whatever weight the rhythm had in the objective.
"""

from dataclasses import replace

import torch
from torch import Tensor

from tasks.transfer.features import losses_of
from tasks.transfer.features.reference import Reference
from tasks.transfer.item import Item
from tasks.transfer.references import reference_of, spectrogram_of
from tasks.transfer.settings import Settings

HELDOUT_FILTERS = 512
HELDOUT_WIDTH = 11  # frames, as published


def relative_losses(waveform: Tensor, item: Item, settings: Settings) -> tuple[float, float]:
    """(content, style) loss of a waveform, (samples,), by the features of its settings.

    0 is equal, 1 as far as from silence. The kernel's is that of infinitely many filters; others are drawn from the
    item's own seed.
    """
    return _losses(waveform, _styles_alone(item, settings), settings, item.seed)


def heldout_losses(waveform: Tensor, item: Item, settings: Settings) -> tuple[float, float]:
    """The same by explicit filters of width 11, drawn from the seed after the item's, which no optimiser has seen.

    512 filters and not 4096: 0.3 CPU seconds for ten seconds of audio, an eighth of the cost, and half of it drawing
    them. A bank's own Gram distance is larger than the infinite layer's, by more for fewer filters: compare like with
    like, pairs judged by as many filters. Clips shorter than 11 frames are judged by as many as they have.
    """
    reference = _styles_alone(item, settings)
    frames = [int(reference.content_frames), *(int((style.run >= 0).sum()) for style in reference.styles)]
    bank = replace(settings, features="conv", filters=HELDOUT_FILTERS, widths=(min(HELDOUT_WIDTH, *frames),))
    return _losses(waveform, reference, bank, item.seed + 1)


def _styles_alone(item: Item, settings: Settings) -> Reference:
    return reference_of([item], replace(settings, strength=1.0), item.content.device)


def _losses(waveform: Tensor, reference: Reference, settings: Settings, seed: int) -> tuple[float, float]:
    x = spectrogram_of(waveform, settings, reference.content.shape[1])
    with torch.no_grad():
        content, style = losses_of(reference, replace(settings, rhythm_weight=0.0), seed)(x)
    return float(content), float(style)
