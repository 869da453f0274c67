"""Every way in which parameters have been found to be wrong, by number: as cells of a row, or as options of a run."""

import json
from math import inf, nan

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.config import settle
from tasks.manifest import read_manifest
from tasks.records.parameters import Parameters
from tasks.records.reasons import Reason, UsageError
from tasks.store import open_store
from tasks.transfer.spectrogram import window_of

FINITE = [name for name, field in Parameters.model_fields.items() if field.annotation is float]
WRONG = {  # number and name: the parameters of a row, the one that is named, words of the message
    "1 a negative weight": ({"content_weight": -1}, "content_weight -1", "greater than or equal to 0"),
    **{f"1 {name} that is no number": ({name: nan}, f"{name} nan", "should be") for name in FINITE},
    **{f"1 an endless {name}": ({name: inf}, f"{name} inf", "should be") for name in FINITE},
    "2 negative evaluations": ({"spectrogram_evaluations": -1}, "spectrogram_evaluations -1", "equal to 0"),
    "2 a million evaluations": ({"refine_evaluations": 10**6}, "refine_evaluations 1000000", "equal to 10000"),
    "3 a negative window": ({"n_fft": -1}, "n_fft -1", "should be"),
    "5 a negative step": ({"n_fft": 1024, "hop_length": -1}, "hop_length -1", "greater than or equal to 0"),
    "6 a step longer than the window": ({"n_fft": 1024, "hop_length": 2048}, "hop_length 2048", "is not a quarter"),
    "6 a step that does not overlap": ({"n_fft": 1024, "hop_length": 1024}, "hop_length 1024", "is not a quarter"),
    "8 a window of its own length": ({"win_length": 4096}, "win_length", "did you mean 'hop_length'?"),
    "8 a window of one sample": ({"n_fft": 1}, "n_fft 1", "should be"),
    "9 a million filters": ({"filters": 10**6}, "filters 1000000", "less than or equal to 16384"),
    "9 wide patches": ({"widths": [10**6]}, "widths.0 1000000", "less than or equal to 256"),
    "9 a bank that no memory holds": (
        {"features": "conv", "widths": [256], "filters": 16_384, "n_fft": 32_768},
        "16,384 filters, 256 frames wide",
        "take 274,895 MB with an n_fft of 32,768; at most 2,000 MB: lower filters, widths or n_fft",
    ),
    "10 a learning rate": ({"learning_rate": 1e9}, "learning_rate", "is not a parameter"),
    "11 a seed beyond 63 bits": ({"seed": 2**63}, f"seed {2**63}", "less than"),
    "11 a seed that is no whole number": ({"seed": 1.5}, "seed 1.5", "valid integer"),
    "11 a seed that is null": ({"seed": None}, "seed null", "valid integer"),
    "13 a slip of the pen": ({"contnet_weight": 1}, "contnet_weight", "did you mean 'content_weight'?"),
    "14 a number as text": ({"strength": "0.5"}, "strength '0.5'", "valid number"),
    "14 a truth as a whole number": ({"n_fft": True}, "n_fft True", "valid integer"),
    "14 a truth as a number": ({"strength": True}, "strength True", "valid number"),
    "14 a truth in a list": ({"widths": [2, True]}, "widths.1 True", "valid integer"),
    "15 a format that is not written": ({"audio_format": "aac"}, "audio_format 'aac'", "'flac', 'wav', 'ogg' or 'mp3'"),
    "15 a rate that is not written": ({"sample_rate": 4_000}, "sample_rate 4000", "0 or greater than or equal to 8000"),
}
TEXTS = {  # cells that are no parameters at all
    "no JSON": ("{", "is not JSON"),
    "a list": ("[1]", "is not a JSON object"),
    "brackets without end": ("[" * 30_000, "is not JSON"),
    "braces without end": ('{"a":' * 10_000, "is not JSON"),
    "a number of 5,000 digits": ('{"seed": ' + "9" * 5_000 + "}", "is not JSON"),
    "half a character": ('{"audio_format": "\\ud800"}', "params"),
}
RIGHT = {  # what only looks odd
    "2 no evaluations": {"refine_evaluations": 0},
    "3 the window of the content's rate": {"n_fft": 0},
    "4 a window that is no power of two": {"n_fft": 1_000},
    "5 the step of the window": {"n_fft": 1_024, "hop_length": 0},
}
RIGHT |= {
    f"9 the published bank at {rate} Hz": {"features": "conv", "widths": [11], "n_fft": window_of(rate)}
    for rate in (8_000, 44_100, 192_000)
}
RUN = {  # options of a run: flag, words of the message
    "12 no pairs in a shard": ({"shard_pairs": 0}, "shard_pairs 0: input should be greater than or equal to 1"),
    "12 a million pairs in a shard": ({"shard_pairs": 10**6}, "shard_pairs 1000000: input should be less than"),
    "12 more memory than a machine has": ({"batch_mb": 10**7}, "batch_mb 10000000: input should be less than"),
}
ELSEWHERE = {7}  # tests/tasks/test_bad_inputs.py: an input shorter than a window


