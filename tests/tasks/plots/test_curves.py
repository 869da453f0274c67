"""Curves are put beside the rows that they belong to."""

from datetime import UTC, datetime

from tasks.plots import with_curves
from tasks.records.tombstone import Tombstone


def test_each_row_gets_the_curves_of_its_own_attempt_in_any_order(night):
    rows = with_curves(night.standing()).set_index("pair_id")
    assert rows.loc["p0", "style"] == rows.loc["p0", "total"]
    assert len(rows.loc["p1", "style"]) == 208
    assert rows.loc["p2", "style"] is None
    backwards = with_curves(night.standing().iloc[::-1]).set_index("pair_id")
    assert backwards["picture_style"].map(bool).to_dict() == {"p0": True, "p1": True, "p2": False}


def test_a_pair_that_an_older_attempt_serves_has_that_ones_curves(night):
    rows = night.standing()
    rows.loc[0, ["run_id", "manifest_row", "served_by"]] = ["r7", 70, "r1/0"]
    assert len(with_curves(rows).loc[0, "style"]) == 208


def test_what_was_withdrawn_is_not_drawn_whatever_the_rows_say(night):
    rows = night.standing()
    withdraw(night, rows.loc[0, "style_uri"])
    found = with_curves(rows)
    assert found["picture_result"].map(bool).tolist() == [False, True, False]
    assert found["style"].map(bool).tolist() == [False, True, False]


def withdraw(night, uri):
    stone = Tombstone(
        uri=uri, sha256=(), withdrawn_at=datetime.now(UTC), host="h", command="gramophone withdraw", outputs=1,
        reason="<b>ended</b>",
    )  # fmt: skip
    night.store.create(night.layout.tombstone("0"), stone.model_dump_json().encode())
