"""Restyle pairs: sounds in, encoded audio and figures out. One pair or a shard, in this process."""

from tasks.stylise.batch import Stopped, batches, transfer_batch, transfer_track
from tasks.stylise.inputs import Loaded, load
from tasks.stylise.output import Restyled, write
from tasks.stylise.stylist import Stylist
from tasks.stylise.track import Track

__all__ = [
    "Loaded", "Restyled", "Stopped", "Stylist", "Track", "batches", "load", "transfer_batch", "transfer_track", "write",
]  # fmt: skip
