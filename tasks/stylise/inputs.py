"""From URIs to sounds: read, decode, bring to working level."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import torch

from tasks.audio import Clip, check_format
from tasks.checkpoint import read_vgg
from tasks.decoding import DecodePool
from tasks.networks import find_network
from tasks.records.pair import Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason
from tasks.records.run import Options
from tasks.roots import Roots, shown
from tasks.store import Blob, open_store
from tasks.stylise.shelf import Shelf
from tasks.transfer import quality
from tasks.transfer.buckets import minimum_samples
from tasks.transfer.item import Checkpoint, Style, Trained
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import REFERENCE_RATE, window_of

T = TypeVar("T")
SHELF_MB = 512

WORKING_LUFS = -16.0
"""All inputs are brought to this loudness, and to the spectra of REFERENCE_RATE: log1p is not blind to level, and what
is quiet or of another rate should sound the same."""


@dataclass(frozen=True)
class Content:
    """The decoded content. Losses and loudness are those of the mean of its channels."""

    samples: torch.Tensor  # (samples,) float32, mono, at working level
    channels: torch.Tensor  # (channels, samples) float32, as they came
    lufs: float  # of the mono mix as it came


@dataclass(frozen=True)
class Loaded:
    """A pair whose inputs are read: digests known, sounds at working level and at the content's rate."""

    pair: Pair
    params: Parameters
    settings: Settings
    content: Content
    styles: tuple[Style, ...]
    style_lufs: float  # of the first style as it came
    started_at: datetime
    seconds_read: float
    checkpoint: Checkpoint | None = None
    trained: Trained | None = None

    @property
    def bytes(self) -> int:
        """Memory that its sounds take."""
        sounds = (self.content.samples, self.content.channels, *(style.samples for style in self.styles))
        return sum(sound.nbytes for sound in sounds)


def settings_of(params: Parameters, content_rate: int) -> Settings:
    """The parameters that the numerics read; what is left to the content's sample rate (0) is filled in."""
    values = {f.name: getattr(params, f.name) for f in fields(Settings)}
    rate = params.sample_rate or content_rate
    n_fft = params.n_fft or window_of(rate)
    hop = params.hop_length or n_fft // 4
    values |= {"sample_rate": rate, "n_fft": n_fft, "hop_length": hop}
    if params.method == "feedforward":
        values["refine_evaluations"] = params.feedforward_refine_evaluations
        values["phase_iterations"] = params.feedforward_phase_iterations
        if not params.feedforward_phase_iterations:  # as networks are trained for
            values["phase_start"] = "content"
    return Settings(**values)


@dataclass(frozen=True)
class ReadStyle:
    """A style that was read: with its digest, as it came (`clip`), and at working level with a weight of 1."""

    given: Input
    clip: Clip
    style: Style
    lufs: float

    @property
    def bytes(self) -> int:
        kept = list(self.style.kept.values())  # of which another thread may add some
        return int(self.clip.samples.nbytes + self.style.samples.nbytes + sum(one.nbytes for one in kept))


def style_shelf() -> Shelf[ReadStyle]:
    """Room for the styles that pairs in work and to come are likely to share."""
    return Shelf(SHELF_MB << 20, lambda one: one.bytes)


def load(
    pair: Pair,
    roots: Roots,
    pool: DecodePool,
    options: Options | None = None,
    root: str = "",
    shelf: Shelf[ReadStyle] | None = None,
) -> Loaded:
    """Read and decode the inputs of a pair, and its trained weights, within the limits of a run's options.

    `root` is where the networks of styles lie. Styles whose version is known are kept on the `shelf`.

    Raises PairError, naming the input.
    """
    assert pair.params is not None
    started_at, clock = datetime.now(UTC), time.perf_counter()
    params, reader = pair.params, Reader(roots, pool, pair.params, options or Options())
    checkpoint = told_of("vgg_weights: ", partial(read_vgg, params, roots)) if params.weights_uri else None
    content, *styles = pair.inputs
    content, clip = reader.read(content, mix=False, sample_rate=params.sample_rate or None)
    settings = settings_of(params, clip.sample_rate)
    _check_output(params, clip)
    told_of(f"{content.role} {content.uri} ", partial(_check_length, clip, settings))
    read = [reader.style(style, settings.sample_rate, shelf) for style in styles]
    for one in read:
        told_of(f"{one.given.role} {one.given.uri} ", partial(_check_length, one.clip, settings))
    trained = _network_of(params, settings, [one.given for one in read], root)
    return Loaded(
        pair=replace(
            pair,
            inputs=(content, *(one.given for one in read)),
            model_sha256=trained.sha256 if trained else checkpoint.sha256 if checkpoint else None,
        ),
        params=params,
        settings=settings,
        content=content_of(clip),
        styles=tuple(replace(one.style, weight=one.given.weight) for one in read),
        style_lufs=read[0].lufs,
        started_at=started_at,
        seconds_read=time.perf_counter() - clock,
        checkpoint=checkpoint,
        trained=trained,
    )


