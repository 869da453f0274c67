"""JSON in the header of a safetensors file, which holds texts only."""

import json
from typing import Any

KEY = "gramophone"


def text_of(header: dict[str, Any]) -> dict[str, str]:
    return {KEY: json.dumps(header, sort_keys=True)}


def header_of(data: bytes) -> dict[str, Any]:
    """The object in a file's header, {} where there is none of ours. Raises ValueError for what is no such file."""
    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    found = json.loads(metadata.get(KEY, "{}"))
    return found if isinstance(found, dict) else {}
