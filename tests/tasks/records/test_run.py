from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tasks.records.run import Job, Options, new_run_id
from tasks.records.texts import night_of
from tasks.rerun import RerunJob


def test_run_ids_sort_by_time():
    moments = [datetime(2026, 3, 1, 23, 59, 59, 999_000, UTC), datetime(2026, 3, 2, tzinfo=UTC)]
    ids = [new_run_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert ids[0].startswith("20260301T235959999-")


def test_the_night_is_dated_in_its_own_time_zone():
    moment = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    assert str(night_of(moment, "UTC")) == "2026-07-01"
    assert str(night_of(moment, "Europe/Berlin")) == "2026-07-02"


@pytest.mark.parametrize(
    "values", [{"shard_pairs": 0}, {"device": "gpu"}, {"max_failures": "half"}, {"timezone": "Mars/Base"}, {"typo": 1}]
)
def test_a_wrong_option_is_refused(values):
    with pytest.raises(ValidationError):
        Options(**values)


def test_the_form_of_a_job_carries_bounds_and_descriptions():
    properties = Job.model_json_schema()["$defs"]["Parameters"]["properties"]
    assert properties["content_weight"]["minimum"] == 0
    assert properties["content_weight"]["description"].endswith("[0 to 1000]")
    assert properties["widths"]["description"].endswith("[each 1 to 256]")
    assert properties["max_seconds"]["description"].endswith("[more than 0 to 36000]")


@pytest.mark.parametrize("form", [Job, RerunJob])
def test_every_field_of_a_form_is_described_and_named_as_flags_and_columns_name_it(form):
    schema = form.model_json_schema()
    models = [schema, *(m for m in schema["$defs"].values() if "properties" in m)]
    for name, field in [found for model in models for found in model["properties"].items()]:
        assert field["title"] == name
        assert field.get("description"), name
