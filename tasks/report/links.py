"""Links from a page to what lies in the same place: they work in a folder, in a bucket, and where it is served."""

import posixpath
from urllib.parse import quote


def link(uri: str, folder: str) -> str | None:
    """A relative link from a page in `folder` to `uri`; None where it lies on no common disk or bucket."""
    here, there = _split(folder), _split(uri)
    if here[0] != there[0]:
        return None
    return quote(posixpath.relpath(there[1], here[1]))


def _split(uri: str) -> tuple[str, str]:
    scheme, rest = uri.split("://", 1)
    place, _, path = rest.partition("/")
    return f"{scheme}://{place}", f"/{path}"
