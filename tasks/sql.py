"""A question in SQL, answered by DuckDB, which sees the given tables and nothing else: no file, no network."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import duckdb
import pandas as pd
import pyarrow as pa

from tasks.records.reasons import UsageError
from tasks.records.schema import some


class Table(NamedTuple):
    """What is read once its wanted columns are known."""

    columns: pa.Schema
    read: Callable[[pa.Schema], pd.DataFrame]


def answer(sql: str, tables: Mapping[str, Table]) -> pd.DataFrame:
    """The answer; of each table only those columns are read that DuckDB's plan names. Raises UsageError."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    for name, table in tables.items():
        connection.register(name, table.columns.empty_table())
    wanted = _columns_read(connection, sql)
    for name, table in tables.items():
        _show(connection, name, table, wanted)
    try:
        if not connection.extract_statements(sql):
            raise UsageError("--sql: it holds no query")
        return connection.execute(sql).df()
    except duckdb.Error as error:
        raise UsageError(f"--sql: {str(error).splitlines()[0]}") from error


def _columns_read(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str] | None:
    """The columns that a query over these tables reads; None where that is not told, as for several statements."""
    try:
        if len(connection.extract_statements(sql)) != 1:
            return None
        [(_, plan)] = connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()
    except (duckdb.Error, ValueError):
        return None
    columns: set[str] = set()
    for scan in _scans(json.loads(plan)):
        if "Projections" not in scan:
            return None
        named = scan["Projections"]
        columns.update([named] if isinstance(named, str) else named)
    return columns


def _scans(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        if "ARROW_SCAN" in node["name"]:
            yield node["extra_info"]
        yield from _scans(node.get("children", []))


def _show(connection: duckdb.DuckDBPyConnection, name: str, table: Table, wanted: set[str] | None) -> None:
    """Put a table under its name: what is wanted of it, and of the others what they are called."""
    types = {column: kind for column, kind, *_ in connection.execute(f"DESCRIBE {name}").fetchall()}
    there = [column for column in types if wanted is None or column in wanted] or list(types)[:1]
    connection.unregister(name)
    frame = connection.from_df(table.read(some(table.columns, *there)))
    listed = (f'"{column}"' if column in there else f'NULL::{kind} AS "{column}"' for column, kind in types.items())
    frame.project(", ".join(listed)).create_view(name)
