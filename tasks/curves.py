"""What curves hold of single attempts: losses at each evaluation, and pictures."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tasks.records import schema
from tasks.records.reasons import OutOfReach
from tasks.store import open_store
from tasks.stored import read_table


def read_curves(uris: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rows of files of curves by attempt, `<run_id>/<manifest_row>`.

    Of a file that is gone or damaged there are none: a picture is no verdict (`gramophone verify` is).
    """
    found: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(_rows, sorted(uris)):
            found |= {f"{row['run_id']}/{row['manifest_row']}": row for row in rows}
    return found


def _rows(uri: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = read_table(open_store(uri), uri, schema.CURVES).to_pylist()
    except OutOfReach:
        return []
    return rows