@pytest.fixture
def faults(tmp_path):
    """What is found wrong with a row that has these parameters, between two that are right."""

    def read(text):
        row = {"content_uri": "a.wav", "style_uri": "b.wav", "params": None}
        rows = [row | {"pair_id": "a"}, row | {"pair_id": "b", "params": text}, row | {"pair_id": "c"}]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
        uri = f"file://{tmp_path}/m.parquet"
        pairs = list(read_manifest(open_store(uri), uri, Parameters()).pairs(Parameters()))
        assert not pairs[0].faults
        assert not pairs[2].faults
        return pairs[1]

    return read


def test_every_number_is_here():
    assert {int(name.split()[0]) for name in (*WRONG, *RIGHT, *RUN)} | ELSEWHERE == set(range(1, 16))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_parameter_fails_its_row_alone_by_its_name_and_bound(faults, name):
    values, named, words = WRONG[name]
    error = faults(json.dumps(values)).error()
    assert error.reason is Reason.PARAMS_INVALID
    assert named in error.message
    assert words in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_parameters_fails_its_row_alone(faults, name):
    text, words = TEXTS[name]
    error = faults(text).error()
    assert error.reason is Reason.PARAMS_INVALID
    assert words in error.message
    assert len(error.message) < 400


def test_of_many_problems_some_are_named_and_the_others_counted(faults):
    message = faults(json.dumps({f"k{number}": 1 for number in range(3_000)} | {"seed": -1})).error().message
    assert "seed -1" in message
    assert "k4: is not a parameter" in message
    assert "2,995 more: are not parameters; `gramophone run --help` lists the parameters" in message
    assert len(message) < 1_000
    message = faults(json.dumps({"widths": ["a"] * 5_000})).error().message
    assert "widths: has 4,996 more problems" in message
    assert len(message) < 1_000


@pytest.mark.parametrize("name", RIGHT)
def test_what_only_looks_odd_is_taken(faults, name):
    assert faults(json.dumps(RIGHT[name])).error() is None


@pytest.mark.parametrize("name", RUN)
def test_a_wrong_option_of_a_run_is_told_before_anything_is_read(tmp_path, name):
    flags, words = RUN[name]
    with pytest.raises(UsageError) as caught:
        settle(flags, {}, tmp_path / "none.toml")
    assert words in str(caught.value)


@pytest.mark.parametrize("weight", [nan, inf, 0.0, -1.0])
def test_1_a_weight_of_a_style_that_weighs_nothing_or_is_no_number_fails_its_row(tmp_path, weight):
    row = {"pair_id": "a", "content_uri": "a.wav", "styles": [{"uri": "b.wav", "weight": weight}]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "m.parquet")
    uri = f"file://{tmp_path}/m.parquet"
    [fault] = read_manifest(open_store(uri), uri, Parameters()).all_faults()
    assert (fault.column, fault.reason) == ("styles", Reason.ROW_INVALID)
    assert f"weight {weight}" in fault.value
