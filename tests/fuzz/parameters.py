"""Whatever stands in a row's `params`: parameters of one spelling, or every problem in words."""

import json

from hypothesis import strategies as st

from tasks.overrides import ParamsInvalid, resolve
from tasks.records.parameters import Parameters

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
LIKELY = st.sampled_from([0, 1, 0.5, 64, 256, 2_048, 44_100, "", "vgg", "s3://user:secret@music/k", [2, 8], "a" * 64])
NAMES = st.sampled_from(sorted(Parameters.model_fields)) | st.text(max_size=9)
OBJECTS = st.dictionaries(NAMES, LIKELY | ANYTHING, max_size=5)
DEEP = st.integers(0, 1_200).map(lambda depth: f'{{"seed": {"[" * depth}{"]" * depth}}}')
TEXTS = (
    OBJECTS.map(json.dumps)
    | OBJECTS.map(lambda found: json.dumps(found, ensure_ascii=False))
    | st.text()
    | DEEP
    | st.sampled_from(['{"seed": 1e999}', f'{{"seed": {"9" * 5_000}}}', '{"seed": 1, "seed": 2}', '{"\\ud800": 1}'])
)


def check(text, seed):
    """The `params` and the `seed` of a row. Returns what came of it."""
    try:
        params = resolve(Parameters(), text, seed)
    except ParamsInvalid as error:
        return _refused(error.problems)
    assert Parameters.model_validate_json(params.canonical_json()) == params
    assert resolve(Parameters(), params.canonical_json(), params.seed) == params
    return "taken"


def _refused(problems):
    assert problems
    for value, why, remedy in problems:
        assert all(part and part.isprintable() for part in (value, why, remedy))
        assert len(value) <= 200
        assert "secret" not in value
    return "refused"
