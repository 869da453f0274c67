"""A question in SQL reads the columns that it asks for, and has the answer of one that reads them all."""

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from tasks.records.reasons import UsageError
from tasks.sql import Table, answer
from tasks.stored import frame_of

COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("loss", pa.float64()),
        ("inputs", pa.list_(pa.struct([("uri", pa.string())]))),
        ("began", pa.timestamp("us", "UTC")),
        ("tags", pa.map_(pa.string(), pa.string())),
        ("threads", pa.int64()),
    ]
)
ROWS = pa.table(
    {
        "name": ["a", "b", None],
        "loss": [1.0, None, 3.0],
        "inputs": [[{"uri": "x"}], None, []],
        "began": pd.to_datetime(["2026-01-01", "2026-01-02", None], utc=True),
        "tags": [[("a", "1")], None, []],
        "threads": [1, None, 3],
    },
    schema=COLUMNS,
)
EVERY = COLUMNS.names


def table(seen):
    """As the results are read; lists the columns that were."""

    def read(wanted):
        seen.extend(wanted.names)
        return frame_of([ROWS.select(wanted.names)], wanted)

    return Table(COLUMNS, read)


def asked(sql):
    """The answer, and the columns that were read."""
    seen = []
    return answer(sql, {"results": table(seen)}), seen


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("select name from results where loss > 1 order by began", ["name", "loss", "began"]),
        ("with r as (select * from results) select max(loss) m from r", ["loss"]),
        ("from results select results.inputs[1].uri u;", ["inputs"]),
        ("select a.name from results a join results b using (name) where b.loss = 1", ["name", "loss"]),
        ("select columns('^b') from results", ["began"]),
        ("select count(*) n from results", ["name"]),
        ("select name from results where 1 = 0 and loss = 1", ["name"]),
        ("select tags['a'] a, map_keys(tags) keys, threads, typeof(threads) t from results", ["tags", "threads"]),
        (
            "from results pivot (max(loss) for name in ('a', 'b') group by threads) order by 1",
            ["loss", "name", "threads"],
        ),
        ("select * from results", EVERY),
        ("select count(distinct results) n from results", EVERY),
        ("select a.name from results a natural join results b", EVERY),
        ("create table t as select name from results; select count(*) n from t", EVERY),
        ("pivot results on name using count(*) group by threads order by threads", EVERY),
        ("with p as (pivot results on name using max(loss)) select count(*) n, max(a) a from p", EVERY),
    ],
)
def test_only_what_a_query_uses_is_read_and_the_answer_is_that_of_the_whole_table(sql, read):
    found, seen = asked(sql)
    assert sorted(seen) == sorted(read)
    whole = duckdb.connect()
    whole.register("results", ROWS)
    pd.testing.assert_frame_equal(found, whole.execute(sql).df())


def test_what_is_not_read_still_has_its_name_and_type():
    found, seen = asked("describe results")
    assert list(found["column_name"]) == EVERY
    assert list(found["column_type"]) == [
        "VARCHAR", "DOUBLE", "STRUCT(uri VARCHAR)[]", "TIMESTAMP WITH TIME ZONE", "MAP(VARCHAR, VARCHAR)", "BIGINT",
    ]  # fmt: skip
    assert len(seen) == 1


def test_two_tables_are_asked_together():
    sql = "select count(*) n from results join votes using (name)"
    assert answer(sql, {"results": table([]), "votes": table([])}).n.tolist() == [2]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select * from read_text('/etc/hostname')", "file system operations are disabled"),
        ("explain select * from read_csv('/etc/hostname')", "file system operations are disabled"),
        ("copy results to '/tmp/there.csv'", "file system operations are disabled"),
        ("set enable_external_access = true; select 1", "configuration has been locked"),
        ("select los from results", 'column "los" not found'),
    ],
)
def test_a_query_that_is_refused_is_refused_in_one_line(sql, why):
    with pytest.raises(UsageError, match=f"(?i)^--sql: .*{why}"):
        asked(sql)


@pytest.mark.parametrize(("sql", "why"), [("selec 1", "syntax error"), ("select (1", "syntax error"), ("", "no query")])
def test_what_is_no_sql_is_refused_before_anything_is_read(sql, why):
    seen = []
    with pytest.raises(UsageError, match=f"^--sql: .*{why}"):
        answer(sql, {"results": table(seen)})
    assert seen == []
