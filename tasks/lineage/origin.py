"""Where an attempt came from: the code, the packages, the machine."""

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

_SOURCES = Path(__file__).resolve().parents[2]


@cache
def code_version() -> str:
    """Version, commit (in a checkout) and a digest of our own sources, so that an edited checkout shows."""
    digest = hashlib.sha256()
    for package in ("flows", "tasks"):
        for path in sorted((_SOURCES / package).rglob("*.py")):
            digest.update(path.relative_to(_SOURCES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    commit = _commit()
    return f"{version('gramophone')}+{f'g{commit}.' if commit else ''}{digest.hexdigest()[:8]}"


def _commit() -> str | None:
    if not (_SOURCES / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(_SOURCES), "rev-parse", "--short=10", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def lock_sha256() -> str:
    """Digest of the name and version of every installed package: what the lock file amounted to here."""
    found = sorted({f"{d.name.lower().replace('_', '-')}=={d.version}" for d in distributions()})
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def machine() -> dict[str, str | None]:
    """The columns of a results row that are the same for all attempts of a process."""
    return {
        "code_version": code_version(),
        "lock_sha256": lock_sha256(),
        "image_digest": os.environ.get("GRAMOPHONE_IMAGE_DIGEST"),
        "host": platform.node(),
    }
