"""Test signals, and how to run a transfer to its end."""

import torch

from tasks.clips import synthesise
from tasks.transfer.item import Item, Style
from tasks.transfer.pipeline import transfer

CPU = torch.device("cpu")
RATE = 8_000


def clip(name, seconds=1.0, rate=RATE):
    return torch.from_numpy(synthesise(name, seconds, rate))


def item(content="pluck", style="drums", seconds=1.0, style_seconds=1.0, seed=0):
    return Item(clip(content, seconds), (Style(clip(style, style_seconds)),), seed)


def outcomes(items, settings, device=CPU):
    work = transfer(items, settings, device)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
