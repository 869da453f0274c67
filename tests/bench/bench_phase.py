"""Phase reconstruction by default against torchaudio's fast Griffin-Lim at equal iterations: spectral convergence, dB.

Clips have silence of a window at both ends, where torchaudio reflects and we pad with zeros, so that both are given the
same magnitudes, and both results are measured by one function. torchaudio starts from random phase, the mean of three
seeds; it has no other start that it is meant to have.

    python -m tests.bench.bench_phase [--clips 8] [--iterations 32]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torchaudio
from torch import Tensor

from tasks.computing import set_up
from tasks.transfer.phase import estimated, reconstruct, spectral_convergence_db
from tasks.transfer.spectrogram import Inverse, frames_of, stft
from tests.bench import music, published, sides
from tests.bench.table import Row, figure, machine, markdown, measures, spread, verdict

N_FFT, HOP = published.N_FFT, published.HOP
TARGET = 5.0
SEEDS = (1, 2, 3)
COMMAND = "python -m tests.bench.bench_phase"


def spectra(signal: Tensor) -> Tensor:
    """Shape: (samples,) -> (1, frames, bins)."""
    return stft(signal[None], N_FFT, HOP, frames_of(len(signal), HOP))


def ours(magnitude: Tensor, samples: int, iterations: int) -> Tensor:
    """Default start from a magnitude alone, default method. Shape: (1, frames, bins) -> (samples,)."""
    inverse = Inverse(N_FFT, HOP, torch.ones(1, magnitude.shape[1]), torch.ones(1, samples))
    start = estimated(magnitude, N_FFT, HOP)
    method = sides.settings().phase_method
    signals: Tensor = sides.returned(reconstruct(magnitude, start, inverse, N_FFT, HOP, iterations, method))
    return signals[0]


def theirs(magnitude: Tensor, samples: int, iterations: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    found: Tensor = torchaudio.functional.griffinlim(
        magnitude[0].T, torch.hann_window(N_FFT), N_FFT, HOP, N_FFT, power=1.0, n_iter=iterations, momentum=0.99,
        length=samples, rand_init=True,
    )  # fmt: skip
    return found


def reached(magnitude: Tensor, samples: int, make: Callable[[], Tensor]) -> tuple[float, float]:
    """(spectral convergence in dB, CPU seconds)."""
    clock = time.process_time()
    with torch.no_grad():
        signal = make()
    seconds = time.process_time() - clock
    whole = torch.ones(1, magnitude.shape[1])
    return float(spectral_convergence_db(magnitude, signal[None, :samples], N_FFT, HOP, whole)), seconds


def compared(magnitudes: list[tuple[Tensor, int]], iterations: int) -> list[tuple[float, float, float, float]]:
    """For each magnitude: (dB of ours, of torchaudio, CPU seconds of ours, of torchaudio)."""
    found = []
    for magnitude, samples in magnitudes:
        db, seconds = reached(magnitude, samples, partial(ours, magnitude, samples, iterations))
        peers = [reached(magnitude, samples, partial(theirs, magnitude, samples, iterations, seed)) for seed in SEEDS]
        found.append((db, statistics.mean(p[0] for p in peers), seconds, statistics.mean(p[1] for p in peers)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=8, help="consistent ones; half as many mixed ones")
    parser.add_argument("--iterations", type=int, default=32)
    given = parser.parse_args()
    set_up(1)
    signals = [
        torch.nn.functional.pad(w[N_FFT:-N_FFT], (N_FFT, N_FFT))
        for pair in music.pairs(-(-given.clips // 2))
        for w in (pair.content, pair.style)
    ][: given.clips]
    sizes = [(spectra(s).abs(), len(s)) for s in signals]
    mixed = [(0.5 * (a + b), n) for (a, n), (b, _) in zip(sizes[::2], sizes[1::2], strict=False)]
    rows, cells = [], []
    for name, magnitudes, target in (("consistent", sizes, TARGET), ("mixed", mixed, None)):
        found = compared(magnitudes, given.iterations)
        below = [them - us for us, them, _, _ in found]
        told = verdict(below, target, at_least=True) if target else "(no target)"
        what = f"dB below torchaudio's after {given.iterations} iterations, {name} spectrograms"
        rows.append(Row(what, below, told, COMMAND))
        for side, who in ((0, "ours"), (1, "torchaudio")):
            dbs, seconds = [f[side] for f in found], [f[side + 2] for f in found]
            cells.append([f"{name}, {len(found)}: {who}", spread(dbs), figure(statistics.median(seconds))])
    clips = f"{len(signals)} clips of {music.SECONDS:g} s"
    print(f"{machine('torch', 'torchaudio', threads=1, iterations=given.iterations)}, {clips}", end="\n\n")
    print(music.note(), end="\n\n")
    print(measures(rows), end="\n\n")
    print(markdown(["spectrograms", "dB, min / median / max", "CPU s"], cells))


if __name__ == "__main__":
    main()
