"""All that manifests have been found to be wrong in, by number: told of the whole, of a row alone, or read as it is."""

import base64
import io
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.look_up import look_up
from tasks.manifest import read_manifest
from tasks.manifest.parquet import EXTENSION, _in_base64
from tasks.records import schema
from tasks.records.parameters import Parameters
from tasks.records.reasons import UsageError
from tasks.records.run import Job, Options
from tasks.roots import Roots
from tasks.store import open_store
from tasks.submit import prepare_nightly

GOOD = {"pair_id": "good", "content_uri": "a.wav", "style_uri": "b.wav"}
TEXT = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]


def file_of(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def columns(rows=1, **others):
    return pa.table({name: [value] * rows for name, value in GOOD.items()} | others)


def without(name):
    return columns().drop_columns([name])


def named(*names):
    return pa.Table.from_arrays([pa.array(["x"])] * len(names), list(names))


def flipped(data, word):
    at = data.index(word) + 3
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def many_names():
    names = pa.array([f"pair-{number:05d}" for number in range(2_000)])
    table = pa.table(dict.fromkeys(GOOD, names))
    return file_of(table, write_page_checksum=True, compression="none", use_dictionary=False)


def no_utf8(kind):
    """A column whose second cell is no text."""
    offsets = np.array([0, 1, 2, 3], np.int32)
    made = pa.Array.from_buffers(pa.string(), 3, [None, pa.py_buffer(offsets), pa.py_buffer(b"a\xffb")])
    if pa.types.is_dictionary(kind):
        return made.dictionary_encode()
    return made.view(pa.binary()).cast(pa.large_binary()).view(pa.large_string()) if kind == pa.large_string() else made


def repeated(size, rows):
    """A column of one long text, which is stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * size]))


def nulls(rows):
    return pa.table({name: pa.nulls(rows) for name in GOOD})


def styled(uris):
    """A manifest whose rows have a style each in `styles`, by its URI."""
    one = pa.StructArray.from_arrays([uris, *[pa.nulls(len(uris), pa.float64())] * 3], schema.STYLE.names)
    listed = pa.ListArray.from_arrays(pa.array(np.arange(len(uris) + 1, dtype=np.int32)), one)
    return columns(len(uris), styles=listed).drop_columns(["style_uri"])


WHOLE = {  # number and name: the file (or the files of a folder), words of the message
    "1 an empty file": (b"", "is empty, 0 bytes"),
    "2 a CSV": (b"pair_id,content_uri,style_uri\na,b,c\n", "it looks like text"),
    "2 a web page": (b"<html><body>Sign in", "a web page"),
    "3 half a file": (file_of(columns())[:300], "as if it were cut short"),
    "3 a file without its beginning": (file_of(columns())[9:], "is not a parquet file"),
    "3 a footer of noise": (file_of(columns())[:200] + bytes(90) + b"\x5a\0\0\0PAR1", "the file is damaged"),
    "3 a footer longer than the file": (file_of(columns())[:-8] + b"\xff\xff\xff\x7fPAR1", "the file is damaged"),
    "4 a flipped bit": (lambda: flipped(many_names(), b"pair-00777"), "the file is damaged"),
    "35 an encoding that small files can be bombs in": (
        file_of(columns(), use_dictionary=False, column_encoding={"pair_id": "DELTA_BYTE_ARRAY"}),
        "is encoded in a way that is not read",
    ),
    "6 no pair_id": (file_of(without("pair_id")), "column 'pair_id' is missing"),
    "6 no content_uri": (file_of(without("content_uri")), "column 'content_uri' is missing"),
    "6 no style_uri": (file_of(without("style_uri")), "column 'style_uri' is missing"),
    "6 another case": (file_of(named("Pair_ID", "content_uri", "style_uri")), "(did you mean 'pair_id'?)"),
    "7 a column twice": (file_of(named(*GOOD, "pair_id")), "column 'pair_id' is there twice; drop one"),
    "8 a column that nobody knows": (file_of(columns(weight=[1])), "column 'weight' is not known"),
    "9 a pair_id that is an integer": (file_of(columns().set_column(0, "pair_id", [[1]])), "is int64, but must be"),
    "9 a pair_id that is a float": (file_of(columns().set_column(0, "pair_id", [[1.0]])), "is double, but must be"),
    "10 a pair_id of bytes": (file_of(columns().set_column(0, "pair_id", [[b"\xff"]])), "is binary, but must be"),
    "11 a pair_id that is a list": (file_of(columns().set_column(0, "pair_id", [[["a"]]])), "is list<"),
    "11 a pair_id that is a struct": (file_of(columns().set_column(0, "pair_id", [[{"a": 1}]])), "is struct<"),
    "15 a seed that is no whole number": (file_of(columns(seed=[1.5])), "column 'seed' is double, but must be int64"),
    **{
        f"16 no UTF-8 in {name} ({kind})": (
            file_of(pa.table({key: ["a"] * 3 for key in GOOD} | {name: no_utf8(kind)})),
            f"column '{name}', row 1 is no UTF-8 text",
        )
        for name in ("pair_id", "content_uri", "params", "x_note")
        for kind in (TEXT[0], TEXT[1], TEXT[3])
    },
    "34 twenty million rows": (lambda: file_of(nulls(20_000_000)), "has 20,000,000 rows; a manifest has at most"),
    "35 one text of 1 MB 20,000 times": (
        lambda: file_of(pa.table(dict.fromkeys(GOOD, repeated(1_000_000, 20_000)))),
        "takes more than 2,000 MB once it is decoded",
    ),
    "35 the same within lists": (
        lambda: file_of(styled(repeated(1_000_000, 20_000))),
        "takes more than 2,000 MB once it is decoded",
    ),
    "36 20,000 columns": (lambda: file_of(named(*GOOD, *(f"x_{n}" for n in range(20_000)))), "has 20,003 columns"),
    "36 many columns that nobody knows": (file_of(named(*GOOD, *(f"c{n}" for n in range(99)))), "94 more are not"),
    "36 two files that do not fit each other": (
        [file_of(columns(x_mood=["calm"])), file_of(columns(x_mood=[7]))],
        "its files do not fit each other",
    ),
}  # fmt: skip

ROW, FORBIDDEN = "row_invalid", "input_forbidden"
NAME = "use 1 to 128 letters, digits, '.', '_' or '-'"
ROWS = {  # number and name: cells of the wrong row, column, reason, words of the message
    "13 no pair_id": ({"pair_id": None}, "pair_id", ROW, "is missing; give each row a name of its own"),
    "14 no content": ({"content_uri": None}, "content_uri", ROW, "is missing; name the audio file"),
    "14 no style": ({"style_uri": None}, "style_uri", ROW, "is missing; name the audio file"),
    "17 an empty pair_id": ({"pair_id": ""}, "pair_id", ROW, NAME),
    "17 a blank pair_id": ({"pair_id": "   "}, "pair_id", ROW, NAME),
    "18 a pair_id that is there before": ({"pair_id": "good"}, "pair_id", ROW, "is also in row 0"),
    "19 a pair_id of another pair": ({"pair_id": "good", "seed": 7}, "pair_id", ROW, "is also in row 0"),
    "20 a letter in one piece (NFC)": ({"pair_id": "caf\u00e9"}, "pair_id", ROW, NAME),
    "20 a letter in two pieces (NFD)": ({"pair_id": "cafe\u0301"}, "pair_id", ROW, NAME),
    "22 a space behind": ({"pair_id": "a "}, "pair_id", ROW, NAME),
    "22 a space of no width": ({"pair_id": "a\u200bb"}, "pair_id", ROW, r"a\\u200bb"),
    "22 a mark of direction": ({"pair_id": "a\u202eb"}, "pair_id", ROW, r"a\\u202eb"),
    "22 a control character": ({"pair_id": "a\x1b[31m"}, "pair_id", ROW, r"a\\x1b[31m"),
    "22 a NUL": ({"pair_id": "a\0"}, "pair_id", ROW, r"a\\x00"),
    "22 a newline": ({"pair_id": "a\n"}, "pair_id", ROW, r"a\\n"),
    "22 a formula": ({"pair_id": "=cmd|' /C calc'!A0"}, "pair_id", ROW, NAME),
    "23 a path as pair_id": ({"pair_id": "../../x"}, "pair_id", ROW, NAME),
    "23 a pair_id of 129 letters": ({"pair_id": "a" * 129}, "pair_id", ROW, NAME),
    "24 a bucket left upwards": ({"content_uri": "s3://bucket/../c.wav"}, "content_uri", FORBIDDEN, "holds '//'"),
    "24 a part of a key that is empty": ({"style_uri": "s3://bucket//c.wav"}, "style_uri", FORBIDDEN, "holds '//'"),
    "24 a part of a key that is a dot": ({"style_uri": "s3://bucket/./c.wav"}, "style_uri", FORBIDDEN, "holds '//'"),
    "25 another spelling of a file": ({"content_uri": "local:///etc/hostname"}, "content_uri", FORBIDDEN, "file:///"),
    "25 a file of a host": ({"content_uri": "file://host/a.wav"}, "content_uri", FORBIDDEN, "names a host"),
    "26 an address of the machine's own": (
        {"content_uri": "http://169.254.169.254/latest/meta-data"}, "content_uri", FORBIDDEN, "begins with http:"
    ),
    "26 an address": ({"style_uri": "https://127.0.0.1/a.wav"}, "style_uri", FORBIDDEN, "begins with https:"),
    "27 a chain to an address": ({"content_uri": "simplecache::http://127.0.0.1/a"}, "content_uri", FORBIDDEN, "'::'"),
    "27 a chain to a file": ({"content_uri": "filecache::file:///etc/hostname"}, "content_uri", FORBIDDEN, "'::'"),
    "27 an archive in a bucket": ({"content_uri": "zip://x::s3://bucket/a.zip"}, "content_uri", FORBIDDEN, "'::'"),
    "27 a list of references": ({"content_uri": "reference://x"}, "content_uri", FORBIDDEN, "begins with reference:"),
    "28 data in the URI": ({"content_uri": "data:audio/wav;base64,UklG"}, "content_uri", FORBIDDEN, "with data:"),
    "28 memory": ({"content_uri": "memory://a.wav"}, "content_uri", FORBIDDEN, "begins with memory:"),
    "28 a repository": ({"content_uri": "github://me:secret@c/d.wav"}, "content_uri", FORBIDDEN, "github://***@c"),
    "29 s3a": ({"content_uri": "s3a://bucket/a.wav"}, "content_uri", FORBIDDEN, "is not spelled s3://bucket/key"),
    "29 S3": ({"content_uri": "S3://bucket/a.wav"}, "content_uri", FORBIDDEN, "is not spelled s3://bucket/key"),
    "30 a password": ({"content_uri": "s3://me:secret@b/k"}, "content_uri", FORBIDDEN, "'s3://***@b/k'"),
    "30 a password as a pair_id": ({"pair_id": "s3://me:secret@b/k"}, "pair_id", ROW, "'s3://***@b/k'"),
    "30 a password as a method": ({"method": "s3://me:secret@b/k"}, "method", ROW, "'s3://***@b/k'"),
    "31 a version": ({"content_uri": "s3://bucket/a.wav?versionId=3"}, "content_uri", FORBIDDEN, "a.wav?***'"),
    "31 a fragment": ({"content_uri": "s3://bucket/a.wav#x"}, "content_uri", FORBIDDEN, "holds '#'"),
    "31 an escape": ({"content_uri": "s3://bucket/%73.wav"}, "content_uri", FORBIDDEN, "holds '%73'"),
    "31 a wildcard": ({"content_uri": "s3://bucket/*.wav"}, "content_uri", FORBIDDEN, "holds '*'"),
    "31 a class of letters": ({"content_uri": "s3://bucket/[s].wav"}, "content_uri", FORBIDDEN, "holds '['"),
    "32 a bucket that is not allowed": ({"content_uri": "s3://other/a.wav"}, "content_uri", FORBIDDEN, "--allow"),
    "32 a file that is not allowed": ({"content_uri": "/etc/hostname"}, "content_uri", FORBIDDEN, "--allow"),
    "35 a cell of 50 MB": ({"params": "x" * 50_000_000}, "params", ROW, "is longer than 64 kB (max_cell_kb)"),
    "35 a URI of 5,000 letters": ({"content_uri": "x" * 5_000}, "content_uri", FORBIDDEN, "longer than 4,096"),
}  # fmt: skip

READ = {  # what is right although it looks odd: the file (or files), and what becomes of it
    "5 no rows": (file_of(columns().slice(0, 0)), []),
    **{
        f"12 text as {kind}": (file_of(pa.table({k: pa.array([v]).cast(kind) for k, v in GOOD.items()})), ["good"])
        for kind in TEXT
    },
    "21 names that differ in case": (file_of(columns(2).set_column(0, "pair_id", [["A", "a"]])), ["A", "a"]),
    "36 a folder of files of which one has a column more": (
        [file_of(columns(seed=[1])), file_of(columns().set_column(0, "pair_id", [["b"]]))],
        ["good", "b"],
    ),
    "36 a folder in the way of Hive": (
        {"pair_id=x/a.parquet": file_of(columns()), "night=1/b.parquet": file_of(named(*GOOD))},
        ["x", "good"],
    ),
}
ELSEWHERE = {15, 33, 37}  # tests of their own, below


@pytest.fixture
def place(tmp_path):
    """Puts a file, or a folder of files, where it is read as a manifest."""

    def put(given):
        given = given() if callable(given) else given
        path = tmp_path / "manifest.parquet"
        if isinstance(given, bytes):
            path.write_bytes(given)
            return f"file://{path}"
        named = given if isinstance(given, dict) else {f"{n}.parquet": data for n, data in enumerate(given)}
        for name, data in named.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return f"file://{path}"

    return put


def read(uri, **options):
    return read_manifest(open_store(uri), uri, Parameters(), Options(**options))


def test_every_number_is_here():
    found = {int(name.split()[0]) for name in (*WHOLE, *ROWS, *READ)} | ELSEWHERE
    assert found == set(range(1, 38))


@pytest.mark.parametrize("name", WHOLE)
def test_a_manifest_that_is_wrong_as_a_whole_is_refused_in_a_sentence(place, name):
    given, words = WHOLE[name]
    uri = place(given)
    with pytest.raises(UsageError) as caught:
        read(uri)
    message = str(caught.value)
    assert words in message
    assert uri in message
    assert message.isprintable()
    assert len(message) < 500 + len(uri)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_is_wrong_fails_alone(place, tmp_path, name):
    cells, column, reason, words = ROWS[name]
    rows = [GOOD, GOOD | {"pair_id": "bad"} | cells, GOOD | {"pair_id": "other"}]
    uri = place(file_of(pa.Table.from_pylist(rows, schema.MANIFEST)))
    manifest = read(uri)
    assert "secret" not in str(manifest.table.to_pylist())
    pairs = look_up(manifest.pairs(Parameters()), Roots.resolve([f"file://{tmp_path}"]))
    twin = cells.get("pair_id") == "good"  # of two that are alike, none is the right one
    assert [bool(pair.faults) for pair in pairs] == [twin, True, False]
    [fault] = pairs[1].faults
    assert (fault.row, fault.column, str(fault.reason)) == (1, column, reason)
    message = pairs[1].error().message
    assert words in message
    assert pairs[1].pair_id in ("good", "bad", None), "what is no name is told as none, and named by its row"
    assert message.startswith(column)
    assert message.isprintable()
    assert "secret" not in message
    assert len(message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("name", READ)
def test_what_only_looks_odd_is_read(place, name):
    given, ids = READ[name]
    pairs = list(read(place(given)).pairs(Parameters()))
    assert Counter(pair.pair_id for pair in pairs) == Counter(ids)
    assert not any(pair.faults for pair in pairs)


def test_numbers_keep_their_digits_beside_nulls(place):
    """15: what pandas would read as floats."""
    table = columns(2, seed=[None, 2**60 + 1], content_start=[None, 500])
    one, other = read(place(file_of(table.set_column(0, "pair_id", [["a", "b"]])))).pairs(Parameters())
    assert (one.params.seed, one.content.start) == (0, None)
    assert (other.params.seed, other.content.start) == (2**60 + 1, 500.0)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (columns().slice(0, 0), "manifest.parquet has no rows: there is nothing to do."),  # 5
        (columns().set_column(2, "style_uri", [["a.wav"]]), "the same file in 1 of 1 pairs; the first: good"),  # 33
    ],
)
def test_what_may_be_a_mistake_is_said_and_no_fault(place, tmp_path, table, says):
    told = []
    planned = prepare_nightly(Job(manifest=place(file_of(table)), root=str(tmp_path / "root")), tell=told.append)
    assert [text for text in told if says in text]
    assert not any(pair.faults for pair in planned.plan.pairs)


class Extension(pa.ExtensionType):
    """A type as a library registers one: reading a schema that names it calls the library."""

    called = 0

    def __init__(self):
        super().__init__(pa.string(), "gramophone.tests")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, data):
        cls.called += 1
        return cls()


@pytest.fixture
def registered():
    pa.register_extension_type(Extension())
    yield Extension
    pa.unregister_extension_type("gramophone.tests")


@pytest.mark.parametrize("lengthened", ["", "1", "12"])
def test_no_registered_type_is_ever_called(place, registered, lengthened):
    """37: pyarrow calls it already to read the schema, whatever columns are asked for."""
    note = pa.ExtensionArray.from_storage(Extension(), pa.array(["n"]))
    table = columns(**{f"x_note{lengthened}": note})
    data = file_of(table)
    registered.called = 0
    pq.read_schema(io.BytesIO(data))
    assert registered.called
    registered.called = 0
    with pytest.raises(UsageError, match="an Arrow extension type, which is not read"):
        read(place(data))
    assert registered.called == 0


def test_the_mark_of_such_a_type_is_found_wherever_it_stands_in_base64():
    for before in range(9):
        schema_ = base64.b64encode(bytes(range(before)) + EXTENSION + b"\0tail")
        assert any(mark in schema_ for mark in _in_base64(EXTENSION))
    assert not any(mark in base64.b64encode(b"ARROW:extension:nano") for mark in _in_base64(EXTENSION))


@pytest.mark.parametrize(
    ("limit", "given", "words"),
    [
        ({"max_rows": 2}, file_of(nulls(3)), "3 rows; a manifest has at most 2 (max_rows)"),
        ({"max_rows": 2}, [file_of(nulls(1)), file_of(nulls(2))], "at most 2 (max_rows)"),
        ({"max_manifest_mb": 1}, file_of(columns(5, x_note=["n" * 300_000] * 5)), "more than 1 MB once it is decoded"),
        ({"max_manifest_mb": 1}, bytes(1_000_001), "has 1,000,001 bytes; at most 1,000,000 are read (max_manifest_mb)"),
        ({"max_manifest_mb": 1}, [bytes(600_000)] * 2, "at most 400,000 are read (max_manifest_mb)"),
    ],
)
def test_limits_are_parameters(place, limit, given, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        read(place(given), **limit)


LONG = "x" * 2_001
TAGS = pa.map_(pa.string(), pa.string())


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("params", pa.array(['{"seed": 1' + " " * 2_000 + "}"])),
        ("method", pa.array([LONG])),
        ("tags", pa.array([[("mood", LONG)]], TAGS)),
        ("tags", pa.array([[(LONG, "calm")]], TAGS)),
        ("tags", pa.array([[(f"{n}", "x" * 300) for n in range(9)]], TAGS)),
        ("x_note", pa.array([LONG])),
        ("x_note", pa.array([LONG]).cast(pa.large_string())),
        ("x_note", pa.array([LONG]).cast(pa.string_view())),
        ("x_note", pa.array([LONG.encode()])),
        ("x_note", pa.array([{"a": ["x" * 1_000, "x" * 1_001]}])),
    ],
)
def test_the_longest_text_of_a_cell_is_a_parameter_and_a_longer_one_is_not_copied(place, name, cell):
    uri = place(file_of(columns(**{name: cell})))
    found = read(uri, max_cell_kb=2)
    [fault, *_] = found.all_faults()
    assert (fault.row, fault.column, fault.why) == (0, name, "is longer than 2 kB (max_cell_kb)")
    assert found.table[name].to_pylist()[0] is None or name in ("params", "method")
    assert not [fault for fault in read(uri).all_faults() if "longer" in fault.why]


def test_columns_of_ones_own_may_have_any_name_and_any_type(place):
    others = {"x_\x1b[31m": ["x" * 3_000], "x_number": [1.5], "x_when": pa.array([0], pa.timestamp("s")), "x_": [None]}
    [fault] = read(place(file_of(columns(**others))), max_cell_kb=2).all_faults()
    assert "x1b" in fault.column
    assert fault.sentence().isprintable()


@pytest.mark.parametrize("text", ['{"seed": 4}', r'{"se\u0065d": 4}'])
def test_a_seed_that_differs_from_its_column_is_a_fault_however_it_is_spelled(tmp_path, text):
    rows = [GOOD | {"params": text, "seed": 3}, GOOD | {"pair_id": "other", "params": text, "seed": 4}]
    (tmp_path / "m.parquet").write_bytes(file_of(pa.Table.from_pylist(rows, schema.MANIFEST)))
    bad, good = read(f"file://{tmp_path}/m.parquet").pairs(Parameters())
    assert "differs from the seed column, 3" in bad.error().message
    assert not good.faults
