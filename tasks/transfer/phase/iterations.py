"""Methods that improve a phase: alternating projections, plain, with momentum, and with reflections."""

from collections.abc import Callable, Generator

from torch import Tensor

from tasks.transfer.phase.projections import Projections
from tasks.transfer.spectrogram import Inverse

ALPHA = 0.99  # momentum of the fast method, as in its paper
BETA = 0.9  # relaxation of RAAR; 0.8 to 0.95 end within 0.1 dB of it

Work = Generator[int, None, Tensor]
"""Yields the number of each iteration, from 1 on, and returns the signals, (batch, samples)."""


def reconstruct(
    magnitude: Tensor, spectra: Tensor, inverse: Inverse, n_fft: int, hop: int, iterations: int, method: str = "raar"
) -> Work:
    """Signals whose spectrogram is close to `magnitude`, by one of METHODS, from the phase of `spectra`.

    Shape: magnitude (batch, frames, bins), zero beyond an item's frames; spectra the same, complex -> (batch, samples).
    With no iterations the signals are the inverse of `magnitude` with the phase of `spectra`. Waits for no device.

    Raises KeyError for a method that is not in METHODS.
    """
    return METHODS[method](Projections(magnitude, inverse, n_fft, hop), spectra, iterations)


def griffinlim(
    magnitude: Tensor, spectra: Tensor, inverse: Inverse, n_fft: int, hop: int, iterations: int, alpha: float
) -> Work:
    """`reconstruct` by the method of Griffin and Lim (alpha = 0) or the fast one, with any momentum."""
    return _momentum(Projections(magnitude, inverse, n_fft, hop), spectra, iterations, alpha)


def _plain(to: Projections, spectra: Tensor, iterations: int) -> Work:
    """c <- P2 P1 c (Griffin and Lim 1984): never gets worse, and soon no better."""
    return _momentum(to, spectra, iterations, 0.0)


def _fast(to: Projections, spectra: Tensor, iterations: int) -> Work:
    """The fast method of Perraudin, Balazs and Sondergaard (2013): t <- P1 c, c <- P2 (t + alpha (t - t before))."""
    return _momentum(to, spectra, iterations, ALPHA)


def _raar(to: Projections, spectra: Tensor, iterations: int) -> Work:
    """Relaxed averaged alternating reflections (Luke 2005) for the first half, the fast method for the second.

    RAAR leaves the minima that hold the others, but walks about the best one without settling, the more so where no
    signal has the magnitude: hence the second half.
    """
    first = iterations // 2
    spectra = yield from _reflections(to, to.wanted(spectra), first)
    rest = _momentum(to, spectra, iterations - first, ALPHA)
    return (yield from _numbered_from(first, rest))


def _momentum(to: Projections, spectra: Tensor, iterations: int, alpha: float) -> Work:
    signal = to.signal(to.wanted(spectra))
    before = signal  # the first step has no momentum, as torchaudio's
    for iteration in range(1, iterations + 1):
        ahead = signal + alpha * (signal - before)
        before = signal
        signal = to.signal(to.wanted(to.spectra(ahead)))
        yield iteration
    return signal


def _reflections(to: Projections, spectra: Tensor, iterations: int) -> Work:
    """With a = P2 c and r = 2 a - c: c <- beta / 2 (c + 2 P1 r - r) + (1 - beta) a. Returns spectra."""
    for iteration in range(1, iterations + 1):
        near = to.wanted(spectra)
        reflected = to.spectra(to.signal(2 * near - spectra))
        spectra = BETA * (spectra + reflected) + (1 - 2 * BETA) * near
        yield iteration
    return spectra


def _numbered_from(first: int, work: Work) -> Work:
    while True:
        try:
            iteration = next(work)
        except StopIteration as end:
            signal: Tensor = end.value
            return signal
        yield first + iteration


METHODS: dict[str, Callable[[Projections, Tensor, int], Work]] = {
    "raar": _raar,
    "fast_griffinlim": _fast,
    "griffinlim": _plain,
}
"""The methods by name, the default first."""
