"""What the published recipe made of a pair, kept by the digest of its inputs and of its code: ten CPU minutes a pair.

python -m tests.bench.kept            # fill the folder for every pair of the benchmark, one thread
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch

from tests.bench import music, published

FOLDER = Path(__file__).parent / ".kept"
SEED = 1


def digest(content: torch.Tensor, style: torch.Tensor) -> str:
    """Of everything that determines the recipe's result but the machine."""
    found = hashlib.sha256(Path(published.__file__).read_bytes())
    for waveform in (content, style):
        found.update(waveform.numpy().tobytes())
    return found.hexdigest()[:16]


def restyled(content: torch.Tensor, style: torch.Tensor) -> published.Result:
    """The recipe's result for two waveforms (samples,): the kept one, or made and kept now."""
    path = FOLDER / f"{digest(content, style)}.npz"
    if not path.exists():
        made = published.restyle(content, style, SEED, on_evaluation=_tell)
        FOLDER.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                waveform=made.waveform.numpy(),
                log_magnitude=made.log_magnitude.numpy(),
                loss=[made.loss.content, made.loss.style],
                curve=made.curve,
                cpu=[made.cpu_optimise, made.cpu_phase],
            )
        partial.rename(path)
    with np.load(path) as kept:
        return published.Result(
            torch.from_numpy(kept["waveform"]),
            torch.from_numpy(kept["log_magnitude"]),
            published.Loss(*map(float, kept["loss"])),
            tuple(map(float, kept["curve"])),
            *map(float, kept["cpu"]),
        )


def _tell(evaluation: int, loss: float) -> None:
    if evaluation % 50 == 0:
        print(f"  published: evaluation {evaluation}, loss {loss:,.1f}", file=sys.stderr, flush=True)


def main() -> None:
    torch.set_num_threads(1)
    for pair in music.pairs(len(music.TRACKS)):
        result = restyled(pair.content, pair.style)
        print(f"{pair.name}: {result.loss.total:,.1f} of its spectrogram, {result.cpu_seconds:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
