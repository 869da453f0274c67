"""What curves hold of single attempts: losses at each evaluation, and pictures."""

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.records import schema
from tasks.records.reasons import OutOfReach
from tasks.store import open_store
from tasks.stored import read_table


def read_curves(uris: Iterable[str], attempts: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The rows of files of curves by attempt, `<run_id>/<manifest_row>`; with `attempts` only theirs.

    Of a file that is gone or damaged there are none: a picture is no verdict (`gramophone verify` is).
    """
    found: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(partial(_rows, attempts), sorted(uris)):
            found |= {f"{row['run_id']}/{row['manifest_row']}": row for row in rows}
    return found


def _rows(attempts: Collection[str] | None, uri: str) -> list[dict[str, Any]]:
    try:
        table = read_table(open_store(uri), uri, schema.CURVES)
    except OutOfReach:
        return []
    if attempts is not None:  # a large shard's are many megabytes, of which a page may show one pair
        names = pc.binary_join_element_wise(table["run_id"], table["manifest_row"].cast(pa.string()), "/")
        table = table.filter(pc.is_in(names, value_set=pa.array(attempts, pa.string())))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
