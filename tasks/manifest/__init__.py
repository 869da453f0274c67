"""Manifests: read, checked and built."""

from tasks.manifest.read import Manifest, NoManifest, read_manifest
from tasks.manifest.wait import await_manifest

__all__ = ["Manifest", "NoManifest", "await_manifest", "read_manifest"]
