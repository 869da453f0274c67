"""The demo's inputs: synthesised clips and a manifest over them, as a user's would be: files and parquet."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.audio import encode
from tasks.clips import CLIPS, CONTENTS, SAMPLE_RATE, STYLES, synthesise
from tasks.records import schema

# Explicit Gram matrices as published, with an eighth of the filters: a demo should not take minutes.
CONV = {"features": "conv", "widths": [11], "filters": 512, "spectrogram_evaluations": 40, "refine_evaluations": 20}


def make(folder: Path) -> Path:
    """Write clips/*.flac and manifest.parquet below `folder`, one clip cut in half; returns the manifest."""
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    for name in CLIPS:
        (clips / f"{name}.flac").write_bytes(encode(synthesise(name), SAMPLE_RATE, "flac"))
    whole = (clips / f"{CONTENTS[0]}.flac").read_bytes()
    (clips / "broken.flac").write_bytes(whole[: len(whole) // 2])
    manifest = folder / "manifest.parquet"
    table = schema.table_of(_rows(), schema.MANIFEST)
    pq.write_table(table.select(["pair_id", "content_uri", "style_uri", "params", "tags"]), manifest)
    return manifest


def _rows() -> list[dict[str, Any]]:
    names = [*zip(CONTENTS, STYLES, strict=True), (CONTENTS[1], STYLES[0])]
    rows = [_row(content, style) for content, style in names]
    rows.append(_row(CONTENTS[0], STYLES[1]) | {"pair_id": "explicit-gram-matrices", "params": json.dumps(CONV)})
    rows.append(_row("broken", STYLES[2]) | {"tags": [("note", "broken on purpose")]})
    return rows


def _row(content: str, style: str) -> dict[str, Any]:
    uris = {"content_uri": f"clips/{content}.flac", "style_uri": f"clips/{style}.flac"}
    return {"pair_id": f"{content}-x-{style}", **uris}
