"""The published recipe for audio style transfer, written from its formulas: the peer that the benchmark runs.

Source: Ulyanov & Lebedev 2016, "Audio texture synthesis and style transfer": one layer of random filters over time that
span all frequencies, Gram matrices, SciPy's L-BFGS-B on the log-magnitude, plain Griffin-Lim. Differs in one thing: it
starts from the content's spectrogram, which suits the recipe (the authors start from faint noise).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch.nn.functional import conv1d, pad

N_FFT = 2_048
HOP = 512
FILTERS = 4_096
WIDTH = 11
CONTENT_WEIGHT = 0.01
ITERATIONS = 300
PHASE_ITERATIONS = 500


@dataclass(frozen=True)
class Loss:
    """Absolute losses of the recipe."""

    content: float  # sum of squared differences of features, unweighted
    style: float  # squared Frobenius distance of the Gram matrices

    @property
    def total(self) -> float:
        return CONTENT_WEIGHT * self.content + self.style


@dataclass(frozen=True)
class Result:
    """What a run of the recipe gives. CPU seconds are of the process: all threads together."""

    waveform: torch.Tensor  # (samples,) float32
    log_magnitude: torch.Tensor  # (T, F) float32: as optimised, no signal's spectrogram yet
    loss: Loss  # of that spectrogram, on the filters it was optimised on: what the recipe reports
    curve: tuple[float, ...]  # total loss of each evaluation
    cpu_optimise: float
    cpu_phase: float

    @property
    def cpu_seconds(self) -> float:
        return self.cpu_optimise + self.cpu_phase


def spectrum(waveform: torch.Tensor) -> torch.Tensor:
    """Complex spectrogram of a waveform (samples,), shape (F, T), Hann window, centred frames."""
    return torch.stft(waveform, N_FFT, HOP, window=_window(waveform), return_complex=True)


def log_magnitude(waveform: torch.Tensor) -> torch.Tensor:
    """log1p|STFT|, shape (T, F): a frame is a row."""
    return torch.log1p(spectrum(waveform).abs()).T.contiguous()


def filter_bank(seed: int, filters: int = FILTERS) -> torch.Tensor:
    """Random filters (filters, F, WIDTH) from N(0, var), var = 2 * 2 / ((F + filters) * WIDTH)."""
    bins = N_FFT // 2 + 1
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(filters, bins, WIDTH, generator=generator) * math.sqrt(4 / ((bins + filters) * WIDTH))


class Objective:
    """The recipe's loss of a log-magnitude (T, F) against a content and a style, on one bank of filters."""

    def __init__(self, content: torch.Tensor, style: torch.Tensor, bank: torch.Tensor) -> None:
        self._bank = bank
        self._content = self._features(content)
        self._gram = self._gram_of(self._features(style))

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Content and style loss, differentiable."""
        features = self._features(x)
        content = (features - self._content).square().sum()
        return content, (self._gram_of(features) - self._gram).square().sum()

    def loss(self, x: torch.Tensor) -> Loss:
        with torch.no_grad():
            content, style = self.parts(x)
        return Loss(float(content), float(style))

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        return conv1d(x.T[None], self._bank)[0].relu()  # (filters, patches)

    @staticmethod
    def _gram_of(features: torch.Tensor) -> torch.Tensor:
        return features @ features.T / features.shape[1]


def published_loss(
    waveform: torch.Tensor, content: torch.Tensor, style: torch.Tensor, seed: int, filters: int = FILTERS
) -> Loss:
    """The recipe's own loss of any audio, on the bank of `seed`: give a run's seed for the filters it optimised on,
    another for filters that it never saw. Waveforms are (samples,) at one rate; the first is cut or padded to the
    content's length.
    """
    fitted = pad(waveform, (0, len(content) - len(waveform)))
    objective = Objective(log_magnitude(content), log_magnitude(style), filter_bank(seed, filters))
    return objective.loss(log_magnitude(fitted))


def griffin_lim(magnitude: torch.Tensor, samples: int, seed: int, iterations: int) -> torch.Tensor:
    """A waveform (samples,) for a magnitude (F, T), from random phase (Griffin & Lim 1984)."""
    generator = torch.Generator().manual_seed(seed)
    phase = (2 * torch.rand(magnitude.shape, generator=generator) - 1) * math.pi
    direction = torch.polar(torch.ones_like(magnitude), phase)
    waveform = _inverse(magnitude * direction, samples)
    for _ in range(iterations):
        estimate = spectrum(waveform)
        direction = estimate / estimate.abs().clamp_min(1e-12)
        waveform = _inverse(magnitude * direction, samples)
    return waveform


def restyle(
    content: torch.Tensor,
    style: torch.Tensor,
    seed: int,
    *,
    iterations: int = ITERATIONS,
    phase_iterations: int = PHASE_ITERATIONS,
    filters: int = FILTERS,
    on_evaluation: Callable[[int, float], None] = lambda evaluation, loss: None,
) -> Result:
    """Run the whole recipe on two waveforms (samples,) at one rate."""
    clock = time.process_time()
    start = log_magnitude(content)
    objective = Objective(start, log_magnitude(style), filter_bank(seed, filters))
    curve: list[float] = []

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(flat).float().reshape(start.shape).requires_grad_()
        content_loss, style_loss = objective.parts(x)
        total = CONTENT_WEIGHT * content_loss + style_loss
        (gradient,) = torch.autograd.grad(total, x)
        curve.append(float(total.detach()))
        on_evaluation(len(curve), curve[-1])
        return curve[-1], gradient.double().numpy().ravel()

    found = minimize(
        evaluate, start.double().numpy().ravel(), jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    optimised = torch.from_numpy(found.x).float().reshape(start.shape)
    optimised_at = time.process_time()
    # As published: bins that went below zero stay so, a negative magnitude being one of opposite phase.
    waveform = griffin_lim(torch.expm1(optimised).T.contiguous(), len(content), seed, phase_iterations)
    done_at = time.process_time()
    return Result(
        waveform, optimised, objective.loss(optimised), tuple(curve), optimised_at - clock, done_at - optimised_at
    )


def _inverse(coefficients: torch.Tensor, samples: int) -> torch.Tensor:
    return torch.istft(coefficients, N_FFT, HOP, window=_window(coefficients), length=samples)


def _window(like: torch.Tensor) -> torch.Tensor:
    return torch.hann_window(N_FFT, device=like.device)
