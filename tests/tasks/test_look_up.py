from tasks.look_up import look_up
from tasks.records.pair import Fault
from tasks.records.reasons import Reason
from tasks.roots import Roots
from tests.tasks.pairs import pairs_of, row


def test_inputs_are_looked_up_and_those_outside_the_roots_are_refused(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.wav").write_bytes(b"123")
    (inside / "link.wav").symlink_to(outside / "a.wav")
    places = [inside / "a.wav", inside / "b.wav", outside / "a.wav", inside / "link.wav"]
    rows = [row(n, content_uri=f"file://{path}", style_uri=f"file://{inside}/a.wav") for n, path in enumerate(places)]
    good, missing, bad, linked = look_up(pairs_of(*rows), Roots.resolve([f"file://{inside}"]))
    assert good.content.etag.startswith("3-")
    assert good.style.etag == good.content.etag
    assert not missing.faults
    assert missing.content.etag is None
    assert bad.error().reason is Reason.INPUT_FORBIDDEN
    assert linked.error().reason is Reason.INPUT_FORBIDDEN


def test_each_style_of_a_list_is_looked_up_and_may_be_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"123")
    near, far = f"file://{tmp_path}/a.wav", "file:///elsewhere/a.wav"
    rows = [
        row(n, content_uri=near, style_uri=None, styles=[{"uri": near}, {"uri": uri}])
        for n, uri in enumerate((near, far))
    ]
    good, bad = look_up(pairs_of(*rows), Roots.resolve([f"file://{tmp_path}"]))
    assert [one.etag is not None for one in good.inputs] == [True, True, True]
    assert [fault.column for fault in bad.faults] == ["style_uri"]


def test_what_a_faulty_row_names_is_not_looked_at(tmp_path):
    near = f"file://{tmp_path}/a.wav"
    rows = [row(0, content_uri=near, style_uri=near), row(1, content_uri="http://odd/", style_uri=near)]
    given = pairs_of(*rows)
    given.faults[1] = [Fault(1, "content_uri", "", Reason.INPUT_FORBIDDEN, "is odd", "mend it")]
    good, bad = look_up(given, Roots.resolve([f"file://{tmp_path}"]))
    assert not good.faults
    assert [fault.why for fault in bad.faults] == ["is odd"]


def test_an_empty_list_of_styles_is_none(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"123")
    near, far = f"file://{tmp_path}/a.wav", "file:///elsewhere/a.wav"
    rows = [row(n, content_uri=near, style_uri=uri, styles=[]) for n, uri in enumerate((near, far))]
    good, bad = look_up(pairs_of(*rows), Roots.resolve([f"file://{tmp_path}"]))
    assert good.style.etag == good.content.etag
    assert good.plan_key() is not None
    assert bad.error().reason is Reason.INPUT_FORBIDDEN
