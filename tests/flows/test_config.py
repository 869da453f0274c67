import os

import pytest

from flows.config import settle
from tasks.records.reasons import UsageError


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path):
    file = tmp_path / "gramophone.toml"
    file.write_text('content_weight = 0.1\nshard_pairs = 2\nroot = "there"\nwidths = [4]\n')
    environment = {"GRAMOPHONE_CONTENT_WEIGHT": "0.2", "GRAMOPHONE_SHARD_PAIRS": "3", "PATH": "/bin"}
    settings = settle({"content_weight": 0.3, "seed": None}, environment, file)
    assert settings.parameters.content_weight == 0.3
    assert settings.options.shard_pairs == 3
    assert settings.root == "there"
    assert settings.parameters.widths == (4,)
    assert settings.parameters.seed == 0
    assert settings.origins == {
        "content_weight": "flag", "shard_pairs": "environment", "root": str(file), "widths": str(file),
    }  # fmt: skip


def test_lists_and_booleans_are_read_from_the_environment(tmp_path):
    environment = {"GRAMOPHONE_WIDTHS": "8, 2", "GRAMOPHONE_FORCE": "true", "GRAMOPHONE_MAX_FAILURES": "5"}
    settings = settle({}, environment, tmp_path / "none")
    assert settings.parameters.widths == (2, 8)
    assert settings.options.force
    assert settings.options.max_failures == "5"


def test_where_buckets_are_is_told_to_every_process_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMOPHONE_S3_ENDPOINT", "https://before.example.org")
    file = tmp_path / "gramophone.toml"
    file.write_text('s3_endpoint = "https://s3.example.org"\n')
    settle({}, {}, file)
    assert os.environ["GRAMOPHONE_S3_ENDPOINT"] == "https://s3.example.org"


@pytest.mark.parametrize(
    ("flags", "environment", "text", "words"),
    [
        ({"content_weight": -1.0}, {}, "", "greater than or equal to 0"),
        ({}, {"GRAMOPHONE_N_FFT": "12"}, "", "n_fft 12 (from environment)"),
        ({}, {"GRAMOPHONE_CONTNET_WEIGHT": "1"}, "", "did you mean content_weight?"),
        ({}, {}, "shard_pair = 3", "did you mean shard_pairs?"),
        ({}, {}, "shard_pairs = 0", "gramophone.toml"),
        ({}, {}, "zq = 3", "zq is not a setting"),
        ({}, {}, "zq = 3", "`gramophone run --help` lists them"),
        ({}, {}, "shard_pairs = ", "is not TOML"),
        ({}, {}, "shard_pairs = ", "write lines such as content_weight = 0.1."),
        ({"timezone": "Moon"}, {}, "", "is not a time zone"),
        ({"device": "gpu"}, {}, "", "device 'gpu': is none of: auto (every GPU, else the CPU), cpu, cuda or cuda:N"),
    ],
)
def test_what_is_wrong_is_named_with_where_it_came_from(tmp_path, flags, environment, text, words):
    file = tmp_path / "gramophone.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        settle(flags, environment, file)
    assert words in str(caught.value)
