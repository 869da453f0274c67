"""Build a manifest from two folders of audio, and probe the audio that one names."""

import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from tasks.attempts import told
from tasks.audio import AudioInfo
from tasks.decoding import DecodePool
from tasks.manifest.read import Manifest
from tasks.manifest.sweep import Choice
from tasks.overrides import shown
from tasks.records import schema
from tasks.records.pair import Fault
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError, Reason, UsageError, remedy_before_a_run
from tasks.records.run import Options
from tasks.roots import Roots
from tasks.store import open_store

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif"})


def audio_files(folder: Path) -> list[Path]:
    """Audio below `folder`, by the ending of its name, sorted. Raises UsageError where there is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name a folder with audio files.")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise UsageError(f"no audio in {folder}: looked for {', '.join(sorted(AUDIO_SUFFIXES))}.")
    return files


SLICES = ("content_start", "content_seconds", "style_start", "style_seconds")
LONGEST_NAME = 120  # of a pair_id's 128: the rest is for a number


def build(
    contents: Path,
    styles: Path,
    pairing: Literal["zip", "product"],
    out: Path,
    slices: Mapping[str, float | None],
    choices: Sequence[Choice] = (Choice({}),),
) -> pa.Table:
    """A manifest table of every content with its style (zip) or with every style (product), by every choice.

    `slices` gives every row the same slice, by the manifest's columns; `choices` are those of its sweeps.

    URIs are relative to the folder of `out` where they lie below it, so that the folder can be moved.
    Raises UsageError where zip finds different numbers of files.
    """
    left, right = audio_files(contents), audio_files(styles)
    if pairing == "zip" and len(left) != len(right):
        raise UsageError(
            f"--pair zip needs as many contents as styles: {contents} has {len(left)}, {styles} has {len(right)}. "
            "Use --pair product for every content with every style."
        )
    pairs = zip(left, right, strict=True) if pairing == "zip" else product(left, right)
    given = {name: value for name, value in slices.items() if value is not None}
    rows: list[dict[str, Any]] = []
    names: set[str] = set()
    taken: set[str] = set()
    for content, style in pairs:
        name = _unique(f"{_name(content)}-x-{_name(style)}", names)
        uris = {"content_uri": _uri(content, out), "style_uri": _uri(style, out)}
        for choice in choices:
            chosen = {"params": json.dumps(choice.params)} if choice.params else {}
            pair_id = _unique(name[: LONGEST_NAME - len(choice.suffix)] + choice.suffix, taken)
            rows.append({"pair_id": pair_id} | uris | given | chosen)
    return schema.table_of(rows, schema.MANIFEST).select(list(rows[0]))


def _name(path: Path) -> str:
    plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._") or "clip"


def _unique(name: str, taken: set[str]) -> str:
    name, number = name[:LONGEST_NAME], 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate)
    return candidate


def _uri(path: Path, out: Path) -> str:
    folder, path = out.resolve().parent, path.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


@dataclass(frozen=True)
class Probed:
    """What opening the audio of a manifest showed: facts by URI, and a fault for each cell that will fail."""

    audio: dict[str, AudioInfo]
    faults: list[Fault]


READERS = 8


def probe_audio(
    manifest: Manifest, base: Parameters, roots: Roots, options: Options, pool: DecodePool | None = None
) -> Probed:
    """Open every input of a manifest once: existence, size, format, duration, rate, channels, silence.

    It is decoded as a run does it, in processes of its own, by a `pool` that is closed in the end.
    """
    pairs = [pair for pair in manifest.pairs(base) if not pair.faults]
    found = probed_uris(sorted({i.uri for pair in pairs for i in pair.inputs}), roots, options, pool)
    faults = []
    for pair in pairs:
        for given in pair.inputs:
            error = _unusable(found[given.uri], given.start, given.seconds, pair.params or base)
            if error:
                help_ = remedy_before_a_run(error.reason)
                column = "content_uri" if given.role == "content" else "style_uri"
                faults.append(Fault(pair.manifest_row, column, shown(given.uri), error.reason, error.message, help_))
    return Probed({u: a for u, a in found.items() if isinstance(a, AudioInfo)}, faults)


def probed_uris(
    uris: Sequence[str], roots: Roots, options: Options, pool: DecodePool | None = None
) -> dict[str, AudioInfo | PairError]:
    """What decoding each of these files shows, or why it cannot be used."""
    with (
        closing(pool or DecodePool(min(4, os.cpu_count() or 1))) as decoders,
        ThreadPoolExecutor(READERS) as readers,
    ):
        return dict(zip(uris, readers.map(lambda uri: _probed(uri, roots, options, decoders), uris), strict=True))


def _probed(uri: str, roots: Roots, options: Options, decoders: DecodePool) -> AudioInfo | PairError:
    try:
        roots.check(uri)
        blob = open_store(uri).read(uri, allowed=roots, limit=options.max_input_mb * 1_000_000)
        time_limit = options.timeout_seconds / 3  # as in a run
        return decoders.probe(blob.data, time_limit=time_limit, max_channels=options.max_channels)
    except PairError as error:
        return error
    except Exception as error:  # one input fails alone, whatever it is
        return told(error)


def _unusable(
    audio: AudioInfo | PairError, start: float | None, seconds: float | None, params: Parameters
) -> PairError | None:
    if isinstance(audio, PairError):
        return audio
    if audio.silent:
        return PairError(Reason.INPUT_SILENT, "is silent")
    left = audio.seconds - (start or 0.0)
    if left <= 0 or (seconds is not None and seconds > left + 1e-6):
        return PairError(Reason.INPUT_TOO_SHORT, f"lasts {audio.seconds:.2f} s, but the slice ends later")
    if (seconds or left) > params.max_seconds:
        return PairError(Reason.INPUT_TOO_LONG, f"lasts {seconds or left:.1f} s; max_seconds is {params.max_seconds:g}")
    return None
