"""Curves as they are read back."""

from tasks.curves import read_curves
from tests.tasks.report.test_write import Night, done


def test_of_a_file_of_curves_only_what_is_asked_for_is_held(store_root):
    night = Night(store_root, 30)
    night.commit([done(row, store_root) for row in range(30)])
    uris = [uri for uri, _ in night.store.list(night.layout.all_curves())]
    every, some = read_curves(uris), read_curves(uris, ["r1/7", "r1/21", "r2/0"])
    assert len(every) == 30
    assert some == {name: every[name] for name in ("r1/7", "r1/21")}
    assert read_curves(uris, []) == {}
