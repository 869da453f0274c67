import numpy as np
import pytest
import soundfile

from tasks.clips import synthesise
from tasks.records.parameters import Parameters
from tasks.records.training import TrainingJob, TrainingOptions
from tests.tasks.transfer.conftest import settings, threads

RATE = 8_000
SMALL = Parameters(sample_rate=RATE, n_fft=256, hop_length=64, widths=(2, 8))

__all__ = ["settings", "threads"]


def write(path, seed, seconds=1.5):
    """A melody of its own for each seed."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    notes = [np.sin(2 * np.pi * hz * time) * np.exp(-((time * 4) % 1) * 3) for hz in random.uniform(150, 2_000, 4)]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.2 * np.sum(notes, 0), RATE)


@pytest.fixture
def folder(tmp_path):
    """A style and sixteen contents."""
    for n in range(16):
        write(tmp_path / "corpus" / f"{n:02d}.wav", n)
    soundfile.write(tmp_path / "style.wav", synthesise("drums", 1.5, RATE), RATE)
    return tmp_path


@pytest.fixture
def job(folder):
    """What asks for a small network in `folder`, by its training options."""

    def _job(corpus="corpus", parameters=SMALL, **training):
        told = {"network_width": 16, "network_blocks": 2, "crop_frames": 32, "every_steps": 10, "budget_steps": 40}
        return TrainingJob(
            style=str(folder / "style.wav"),
            corpus=str(folder / corpus),
            root=str(folder / "root"),
            parameters=parameters,
            training=TrainingOptions(**told | training),
        )

    return _job
