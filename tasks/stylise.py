"""Restyle pairs: sounds in, encoded audio and figures out. One pair or a shard, in this process."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import torch

from tasks import attempts
from tasks.audio import Clip, decode, encode
from tasks.decoding import DecodePool
from tasks.layout import Layout
from tasks.plan import Served
from tasks.records.pair import Attempt, Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.records.run import RunRecord
from tasks.roots import Roots
from tasks.store import Store
from tasks.transfer import quality
from tasks.transfer.buckets import batch_key, bytes_per_item, minimum_samples
from tasks.transfer.pipeline import Item, Outcome, Step, transfer
from tasks.transfer.settings import Settings

T = TypeVar("T")

WORKING_LUFS = -16.0
"""Both inputs are brought to this loudness: log1p is not blind to level, and a quiet file should sound the same."""

CPU_BATCH_MB = 4_000


class Stopped(Exception):
    """The run was asked to stop while a batch was in work."""


@dataclass(frozen=True)
class Sound:
    """A decoded input at working level."""

    samples: torch.Tensor  # (samples,) float32 at the pair's sample rate
    lufs: float  # of the input as it came


@dataclass(frozen=True)
class Loaded:
    """A pair whose inputs are read: digests known, sounds at working level."""

    pair: Pair
    params: Parameters
    settings: Settings
    content: Sound
    style: Sound
    started_at: datetime
    seconds_read: float

    @property
    def item(self) -> Item:
        return Item(self.content.samples, self.style.samples, self.params.seed)

    @property
    def lengths(self) -> tuple[int, int]:
        return len(self.content.samples), len(self.style.samples)


@dataclass(frozen=True)
class Restyled:
    """The written audio of a pair and the columns that describe it."""

    data: bytes
    values: dict[str, Any]
    curves: dict[str, list[Any]]


def settings_of(params: Parameters) -> Settings:
    return Settings(**{f.name: getattr(params, f.name) for f in fields(Settings)})


# --- inputs ---------------------------------------------------------------------------------------


def decode_options(given: Input, params: Parameters) -> dict[str, Any]:
    return {
        "sample_rate": params.sample_rate,
        "start": given.start,
        "seconds": given.seconds,
        "max_seconds": params.max_seconds,
        "min_samples": minimum_samples(settings_of(params)),
    }


def sound_of(clip: Clip) -> Sound:
    """A clip at working level (its own where it is too quiet for a loudness)."""
    samples = torch.from_numpy(clip.samples)
    lufs = quality.loudness_lufs(samples, clip.sample_rate)
    return Sound(samples * _ratio(WORKING_LUFS - lufs) if math.isfinite(lufs) else samples, lufs)


def load(pair: Pair, store: Store, roots: Roots, pool: DecodePool) -> Loaded:
    """Read and decode the inputs of a pair. Raises PairError, naming the input."""
    assert pair.params is not None
    started_at, clock = datetime.now(UTC), time.perf_counter()
    sounds, inputs = {}, []
    for given in pair.inputs:
        blob = _told(f"{given.role}: ", partial(store.read, given.uri, etag=given.etag, allowed=roots))
        decoding = partial(pool.decode, blob.data, **decode_options(given, pair.params))
        clip = _told(f"{given.role} {given.uri} ", decoding)
        inputs.append(replace(given, etag=blob.etag, sha256=blob.sha256))
        sounds[given.role] = sound_of(clip)
    return Loaded(
        pair=replace(pair, inputs=tuple(inputs)),
        params=pair.params,
        settings=settings_of(pair.params),
        content=sounds["content"],
        style=sounds["style"],
        started_at=started_at,
        seconds_read=time.perf_counter() - clock,
    )


def _told(where: str, work: Callable[[], T]) -> T:
    """What `work` gives; its PairError begins with where it came from."""
    try:
        return work()
    except PairError as error:
        raise PairError(error.reason, where + error.message) from error


# --- one batch ------------------------------------------------------------------------------------


def batches(loaded: Sequence[Loaded], budget_mb: float) -> Iterator[list[Loaded]]:
    """Pairs that may share a batch, together as far as memory allows, in manifest order."""
    groups: dict[Any, list[Loaded]] = {}
    for one in loaded:
        key = batch_key(*one.lengths, one.settings, one.params.seed)
        groups.setdefault((key, one.settings), []).append(one)
    for group in groups.values():
        each = bytes_per_item(*group[0].lengths, group[0].settings)
        size = max(1, int(budget_mb * 1e6 // each))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def transfer_batch(
    batch: Sequence[Loaded], device: torch.device, on_step: Callable[[Step], None]
) -> list[Outcome | Exception]:
    """Run the transfer over a batch. What it fails with (out of memory, a pair that raises) halves it.

    `on_step` may raise Stopped to end it.
    """
    try:
        return list(_drain(batch, device, on_step))
    except Stopped:
        raise
    except Exception as error:
        failure = _out_of_memory(error, batch[0], device) or error
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if len(batch) == 1:
        return [failure]
    half = len(batch) // 2
    return [*transfer_batch(batch[:half], device, on_step), *transfer_batch(batch[half:], device, on_step)]


def _out_of_memory(error: Exception, one: Loaded, device: torch.device) -> PairError | None:
    # On a CPU torch says it in a plain RuntimeError.
    if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
        return None
    seconds = max(one.lengths) / one.params.sample_rate
    what = str(error).split("\n")[0]
    return PairError(Reason.OOM, f"out of memory on {device} with {seconds:.0f} s of audio alone in its batch: {what}")


def _drain(batch: Sequence[Loaded], device: torch.device, on_step: Callable[[Step], None]) -> list[Outcome | Exception]:
    steps = transfer([one.item for one in batch], batch[0].settings, device)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return [_verdict(outcome) for outcome in end.value]
        on_step(step)


def _verdict(outcome: Outcome) -> Outcome | PairError:
    if not outcome.diverged:
        return outcome
    return PairError(
        Reason.DIVERGED,
        f"the losses were no longer finite after {outcome.evaluations} evaluations; "
        "try optimiser=adam or a smaller content_weight",
    )


# --- the output -----------------------------------------------------------------------------------


def write(loaded: Loaded, outcome: Outcome) -> Restyled:
    """Bring the result to the content's loudness, guard its true peak, encode it, and measure what was written.

    Losses compare at working level: the gain, which is recorded, is taken back before they are measured.
    """
    clock = time.perf_counter()
    params, settings = loaded.params, loaded.settings
    assert outcome.waveform is not None
    waveform = outcome.waveform
    gain_db = _gain(waveform, loaded.content.lufs, params)
    data = encode((waveform * _ratio(gain_db)).numpy(), params.sample_rate, params.audio_format)
    written = _decoded(data, params.sample_rate, len(waveform))
    level = written * _ratio(-gain_db)
    content, style = loaded.content.samples, loaded.style.samples
    content_loss, style_loss = quality.relative_losses(level, content, style, settings)
    content_heldout, style_heldout = quality.heldout_losses(level, content, style, settings, params.seed + 1)
    rate = params.sample_rate
    values: dict[str, Any] = {
        "status": "ok",
        "audio_sha256": hashlib.sha256(data).hexdigest(),
        "audio_bytes": len(data),
        "audio_rate": rate,
        "audio_channels": 1,
        "audio_frames": len(waveform),
        "content_loss": content_loss,
        "style_loss": style_loss,
        "content_loss_start": outcome.losses_start[0],
        "style_loss_start": outcome.losses_start[1],
        "content_loss_spectrogram": outcome.losses_spectrogram[0],
        "style_loss_spectrogram": outcome.losses_spectrogram[1],
        "content_loss_heldout": content_heldout,
        "style_loss_heldout": style_heldout,
        "phase_convergence_db": outcome.phase_convergence_db,
        "chroma_similarity": quality.chroma_similarity(level, content, rate),
        "onset_correlation": quality.onset_correlation(level, content, rate),
        "timbre_distance": quality.timbre_distance(level, style, rate),
        "style_copy": quality.style_copy(level, style, rate),
        "silence_share": quality.silence_share(written, rate),
        "loudness_lufs": quality.loudness_lufs(written, rate),
        "gain_db": gain_db,
        "peak_dbtp": quality.true_peak_dbtp(written),
        "evaluations": outcome.evaluations,
        "stop_reason": outcome.stop_reason,
        "peak_device_mb": outcome.peak_device_mb,
        "seconds_read": loaded.seconds_read,
        **{f"seconds_{stage}": outcome.seconds.get(stage, 0.0) for stage in ("spectrogram", "phase", "refine")},
        "seconds_write": time.perf_counter() - clock,
    }
    values["seconds_total"] = sum(v for k, v in values.items() if k.startswith("seconds_"))
    return Restyled(data, {k: _finite(v) for k, v in values.items()}, outcome.curves)


def _gain(waveform: torch.Tensor, lufs: float, params: Parameters) -> float:
    """Decibels that bring the waveform to `lufs`, less where its true peak would pass the limit."""
    own = quality.loudness_lufs(waveform, params.sample_rate)
    wanted = lufs - own if math.isfinite(own) and math.isfinite(lufs) else 0.0
    return min(wanted, params.peak_limit_dbtp - quality.true_peak_dbtp(waveform))


def _decoded(data: bytes, rate: int, frames: int) -> torch.Tensor:
    """What was written, at exactly the content's length (lossy formats pad)."""
    samples = torch.from_numpy(decode(data, sample_rate=rate, max_seconds=math.inf, allow_silence=True).samples)
    return torch.nn.functional.pad(samples, (0, frames - len(samples)))


