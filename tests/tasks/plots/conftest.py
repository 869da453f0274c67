"""Rows of a run whose curves and pictures lie in the store, and sounds that can be heard."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from tasks.clips import synthesise
from tasks.scale import HEIGHT
from tasks.standing import standing
from tasks.store import join
from tests.tasks.report.test_write import Night, done, failed

RATE = 8_000


def wav(seconds=1.0):
    sink = io.BytesIO()
    soundfile.write(sink, synthesise("pluck", seconds, RATE), RATE, format="WAV")
    return sink.getvalue()


def picture(columns, lit):
    """A spectrogram of which one column is as loud as can be in its upper octaves, and all else silent."""
    levels = np.zeros((HEIGHT, columns), dtype=np.uint8)
    levels[: HEIGHT // 2, lit] = 15  # a picture begins at its top
    image = Image.fromarray(levels, "L").convert("P")
    image.putpalette([0] * 48)
    sink = io.BytesIO()
    image.save(sink, "PNG", bits=4)
    return sink.getvalue()


class Made(Night):
    """A run whose inputs and outputs are there."""

    def __init__(self, root, pairs, allowed=None):
        super().__init__(root, pairs, allowed or (join(root, "clips"),))
        self.root = root

    def input(self, role, name, data=None, **values):
        uri = join(self.root, "clips", name)
        self.store.replace(uri, data or wav())
        same = {"sha256": "0" * 64, "start": None, "seconds": None, "weight": 1.0}
        return same | {"role": role, "uri": uri, "etag": self.store.stat(uri).etag} | values

    def pair(self, row, content, style, curve=(), **values):
        """An attempt that is done, with its audio in the store."""
        uris = {"content_uri": content["uri"], "style_uri": style["uri"]}
        attempt = done(row, self.root, inputs=[content, style], **{"audio_frames": RATE, "audio_rate": RATE}, **uris)
        attempt.values.update(values)
        attempt.curves.update(
            {f"picture_{of}": picture(41, lit) for of, lit in (("content", 0), ("style", 20), ("result", 40))}
        )
        attempt.curves.update(curve)
        self.store.replace(attempt.values["audio_uri"], wav())
        return attempt

    def standing(self):
        return standing(self.root, "r1")


def two_done_and_one_failed(root):
    night = Made(root, 3)
    tune, rain = night.input("content", "tune.wav"), night.input("style", "rain.wav")
    bells = night.input("style", "bells.wav")
    night.commit([night.pair(0, tune, rain), night.pair(1, tune, bells), failed(2)])
    return night


@pytest.fixture
def night(store_root):
    """Two pairs that are done, p0 and p1, and one that failed, p2."""
    return two_done_and_one_failed(store_root)


@pytest.fixture
def any_night(any_root):
    """The same, in a folder and in a bucket."""
    return two_done_and_one_failed(any_root)


def rows_of_sweep(parameter, values, pairs=(("tune", "rain"), ("tune", "bells")), seeds=(1,), **figures):
    """Rows as `standing()` has them, of every pair with every value: figures are functions of pair, value and seed."""
    rows = []
    for n, (content, style) in enumerate(pairs):
        for value in values:
            for seed in seeds:
                inputs = [
                    {"role": role, "uri": f"file:///{name}.wav", "start": None, "seconds": None, "weight": 1.0}
                    for role, name in (("content", content), ("style", style))
                ]
                row = {"pair_id": f"{content}-{style}-{value}-{seed}", "status": "ok", "inputs": inputs}
                row["params"] = json.dumps({"seed": seed, parameter: value})
                rows.append(row | {name: figure(n, value, seed) for name, figure in figures.items()})
    return pd.DataFrame(rows)
