from collections.abc import Iterator

import pytest
import torch

from tasks.transfer.settings import Settings


@pytest.fixture
def settings():
    """Settings for short clips at a low rate: the same code, a hundredth of the work."""

    def _settings(**changes):
        values = {
            "sample_rate": 8_000, "n_fft": 512, "hop_length": 128, "features": "kernel", "widths": (2, 8),
            "filters": 64, "rhythm_weight": 0.0, "strength": 1.0, "content_weight": 0.01, "start": "content",
            "style_seconds_max": 30.0, "optimiser": "lbfgs", "spectrogram_evaluations": 12,
            "phase_method": "fast_griffinlim", "phase_start": "content", "phase_iterations": 4, "refine_evaluations": 8,
            "refine_seconds": 0.0, "tolerance": 0.0002,
        }  # fmt: skip
        return Settings(**values | changes)

    return _settings


@pytest.fixture(params=[1, 2, 4])
def threads(request) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