def _ratio(db: float) -> float:
    return float(10.0 ** (db / 20.0))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- one shard ------------------------------------------------------------------------------------


@dataclass
class Stylist:
    """Restyles pairs of one run on one device and hands on each attempt as soon as its audio is stored.

    `lookup` finds earlier `ok` rows by pair_key, `emit` takes the attempts, `report` hears what is in hand.
    """

    store: Store
    layout: Layout
    run: RunRecord
    device: torch.device
    pool: DecodePool
    lookup: Callable[[list[str]], dict[str, Served]]
    emit: Callable[[Attempt], None]
    report: Callable[[str, tuple[int, ...]], None]
    stopping: Callable[[], bool]

    def stylise(self, pairs: Sequence[Pair]) -> None:
        """Every pair ends in one attempt. Raises Stopped when asked to stop; what was emitted stays."""
        loaded = self._unserved(self._load_all(pairs))
        for batch in batches(loaded, self._budget_mb()):
            self._batch(batch)

    def _load_all(self, pairs: Sequence[Pair]) -> list[Loaded]:
        roots = Roots(self.run.allowed)

        def one(pair: Pair) -> Loaded | Attempt:
            started_at = datetime.now(UTC)
            try:
                return load(pair, self.store, roots, self.pool)
            except Exception as error:  # one pair fails alone, whatever it is
                return attempts.failed(pair, error, started_at)

        loaded = []
        rows = tuple(pair.manifest_row for pair in pairs)
        with ThreadPoolExecutor(8) as threads:
            for result in threads.map(one, pairs):
                self._check_stop()
                self.report("read", rows)
                if isinstance(result, Attempt):
                    self.emit(result)
                else:
                    loaded.append(result)
        return loaded

    def _unserved(self, loaded: Sequence[Loaded]) -> list[Loaded]:
        """Emit the pairs that an earlier attempt serves; the rest is to be computed."""
        keys = {one.pair.manifest_row: one.pair.key() for one in loaded}
        found = {} if self.run.options.force else self.lookup(list(keys.values()))
        rest = []
        for one in loaded:
            row = found.get(keys[one.pair.manifest_row])
            if row is None:
                rest.append(one)
            else:
                self.emit(attempts.served(one.pair, row, one.started_at))
        return rest

    def _batch(self, batch: Sequence[Loaded]) -> None:
        rows = tuple(one.pair.manifest_row for one in batch)

        def on_step(step: Step) -> None:
            self._check_stop()
            self.report(step.stage, tuple(rows[i] for i in step.active if i < len(rows)))

        self.report("batch", rows)
        for one, outcome in zip(batch, transfer_batch(batch, self.device, on_step), strict=True):
            self.report("write", (one.pair.manifest_row,))
            self.emit(self._written(one, outcome))

    def _written(self, one: Loaded, outcome: Outcome | Exception) -> Attempt:
        try:
            if not isinstance(outcome, Outcome):
                raise outcome
            restyled = write(one, outcome)
            uri = self.layout.audio(
                self.run.night,
                self.run.run_id,
                one.pair.name,
                restyled.values["audio_sha256"],
                one.params.audio_format,
            )
            self.store.commit(uri, restyled.data)  # its name is its digest
        except Exception as error:
            return attempts.failed(one.pair, error, one.started_at)
        values = attempts.of_pair(one.pair) | restyled.values
        values |= {"audio_uri": uri, "started_at": one.started_at, "finished_at": datetime.now(UTC)}
        return Attempt(one.pair.manifest_row, values, restyled.curves)

    def _budget_mb(self) -> float:
        if self.run.options.batch_mb:
            return float(self.run.options.batch_mb)
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0] / 2e6
        return CPU_BATCH_MB

    def _check_stop(self) -> None:
        if self.stopping():
            raise Stopped
