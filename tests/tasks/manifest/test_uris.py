import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.manifest.uris import absolute, is_plain
from tasks.records.reasons import PairError
from tasks.roots import bare, canonical_uri

FOLDERS = ["file:///music/a b", "file://", "file:///", "s3://bucket", "s3://bucket/manifests", "s3://bucket/odd//place"]
PARTS = st.sampled_from(
    ["a", "b.flac", "..", ".", "", ".hidden", "ü", "漢字", "s3:", "s3://bucket", "file://", "/x", "a::b", "a?b", "%41",
     "a*", "u:p@h", "~", " ", "a b", "\u202e", "é", "'", "x" * 3000, "[1]", "S3://B", "***@", "-", "_x", "&", "#"]
)  # fmt: skip
TEXTS = st.lists(PARTS, min_size=1, max_size=5).map("/".join) | st.text(max_size=30)


def by_one(text, folder):
    try:
        return canonical_uri(text, folder) if text else text
    except PairError:
        return bare(text)


@settings(deadline=None)  # a name of thousands of characters takes its time
@given(st.lists(TEXTS | st.none(), max_size=6), st.sampled_from(FOLDERS))
@example(["s3://bucket/" + "x" * 4090, "s3://bucket/" + "x" * 4080, "x" * 4090, "/" + "x" * 4090], "file:///music")
def test_a_column_is_spelled_as_each_of_its_uris_would_be(texts, folder):
    texts = [text.encode("utf-8", "replace").decode() if text else text for text in texts]
    found = absolute(pa.chunked_array([pa.array(texts, pa.string())]), folder).to_pylist()
    assert found == [text if text is None else by_one(text, folder) for text in texts]


@given(st.lists(TEXTS, max_size=6), st.sampled_from(FOLDERS))
def test_what_is_plain_is_its_own_spelling(texts, folder):
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    for text, plain in zip(texts, is_plain(pa.array(texts, pa.string()), folder).to_pylist(), strict=True):
        if plain:
            assert canonical_uri(text, folder) == text


@pytest.mark.parametrize("uri", ["s3://bucket/library/Naïve tune (1).flac", "file:///music/Naïve tune (1).flac"])
def test_usual_names_are_plain(uri):
    assert is_plain(pa.array([uri]), "file:///music").to_pylist() == [True]
