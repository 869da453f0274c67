"""Whatever text a manifest or a person gives as a place: one spelling within its roots, or a refusal."""

import os

from tasks.records.reasons import PairError, Reason
from tasks.roots import MAX_CHARACTERS, Roots, bare, canonical_uri, shown
from tests.fuzz import refusal

BASES = ("file:///music/night", "s3://music/night")
ROOTS = Roots(BASES)
DICTIONARY = ("file://", "s3://", "::", "..", "/../", "/./", "//", "%2e", "@", ":", "?", "#", "*", "music", "night")


def seeds():
    from tests.tasks.test_roots import READ, REFUSED

    return [text.encode("utf-8", "surrogateescape") for text, *_ in READ + REFUSED]


def check(data):
    """Bytes as what they spell. Returns what came of it."""
    return check_text(data.decode("utf-8", "surrogateescape"))


def check_text(text):
    assert len(shown(text)) <= 82
    assert shown(text).isprintable()
    return " ".join(_check_below(text, base) for base in BASES)


def _check_below(text, base):
    uri = _read(text, base)
    if uri is None:
        assert _read(bare(text), base) is None, "what is refused is refused also without its password"
        return "refused"
    assert len(uri) <= MAX_CHARACTERS
    assert uri.startswith(("file:///", "s3://"))
    assert not {"", ".", ".."} & set(uri.partition(":///" if uri[0] == "f" else "://")[2].split("/")) - {""}
    assert all(canonical_uri(uri, other) == uri for other in (base, BASES[0])), "a spelling is its own"
    assert bare(uri) == uri, "a URI that is read has nothing to hide"
    return "allowed" if _is_allowed(uri) else "read"


def _read(text, base):
    try:
        return canonical_uri(text, base)
    except PairError as error:
        refusal(error, {Reason.INPUT_FORBIDDEN})
        return None


def _is_allowed(uri):
    try:
        ROOTS.check(uri)
    except PairError as error:
        refusal(error, {Reason.INPUT_FORBIDDEN})
        return False
    real = f"file://{os.path.realpath(uri[7:])}" if uri.startswith("file:") else uri
    assert any(f"{real}/".startswith(f"{base}/") for base in BASES), "what is allowed lies below a root"
    return True
