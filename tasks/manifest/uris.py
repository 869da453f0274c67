"""The URIs of a manifest in their one spelling, a column at a time: most are so plain that nobody must look at each."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.records.reasons import PairError
from tasks.roots import MAX_CHARACTERS, bare, canonical_uri

_NAME = r"[\p{L}\p{N}_][\p{L}\p{M}\p{N} ._,()+=&!'-]*"
"""A part of a path that means itself to everybody: no '.' or '..', nothing that is escaped, hidden or a pattern."""
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_RELATIVE = rf"^{_NAME}(/{_NAME})*$"
_S3 = rf"^s3://{_BUCKET}(/{_NAME})+$"
_FILE = rf"^file://(/{_NAME})+$"
_PATH = rf"^(/{_NAME})+$"


def is_plain(uris: Any, folder: str) -> Any:
    """Whether each of these, taken from `folder`, is the one spelling of its place as it stands (null: null)."""
    plain = pc.match_substring_regex(uris, _S3)
    if folder.startswith("file://"):
        plain = pc.or_(plain, pc.match_substring_regex(uris, _FILE))
    return pc.and_(plain, pc.less_equal(pc.utf8_length(uris), MAX_CHARACTERS))


def absolute(column: pa.ChunkedArray, folder: str) -> pa.ChunkedArray:
    """The column with relative URIs resolved against `folder`; one that cannot be stays, without its passwords."""
    texts = pc.unique(pc.drop_null(column))
    found = _spelled_out(texts, folder)
    odd = pc.is_null(found)
    spelled = pa.array([_one(text, folder) for text in pc.filter(texts, odd).to_pylist()], pa.string())
    found = pc.replace_with_mask(found, odd, spelled)
    return pc.take(found, pc.index_in(column, value_set=texts))


def _spelled_out(texts: pa.Array, folder: str) -> pa.Array:
    """The plain ones of some URIs, resolved; null for the others, at which one must look."""
    nothing = pa.nulls(len(texts), pa.string())
    if not _is_canonical(folder):
        return nothing
    found = pc.if_else(is_plain(texts, folder), texts, nothing)
    short = pc.less_equal(pc.utf8_length(texts), MAX_CHARACTERS - len(folder) - 1)
    below = pc.and_(short, pc.match_substring_regex(texts, _RELATIVE))
    found = pc.if_else(below, pc.binary_join_element_wise(folder, texts, "/"), found)
    if folder.startswith("file://"):
        rooted = pc.and_(short, pc.match_substring_regex(texts, _PATH))
        found = pc.if_else(rooted, pc.binary_join_element_wise("file://", texts, ""), found)
    return found


def _is_canonical(folder: str) -> bool:
    try:
        return canonical_uri(folder, folder) == folder and not folder.endswith("/")
    except PairError:
        return False


def _one(text: str, folder: str) -> str:
    try:
        return canonical_uri(text, folder) if text else text
    except PairError:
        return bare(text)  # from here on it is copied into runs and rows
