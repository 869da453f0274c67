"""A question in SQL, answered by DuckDB, which sees the given tables and nothing else: no file, no network."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    """The answer; of each table only those columns are read that DuckDB's plan names. Raises UsageError.

    What is no SQL is refused before anything is read. Types are those of `columns`.
    """
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    for name, table in tables.items():
        connection.register(name, table.columns.empty_table())
    with _refused():
        statements = connection.extract_statements(sql)
    if not statements:
        raise UsageError("--sql: it holds no query")
    wanted = _columns_read(connection, sql) if _is_a_query(statements) else None
    for name, table in tables.items():
        _show(connection, name, table, wanted)
    with _refused():
        return connection.execute(sql).df()


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise UsageError(f"--sql: {str(error).splitlines()[0]}") from error


def _is_a_query(statements: list[duckdb.Statement]) -> bool:
    """Whether it is one, and not what is several under the hood: a PIVOT asks first which values there are."""
    return [statement.type for statement in statements] == [duckdb.StatementType.SELECT]


def _columns_read(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str] | None:
    """The columns that a query over these tables reads; None where that is not told."""
    try:
        [(_, plan)] = connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()
    except duckdb.Error:  # the query itself will tell
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
    columns = some(table.columns, *there)
    rows = pa.Table.from_pandas(table.read(columns), schema=columns, preserve_index=False)
    listed = (f'"{column}"' if column in there else f'NULL::{kind} AS "{column}"' for column, kind in types.items())
    connection.from_arrow(rows).project(", ".join(listed)).create_view(name)
