import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.overrides import ParamsInvalid, checked, resolve
from tasks.records.parameters import Parameters, canonical_json
from tests.fuzz import parameters


def test_the_hash_does_not_depend_on_the_order_in_which_parameters_are_given():
    one = checked({"content_weight": 0.5, "widths": [8, 2]})
    other = checked({"widths": [2, 8], "content_weight": 0.5})
    assert one.sha256() == other.sha256()


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.booleans(), st.none())))
def test_canonical_json_is_one_spelling_that_reads_back(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(dict(reversed(list(value.items())))) == text


def test_parameters_read_back_from_their_own_json():
    params = checked({"widths": [3, 11], "content_weight": 0.25, "seed": 2**62})
    assert Parameters.model_validate_json(params.canonical_json()) == params


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"n_fft": 2048.5}, "valid integer"),
        ({"hop_length": 512}, "needs an n_fft"),
        ({"n_fft": 2048, "hop_length": 1024}, "is not a quarter"),
        ({"n_fft": 2048, "hop_length": 500}, "is not a quarter"),
        ({"n_fft": 258}, "has no quarter"),
        ({"segment_seconds": 4.0, "overlap_seconds": 1.0}, "more than a fifth"),
        ({"strength": 1.5}, "less than or equal to 1"),
        ({"widths": []}, "at least 1"),
        ({"widths": [2, 2]}, "names a width twice"),
        ({"widths": [0]}, "greater than or equal to 1"),
        ({"features": "conv"}, "takes one width"),
        ({"features": "vgg19"}, "'kernel', 'conv' or 'vgg'"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_bound(values, word):
    with pytest.raises(ParamsInvalid) as caught:
        checked(values)
    assert word in str(caught.value)


def test_every_problem_is_named_at_once():
    with pytest.raises(ParamsInvalid) as caught:
        checked({"content_weight": -1, "n_fft": 2, "nonsense": 2})
    assert {value.split()[0] for value, _, _ in caught.value.problems} == {"content_weight", "n_fft", "nonsense"}


def test_a_row_overrides_single_parameters_and_keeps_the_rest():
    base = checked({"content_weight": 0.5, "phase_iterations": 8})
    params = resolve(base, '{"content_weight": 1}', seed=7)
    assert (params.content_weight, params.phase_iterations, params.seed) == (1.0, 8, 7)


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"seed": 3}'])
def test_a_row_whose_params_are_no_object_or_contradict_its_seed_is_refused(text):
    with pytest.raises(ParamsInvalid):
        resolve(Parameters(), text, seed=4)


@settings(max_examples=200, deadline=None)
@given(parameters.TEXTS, st.none() | st.integers(0, 2**64))
@example('{"": 0}', None)
@example('{"\\u001b[31m": 0}', None)
@example('{"seed": "\\u001b[31m"}', 1)
def test_whatever_the_params_of_a_row_are_they_are_taken_or_refused_in_words(text, seed):
    parameters.check(text, seed)


def test_infinity_and_nan_are_no_parameters():
    with pytest.raises(ValidationError):
        Parameters(content_weight=float("nan"))
