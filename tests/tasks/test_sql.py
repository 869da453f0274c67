"""A question in SQL reads the columns that it asks for, and has the answer of one that reads them all."""

import pandas as pd
import pyarrow as pa
import pytest

from tasks.records.reasons import UsageError
from tasks.sql import Table, answer

COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("loss", pa.float64()),
        ("inputs", pa.list_(pa.struct([("uri", pa.string())]))),
        ("began", pa.timestamp("us", "UTC")),
    ]
)
ROWS = pa.table(
    {
        "name": ["a", "b", None],
        "loss": [1.0, None, 3.0],
        "inputs": [[{"uri": "x"}], None, []],
        "began": pd.to_datetime(["2026-01-01", "2026-01-02", None], utc=True),
    },
    schema=COLUMNS,
)
EVERY = COLUMNS.names


def asked(sql):
    """The answer, and the columns that were read."""
    seen = []

    def read(wanted):
        seen.extend(wanted.names)
        return ROWS.select(wanted.names).to_pandas()

    return answer(sql, {"results": Table(COLUMNS, read)}), seen


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
        ("select * from results", EVERY),
        ("select count(distinct results) n from results", EVERY),
        ("select a.name from results a natural join results b", EVERY),
        ("create table t as select name from results; select count(*) n from t", EVERY),
    ],
)
def test_only_what_a_query_uses_is_read_and_the_answer_is_that_of_the_whole_table(sql, read):
    found, seen = asked(sql)
    assert sorted(seen) == sorted(read)
    whole = answer(sql, {"results": Table(COLUMNS, lambda _: ROWS.to_pandas())})
    pd.testing.assert_frame_equal(found, whole)


def test_what_is_not_read_still_has_its_name_and_type():
    found, seen = asked("describe results")
    assert list(found["column_name"]) == EVERY
    assert list(found["column_type"]) == ["VARCHAR", "DOUBLE", "STRUCT(uri VARCHAR)[]", "TIMESTAMP WITH TIME ZONE"]
    assert len(seen) == 1


def test_two_tables_are_asked_together():
    tables = {
        name: Table(COLUMNS, lambda wanted: ROWS.select(wanted.names).to_pandas()) for name in ("results", "votes")
    }
    found = answer("select count(*) n from results join votes using (name)", tables)
    assert found.n.tolist() == [2]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select * from read_text('/etc/hostname')", "file system operations are disabled"),
        ("explain select * from read_csv('/etc/hostname')", "file system operations are disabled"),
        ("copy results to '/tmp/there.csv'", "file system operations are disabled"),
        ("set enable_external_access = true; select 1", "configuration has been locked"),
        ("select los from results", 'column "los" not found'),
        ("selec 1", "syntax error"),
        (" ", "no query"),
    ],
)
def test_a_query_that_is_refused_is_refused_in_one_line(sql, why):
    with pytest.raises(UsageError, match=f"(?i)^--sql: .*{why}"):
        asked(sql)