def _network_of(params: Parameters, settings: Settings, styles: Sequence[Input], root: str) -> Trained | None:
    """The network that the parameters ask for. Raises PairError: checkpoint_invalid, params_invalid, storage."""
    if params.method != "feedforward":
        return None
    if len(styles) != 1 or params.weights_uri:
        what = f"{len(styles)} styles" if len(styles) != 1 else "vgg_weights"
        raise PairError(
            Reason.PARAMS_INVALID, f"method feedforward is for one style and its network, not {what}; use optimise"
        )
    if not root:
        raise PairError(Reason.PARAMS_INVALID, "method feedforward needs the root that its networks lie in: --root")
    found = find_network(root, styles[0].sha256 or "", params.network, styles[0].uri)
    there = settings.sample_rate, settings.n_fft, settings.hop_length
    for name, trained, asked in zip(
        ("sample_rate", "n_fft", "hop_length"), (found.sample_rate, found.n_fft, found.hop_length), there, strict=True
    ):
        if trained != asked:
            raise PairError(
                Reason.PARAMS_INVALID,
                f"the network of {shown(styles[0].uri)} was trained for a {name} of {trained}, not {asked}; set "
                f"{name}={trained}, or train one with --{name.replace('_', '-')} {asked}",
            )
    return found


@dataclass(frozen=True)
class Reader:
    """Reads inputs within a run's options."""

    roots: Roots
    pool: DecodePool
    params: Parameters
    options: Options

    def read(self, given: Input, **wanted: Any) -> tuple[Input, Clip]:
        """An input with its digest, and its sound."""
        wanted |= {"start": given.start, "seconds": given.seconds, "max_seconds": self.params.max_seconds}
        wanted |= {"max_channels": self.options.max_channels}
        # Twice, and the worker is not taken for one that hangs.
        wanted |= {"time_limit": self.options.timeout_seconds / 3}
        blob, clip = _fetched_and_decoded(
            lambda: told_of(f"{given.role}: ", partial(self._fetch, given)),
            lambda data: told_of(f"{given.role} {given.uri} ", partial(self.pool.decode, data, **wanted)),
        )
        return replace(given, etag=blob.etag, sha256=blob.sha256), clip

    def style(self, given: Input, sample_rate: int, shelf: Shelf[ReadStyle] | None) -> ReadStyle:
        """A style, from the shelf where its version lies there; it must be allowed all the same."""
        if shelf is None or given.etag is None:
            return self._style(given, sample_rate)
        told_of(f"{given.role}: ", partial(self.roots.check, given.uri))
        limits = (self.params.max_seconds, self.options.max_channels, self.options.max_input_mb)
        key = (given.uri, given.etag, given.start, given.seconds, sample_rate, *limits)
        found = shelf.get(key, partial(self._style, given, sample_rate))
        return replace(found, given=replace(found.given, weight=given.weight))

    def _style(self, given: Input, sample_rate: int) -> ReadStyle:
        given, clip = self.read(given, sample_rate=sample_rate)
        samples, lufs = at_working_level(torch.from_numpy(clip.samples), clip.sample_rate)
        return ReadStyle(given, clip, Style(samples), lufs)

    def _fetch(self, given: Input) -> Blob:
        most = self.options.max_input_mb
        try:
            return open_store(given.uri).read(given.uri, etag=given.etag, allowed=self.roots, limit=most * 1_000_000)
        except PairError as error:
            if error.reason is not Reason.INPUT_TOO_LONG:
                raise
            raise PairError(
                error.reason, f"{error.message} (max_input_mb {most:,}); compress it to FLAC, or cut it"
            ) from error


def _fetched_and_decoded(fetch: Callable[[], Blob], decode: Callable[[bytes], Clip]) -> tuple[Blob, Clip]:
    """An object and its sound. One without a checksum of its own may come damaged, which nothing but its decoder can
    tell: it is fetched once more, and fails where it comes as it came."""
    blob = fetch()
    try:
        return blob, decode(blob.data)
    except PairError as error:
        again = fetch() if error.reason is Reason.DECODE_ERROR else blob
        if again.sha256 == blob.sha256:
            raise
    return again, decode(again.data)


def _check_length(clip: Clip, settings: Settings) -> None:
    """Raises PairError (input_too_short) where the widest patch does not fit."""
    samples, needed = clip.samples.shape[-1], minimum_samples(settings)
    if samples < needed:
        rate = settings.sample_rate
        raise PairError(
            Reason.INPUT_TOO_SHORT,
            f"lasts {samples / rate:.4g} s, but these parameters need {needed / rate:.4g} s",
        )


def _check_output(params: Parameters, clip: Clip) -> None:
    """Raises PairError (params_invalid) where the result could not be written."""
    try:
        check_format(params.audio_format, clip.sample_rate, clip.source_channels)
    except ValueError as error:
        raise PairError(
            Reason.PARAMS_INVALID,
            f"the result could not be stored: {error}; choose another audio_format or sample_rate",
        ) from error


def content_of(clip: Clip) -> Content:
    """A clip of channels as the content of a pair."""
    channels = torch.from_numpy(clip.samples)
    samples, lufs = at_working_level(channels.mean(0), clip.sample_rate)
    return Content(samples, channels, lufs)


def at_working_level(samples: torch.Tensor, sample_rate: int) -> tuple[torch.Tensor, float]:
    """Mono samples at working level (their own where they are too quiet for a loudness), and what theirs was, LUFS."""
    lufs = quality.loudness_lufs(samples, sample_rate)
    return brought_to_working_level(samples, lufs, sample_rate), lufs


def brought_to_working_level(samples: torch.Tensor, lufs: float, sample_rate: int) -> torch.Tensor:
    """The same where their loudness is known."""
    gain = quality.ratio(WORKING_LUFS - lufs) if math.isfinite(lufs) else 1.0
    return samples * (gain * REFERENCE_RATE / sample_rate)


def told_of(where: str, work: Callable[[], T]) -> T:
    """What `work` gives; its PairError begins with where it came from."""
    try:
        return work()
    except PairError as error:
        raise PairError(error.reason, where + error.message) from error
