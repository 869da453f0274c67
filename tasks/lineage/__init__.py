"""Where an attempt came from, and what has come from a clip."""

from tasks.lineage.origin import code_version, lock_sha256, machine

__all__ = ["code_version", "lock_sha256", "machine"]
