"""The contents that a network is trained on: read through the store, one source for each file, whatever its names."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.attempts import told
from tasks.manifest.build import AUDIO_SUFFIXES
from tasks.manifest.read import read_manifest
from tasks.records.pair import Input
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError
from tasks.records.run import Options
from tasks.store import open_store
from tasks.stylise.inputs import Reader, at_working_level
from tasks.withdrawn import Withdrawn

READERS = 4


@dataclass(frozen=True)
class Source:
    """One file, by its digest: the names that it goes by, and its sounds (samples,), mono, at working level."""

    sha256: str
    uris: tuple[str, ...]
    sounds: tuple[Tensor, ...]


@dataclass(frozen=True)
class Corpus:
    """`left_out`: what could not be read, as (URI, why)."""

    sources: tuple[Source, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def sha256(self) -> str:
        """Of the digests of its files: names, order and copies do not count."""
        return hashlib.sha256(" ".join(sorted(source.sha256 for source in self.sources)).encode()).hexdigest()


def contents_of(uri: str, params: Parameters, options: Options) -> list[Input]:
    """The contents of a manifest, slices and all, or every audio file below a folder. Raises UsageError for neither."""
    store = open_store(uri)
    if store.stat(uri) is None:
        found = [name for name, _ in store.list(uri)]
        audio = [name for name in found if any(name.lower().endswith(suffix) for suffix in AUDIO_SUFFIXES)]
        if audio:
            return [Input("content", name) for name in audio]
        if not any(name.endswith(".parquet") for name in found):
            raise UsageError(f"no corpus at {uri}: there is neither a manifest nor a folder with audio.")
    pairs = read_manifest(store, uri, params, options).pairs(params)
    contents = [pair.content for pair in pairs if pair.content and not pair.faults]
    return list(dict.fromkeys(contents))


def read_corpus(
    contents: Sequence[Input], reader: Reader, sample_rate: int, seconds_max: float, withdrawn: Withdrawn
) -> Corpus:
    """Read, decode and bring to working level; what cannot be read, or is withdrawn, is left out and named."""

    def read(content: Input) -> tuple[Input, Tensor | str]:
        try:
            found, clip = reader.read(content, sample_rate=sample_rate)
            withdrawn.check([found])
        except Exception as error:  # one source is left out alone, whatever it is
            return content, told(error).message
        samples = _middle(torch.from_numpy(clip.samples), round(seconds_max * sample_rate))
        return found, at_working_level(samples, sample_rate)[0]

    sounds: dict[str, list[tuple[Input, Tensor]]] = {}
    left_out: list[tuple[str, str]] = []
    with ThreadPoolExecutor(READERS) as threads:
        for one, sound in threads.map(read, contents):
            if isinstance(sound, str):
                left_out.append((one.uri, sound))
            else:
                sounds.setdefault(one.sha256 or "", []).append((one, sound))
    return Corpus(tuple(_source(digest, found) for digest, found in sorted(sounds.items())), tuple(left_out))


def _source(digest: str, found: Sequence[tuple[Input, Tensor]]) -> Source:
    """Copies of a slice count once."""
    slices = {(one.start, one.seconds): sound for one, sound in reversed(found)}
    return Source(digest, tuple(dict.fromkeys(one.uri for one, _ in found)), tuple(slices.values()))


def _middle(samples: Tensor, most: int) -> Tensor:
    start = max(0, (len(samples) - most) // 2)
    return samples[start : start + most]
