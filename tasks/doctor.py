"""Is this machine fit for a night? Each check gives a finding: a verdict, what was seen, and what to do about it."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from tasks.records.reasons import OutOfReach, PairError, UsageError
from tasks.roots import local_path, shown
from tasks.store import join, open_store
from tasks.store.probe import probe

Verdict = Literal["ok", "warning", "failed"]
LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
LEAST_FREE_BYTES = 2 << 30
API_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of `gramophone doctor`."""

    what: str
    verdict: Verdict
    says: str
    remedy: str = ""


def examine(root: str, device: str, api_url: str | None, api_auth: str | None = None) -> Iterator[Finding]:
    """Every check in turn; one that breaks is a finding as well. `api_url` is the Prefect API, if there is one."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "device": lambda: devices(device),
        "codecs": codecs,
        "versions": lambda: versions(LOCK),
        "store": lambda: store(root),
        "prefect": lambda: prefect_api(api_url, api_auth),
        "scratch": lambda: scratch(root),
    }
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:
            yield Finding(name, "failed", f"{type(error).__name__}: {error}", "report it with this message")


def devices(wanted: str) -> Iterator[Finding]:
    """What torch computes on here."""
    import torch

    from tasks.worker import devices as found

    try:
        names = found(wanted)
    except OutOfReach as error:
        yield Finding("device", "failed", str(error), "check the driver with `nvidia-smi`, or use --device auto")
        return
    gpus = [f"{d} {torch.cuda.get_device_name(d)}" for d in names if d != "cpu"]
    says = ", ".join(gpus) if gpus else f"CPU, {os.cpu_count()} cores, no GPU that torch can use"
    yield Finding("device", "ok", f"{says}; torch {torch.__version__}")


def codecs() -> Iterator[Finding]:
    """Every format is written and read back."""
    import soundfile

    from tasks.audio import decode, encode
    from tasks.clips import synthesise

    clip, broken = synthesise("pluck", 0.5), []
    for name in ("wav", "flac", "ogg", "mp3"):
        try:
            decode(encode(clip, 22_050, name), sample_rate=22_050, max_seconds=1.0)
        except Exception as error:  # libsndfile built without it, or worse
            broken.append(f"{name} ({error})")
    says = f"libsndfile {soundfile.__libsndfile_version__}: wav, flac, ogg, mp3; no m4a or AAC"
    if broken:
        yield Finding("codecs", "failed", f"{says}; broken: {', '.join(broken)}", "make setup")
    else:
        yield Finding("codecs", "ok", says)


def versions(lock: Path) -> Iterator[Finding]:
    """What is installed against the lock file, where there is one: a wheel does not carry it."""
    if version("torch").split(".")[:2] != version("torchaudio").split(".")[:2]:
        both = f"torch {version('torch')} with torchaudio {version('torchaudio')}"
        yield Finding("versions", "failed", f"{both}: they come in pairs", "make setup")
    if not lock.is_file():
        yield Finding("versions", "ok", "no lock file here to compare with (an installed wheel)")
        return
    wrong = list(_differing(lock.read_text()))
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        yield Finding("versions", "failed", shown, "make setup")
    else:
        yield Finding("versions", "ok", f"as in {lock.name}; Python {sys.version.split()[0]}")


def _differing(lock: str) -> Iterator[str]:
    for line in lock.splitlines():
        if "==" not in line or line.startswith((" ", "#")):
            continue
        wanted = Requirement(line.removesuffix("\\").strip())
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield f"{wanted.name} is {found}, the lock says {wanted.specifier}"


def store(root: str) -> Iterator[Finding]:
    """Write, read back, list, remove; and whether of many that create one object only one does."""
    clock = time.perf_counter()
    uri = join(root, "probe", f"doctor-{os.getpid()}-{time.time_ns()}")
    try:
        where = open_store(root)
        next(where.list(join(root, "probe")), None)  # some servers make a bucket of a mistyped name when it is written
        where.create(uri, b"gramophone doctor")
        listed = [found for found, _ in where.list(join(root, "probe"))]
        if where.read(uri).data != b"gramophone doctor" or uri not in listed:
            yield Finding("store", "failed", f"{root}: what was written is not what is read", "use another store")
            return
        with suppress(PairError):  # a role that may not delete is no fault
            where.delete(uri)
        took = 1000 * (time.perf_counter() - clock)
        yield Finding("store", "ok", f"{root}: written, read, listed and removed in {took:.0f} ms")
        clock = time.perf_counter()
        probe(where, root)
    except (PairError, OutOfReach, UsageError) as error:
        yield Finding("store", "failed", str(error), "check --root, --s3-endpoint and the credentials' rights")
        return
    yield Finding("create-only", "ok", f"kept in 8 races of 8 ({time.perf_counter() - clock:.1f} s)")


def prefect_api(url: str | None, auth: str | None = None) -> Iterator[Finding]:
    """Whether a configured server answers, and is of our version."""
    import httpx

    ours = version("prefect")
    if not url:
        yield Finding("prefect", "ok", f"prefect {ours}; PREFECT_API_URL is not set: each run starts a local server")
        return
    user, _, password = (auth or "").partition(":")
    try:
        with httpx.Client(timeout=API_SECONDS, auth=(user, password) if user else None) as http:
            http.get(f"{url}/health").raise_for_status()
            theirs = http.get(f"{url}/admin/version").raise_for_status().json()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        says = f"the API at {shown(url)} answers {status} {error.response.reason_phrase}"
        remedy = "set PREFECT_API_AUTH_STRING" if status in (401, 403) else "check PREFECT_API_URL, which ends in /api"
        yield Finding("prefect", "failed", says, remedy)
        return
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        says = f"no answer from the API at {shown(url)}: {type(error).__name__}"
        yield Finding("prefect", "failed", says, "start it with `prefect server start`, or unset PREFECT_API_URL")
        return
    if theirs != ours:
        yield Finding("prefect", "warning", f"the server is {theirs}, we are {ours}", "run the same version on both")
    else:
        yield Finding("prefect", "ok", f"the server answers, prefect {ours}")


def scratch(root: str) -> Iterator[Finding]:
    """Room on the disks that are written to."""
    places = {"temporary files": Path(tempfile.gettempdir())}
    if (path := local_path(root)) is not None:
        places["root"] = next(p for p in (path, *path.parents) if p.exists())
    for what, place in places.items():
        free = shutil.disk_usage(place).free
        says = f"{free / (1 << 30):.0f} GiB free for {what} ({place})"
        if free < LEAST_FREE_BYTES:
            yield Finding("disk", "warning", says, "make room")
        else:
            yield Finding("disk", "ok", says)
