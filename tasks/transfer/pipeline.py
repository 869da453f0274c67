"""The transfer: three stages, each of use alone and each left out by a budget of 0.

1. `spectrogram`: optimise the log-magnitude against content and style, or let the style's network make it in one pass;
2. `phase`: a waveform whose spectrogram is close to it;
3. `refine`: the same objective through the STFT to the waveform, which brings back the style that phase loses.

At strength 0 there is nothing to do, and the content comes out as it went in.
With spectrogram_evaluations = 0 a start from the content has its waveform already: the phase stage is left out too,
whatever its settings, and refine works on the content itself. Starts from noise or the style have no phase of their
own, so theirs is still found. Stages 1 and 2 without 3, from the style or the content, are the published recipes.
"""

import math
import time
from collections.abc import Callable, Generator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from tasks.transfer import phase
from tasks.transfer.buckets import batch_key
from tasks.transfer.features import Losses, losses_of
from tasks.transfer.item import Item
from tasks.transfer.objective import SpectrogramProblem, WaveformProblem, later
from tasks.transfer.optimise import OPTIMISERS, Record, Solution
from tasks.transfer.references import reference_of
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import Inverse, frames_of, log_spectrogram, mask, stft

Judge = Callable[[Tensor], list[tuple[float, float]]]
STAGES = ("spectrogram", "phase", "refine")
CURVES = ("spectrogram", "refine_late", "refine")
"""What an evaluation of a curve was for; refine_late: on frames half a hop late."""
TWO_GRIDS = 24
"""Evaluations from which on refine works on two grids of frames."""


@dataclass(frozen=True)
class Step:
    """What a caller hears of the work: an evaluation or an iteration, and the items that it was for."""

    stage: str
    evaluation: int
    active: tuple[int, ...]
    total: tuple[float, ...] = ()


@dataclass
class Outcome:
    """What became of a pair. Losses are relative, (content, style); seconds are its equal share of the batch's."""

    waveform: Tensor | None = None  # (samples,) float32 on the CPU; None when diverged
    diverged: bool = False
    stop_reason: str = "none"
    evaluations: int = 0
    losses_start: tuple[float, float] = (0.0, 0.0)
    losses_spectrogram: tuple[float, float] = (0.0, 0.0)
    phase_convergence_db: float = math.nan  # nan where the phase stage was left out
    seconds: dict[str, float] = field(default_factory=dict)
    peak_device_mb: float | None = None
    curves: dict[str, list[Any]] = field(default_factory=lambda: {"stage": [], "total": [], "content": [], "style": []})


def transfer(items: Sequence[Item], settings: Settings, device: torch.device) -> Generator[Step, None, list[Outcome]]:
    """Restyle a batch of pairs with one batch key. Yields steps, returns an outcome for each item, in order.

    On a CPU the items go one after the other, so that an outcome is bit for bit that of the pair alone: batched, the
    ends of a tensor and the shares of its threads fall elsewhere, and there torch rounds differently. It costs nothing
    for ten seconds of audio, where a single item fills the cores' caches, and a third of the time for two.

    On a GPU they go together, and the matrix library may choose another kernel for another batch size; differences
    stay at rounding level, since nothing that steers an item reads another item's numbers.

    Raises ValueError for items with different batch keys. An item whose loss or result is not finite is `diverged`.
    """
    keys = {batch_key(item, settings) for item in items}
    if len(keys) != 1:
        raise ValueError(f"items of one batch share one batch key, these have {len(keys)}")
    if device.type != "cpu":
        return (yield from Batch(items, settings, device).run())
    outcomes = []
    for n, item in enumerate(items):
        outcomes += yield from _numbered(n, Batch([item], settings, device).run())
    return outcomes


def _numbered(n: int, work: Generator[Step, None, list[Outcome]]) -> Generator[Step, None, list[Outcome]]:
    """The steps of a batch of one as those of item `n`."""
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            outcomes: list[Outcome] = end.value
            return outcomes
        yield replace(step, active=(n,))


