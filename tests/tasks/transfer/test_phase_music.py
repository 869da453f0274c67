"""What phase reconstruction reaches on real music: ten-second excerpts of Debian's supertux-data."""

from functools import cache

import pytest
import torch

from tasks.transfer.phase import estimated, tree
from tests.bench.music import FOLDER, pairs
from tests.tasks.transfer.phases import Wanted, torchaudio_db

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FOLDER.is_dir(), reason="supertux-data is not installed")]

STARTS = {"estimated": estimated, "tree": tree}
N_FFT, HOP = 2048, 512


@cache
def excerpts():
    found = [e for pair in pairs(5) for e in (pair.content, pair.style)]
    return torch.stack([e[: len(e) // HOP * HOP] for e in found])


@cache
def theirs(mixed):
    return torchaudio_db(excerpts(), N_FFT, HOP, mixed).mean()


@pytest.mark.parametrize(
    ("start", "mixed", "mean", "better"),
    [
        # dB, each less than one short of what is measured.
        ("estimated", False, -28.0, 6.5),
        ("tree", False, -30.5, 8.5),
        # No signal has these: from the phase of the two tracks' sum the method ends 0.05 dB from where the tree takes
        # it, and 400 iterations are 0.9 dB below 32.
        ("estimated", True, -20.2, 2.1),
        ("tree", True, -20.4, 2.3),
    ],
)
def test_thirty_two_iterations_reach_on_music(start, mixed, mean, better):
    wanted = Wanted.of(excerpts(), N_FFT, HOP)
    wanted = wanted.mixed() if mixed else wanted
    reached = wanted.db(wanted.signal(STARTS[start](wanted.magnitude, N_FFT, HOP)))
    assert reached.mean() <= mean, reached
    assert reached.mean() <= theirs(mixed) - better, (reached, theirs(mixed))
