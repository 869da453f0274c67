"""Manifests: read, checked and built."""

from tasks.manifest.read import Manifest, read_manifest

__all__ = ["Manifest", "read_manifest"]