class Batch:
    """Items of one batch key on their way through the stages, together."""

    def __init__(self, items: Sequence[Item], settings: Settings, device: torch.device) -> None:
        self.items, self.settings, self.device = items, settings, device
        self.n_fft, self.hop = settings.n_fft, settings.hop_length
        self.outcomes = [Outcome() for _ in items]
        self.reference = reference_of(items, settings, device)
        self.frame_mask = mask(self.reference.content_frames, self.reference.content.shape[1])
        self._content = self._padded([item.content for item in items])
        lengths = torch.tensor([len(item.content) for item in items], device=device)
        self.sample_mask = mask(lengths, self._content.shape[-1])
        self._feedforward = settings.method == "feedforward"
        nothing = settings.spectrogram_evaluations == 0 and settings.start == "content"
        self._unchanged = nothing and not self._feedforward

    def _padded(self, signals: Sequence[Tensor]) -> Tensor:
        """Signals, or as much of them as fits, in one tensor of the contents' length."""
        size = self.frame_mask.shape[-1] * self.hop
        cut = [signal[:size].to(self.device) for signal in signals]
        return torch.stack([pad(signal, (0, size - len(signal))) for signal in cut])

    def run(self) -> Generator[Step, None, list[Outcome]]:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        signal = yield from self._stages()
        for outcome, row, item in zip(self.outcomes, signal.cpu(), self.items, strict=True):
            samples = row[: len(item.content)].clone()
            outcome.diverged = outcome.diverged or not bool(torch.isfinite(samples).all())
            outcome.waveform = None if outcome.diverged else samples
            if self.device.type == "cuda":
                outcome.peak_device_mb = torch.cuda.max_memory_allocated(self.device) / 1e6
        return self.outcomes

    # --- stages -----------------------------------------------------------------------------------

    def _stages(self) -> Generator[Step, None, Tensor]:
        losses = losses_of(self.reference, self.settings, self.items[0].seed)
        judge, x = self._judge(losses), self._start()
        for outcome, pair in zip(self.outcomes, judge(x), strict=True):
            outcome.losses_start = outcome.losses_spectrogram = pair
        if self.settings.strength == 0:
            return self._content
        clock = time.perf_counter()
        x = yield from self._pass(judge, x) if self._feedforward else self._spectrogram(losses, judge, x)
        clock = self._seconds("spectrogram", clock)
        signal = self._content if self._unchanged else (yield from self._phase(x))
        clock = self._seconds("phase", clock)
        signal = yield from self._refine(losses, signal)
        self._seconds("refine", clock)
        return signal

    def _spectrogram(self, losses: Losses, judge: Judge, x: Tensor) -> Generator[Step, None, Tensor]:
        problem = SpectrogramProblem(losses, self.settings.content_weight)
        budget = self.settings.spectrogram_evaluations
        solutions = yield from self._optimise("spectrogram", problem, x, budget, True)
        if not solutions:
            return x
        x = torch.stack([s.x for s in solutions])
        for outcome, pair in zip(self.outcomes, judge(x), strict=True):
            outcome.losses_spectrogram = pair
        return x

    def _pass(self, judge: Judge, x: Tensor) -> Generator[Step, None, Tensor]:
        """The first stage by the network of the style; a strength below 1 leads so far from the content to there."""
        trained = self.items[0].trained
        assert trained is not None, "the method feedforward needs the network of the style"
        network = trained.network if self.device.type == "cpu" else deepcopy(trained.network).to(self.device)
        with torch.no_grad():
            x = torch.lerp(x, network(x, self.frame_mask), self.settings.strength)
        for outcome, pair in zip(self.outcomes, judge(x), strict=True):
            outcome.losses_spectrogram = pair
        yield Step("spectrogram", 1, tuple(range(len(self.items))))
        return x

    def _judge(self, losses: Losses) -> Judge:
        """(content, style) losses of each item as the judge reports them: of the styles themselves, without rhythm."""
        if self.reference.strength < 1 or self.settings.rhythm_weight:
            alone, plain = replace(self.reference, strength=1.0), replace(self.settings, rhythm_weight=0.0)
            losses = losses_of(alone, plain, self.items[0].seed)

        def judge(x: Tensor) -> list[tuple[float, float]]:
            with torch.no_grad():
                content, style = losses(x)
            return list(zip(content.tolist(), style.tolist(), strict=True))

        return judge

    def _start(self) -> Tensor:
        """Where the spectrogram starts, (batch, frames, bins), not negative, zero beyond an item's frames."""
        content = self.reference.content
        if self.settings.start == "content" or self._feedforward:
            return content
        if self.settings.start == "noise":
            draws = [torch.rand(content.shape[1:], generator=torch.Generator().manual_seed(i.seed)) for i in self.items]
            return torch.stack(draws).to(content) * self.frame_mask[..., None]
        style = self.reference.styles[0]
        repeated = phase.style(style.rows, (style.run >= 0).sum(-1), content.shape[1])
        return repeated * self.frame_mask[..., None]

    def _phase(self, x: Tensor) -> Generator[Step, None, Tensor]:
        settings = self.settings
        magnitude = torch.expm1(x) * self.frame_mask[..., None]
        inverse = Inverse(self.n_fft, self.hop, self.frame_mask, self.sample_mask)
        everyone = tuple(range(len(self.items)))
        work = phase.reconstruct(
            magnitude, self._phase_start(magnitude), inverse, self.n_fft, self.hop, settings.phase_iterations,
            settings.phase_method,
        )  # fmt: skip
        while True:
            try:
                with torch.no_grad():
                    iteration = next(work)
            except StopIteration as end:
                signal: Tensor = end.value
                break
            yield Step("phase", iteration, everyone)
        reached = phase.spectral_convergence_db(magnitude, signal, self.n_fft, self.hop, self.frame_mask)
        for outcome, db in zip(self.outcomes, reached.tolist(), strict=True):
            outcome.phase_convergence_db = db
        return signal

    def _phase_start(self, magnitude: Tensor) -> Tensor:
        """Spectra whose phase the iterations start from. Shape: (batch, frames, bins), complex."""
        frames = magnitude.shape[1]
        match self.settings.phase_start:
            case "content":
                return stft(self._content, self.n_fft, self.hop, frames)
            case "style":
                own = [item.styles[0].samples for item in self.items]
                lengths = [min(frames_of(len(samples), self.hop), frames) for samples in own]
                spectra = stft(self._padded(own), self.n_fft, self.hop, frames)
                return phase.style(spectra, torch.tensor(lengths, device=self.device), frames)
            case "random":
                return phase.random_phase([item.seed for item in self.items], *magnitude.shape[1:]).to(self.device)
            case "estimated":
                return phase.estimated(magnitude, self.n_fft, self.hop)
            case "tree":
                return phase.tree(magnitude, self.n_fft, self.hop)

    def _refine(self, losses: Losses, signal: Tensor) -> Generator[Step, None, Tensor]:
        """First on frames half a hop late, then on those that the losses are told of, each with what is left.

        Refined on one grid of frames alone a waveform fits that grid: half a hop off its style loss is 1.3 to 2.5 times
        as high on five pairs of music. A small budget is not divided: a few steps from a new start gain nothing.
        """
        evaluations, seconds = self.settings.refine_evaluations, self.settings.refine_seconds
        if evaluations >= TWO_GRIDS:
            clock, late = time.perf_counter(), self._half_a_hop_late()
            signal, used = yield from self._refine_on(late, self.hop // 2, signal, evaluations // 2, seconds / 2)
            evaluations -= used
            seconds = max(1e-3, seconds - (time.perf_counter() - clock)) if seconds else 0.0
        signal, _ = yield from self._refine_on(losses, 0, signal, evaluations, seconds)
        return signal

    def _half_a_hop_late(self) -> Losses:
        x = log_spectrogram(later(self._content, self.hop // 2), self.n_fft, self.hop, self.frame_mask.shape[1])
        reference = replace(self.reference, content=x * self.frame_mask[..., None])
        return losses_of(reference, self.settings, self.items[0].seed)

    def _refine_on(
        self, losses: Losses, offset: int, signal: Tensor, budget: int, seconds: float
    ) -> Generator[Step, None, tuple[Tensor, int]]:
        """The signal, and how many evaluations were made."""
        problem = WaveformProblem(
            losses, self.settings.content_weight, self.n_fft, self.hop, self.frame_mask, self.sample_mask, offset
        )
        rows, curve = signal.reshape(len(signal), -1, self.hop), "refine_late" if offset else "refine"
        solutions = yield from self._optimise("refine", problem, rows, budget, False, seconds, curve)
        if not solutions:
            return signal, 0
        return torch.stack([s.x.flatten() for s in solutions]), max(s.evaluations for s in solutions)

    def _optimise(
        self, stage: str, problem: Any, x: Tensor, budget: int, nonnegative: bool, seconds: float = 0.0, curve: str = ""
    ) -> Generator[Step, None, list[Solution]]:
        """One optimised stage, of at most `seconds` (0: any); nothing is returned where its budget is 0.

        Its curve has its name unless another is given.
        """
        if budget == 0:
            return []
        work = OPTIMISERS[self.settings.optimiser](problem, x, budget, self.settings.tolerance, nonnegative)
        ended, clock = None, time.perf_counter()
        while True:
            try:
                record = work.send(ended)
            except StopIteration as end:
                solutions: list[Solution] = end.value
                break
            self._keep(curve or stage, record)
            yield Step(stage, record.evaluation, record.active, record.total)
            ended = bool(seconds) and time.perf_counter() - clock >= seconds
        for outcome, solution in zip(self.outcomes, solutions, strict=True):
            outcome.evaluations += solution.evaluations
            outcome.stop_reason = solution.stop_reason
            outcome.diverged = outcome.diverged or solution.diverged
        return solutions

    def _keep(self, stage: str, record: Record) -> None:
        """The curves of the items that were evaluated."""
        rows = zip(record.active, record.total, record.content, record.style, strict=True)
        for n, total, content, style in rows:
            curves = self.outcomes[n].curves
            for name, value in (("stage", stage), ("total", total), ("content", content), ("style", style)):
                curves[name].append(value)

    def _seconds(self, stage: str, since: float) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        for outcome in self.outcomes:
            outcome.seconds[stage] = (now - since) / len(self.outcomes)
        return now
