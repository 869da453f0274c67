"""The commands of the page, copied by a click: to the clipboard, or marked where the browser gives none."""

import pytest

from tasks.report import write_report
from tests.browser import NEEDED
from tests.tasks.report.test_write import Night, failed

pytestmark = NEEDED
MARKED = "getSelection().toString()"


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """The page of a run whose one pair failed, under a root with a space in its name."""
    root = f"file://{tmp_path_factory.mktemp('night')}/my root"
    night = Night(root, 1)
    night.commit([failed(0, "it is broken")])
    return write_report(night.store, night.layout), f"gramophone rerun r1 --root '{root}'"


@pytest.fixture
def tab(chromium, night):
    context = chromium.new_context()
    tab = context.new_page()
    tab.goto(night[0])
    yield tab
    context.close()


@pytest.mark.parametrize("where", ["the list of failures", "the pair"])
def test_a_click_copies_the_command_as_it_is_typed(tab, night, where):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    place = tab.locator("#failures + .scroll .command")
    if where == "the pair":
        tab.get_by_role("button", name="p0", exact=True).click()
        place = tab.locator("#pair .command")
    place.get_by_role("button", name="copy").click()
    place.get_by_role("button", name="copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == night[1]


def test_without_a_clipboard_the_command_is_marked(tab, night):
    tab.context.grant_permissions(["geolocation"])  # and no other
    tab.locator(".command").first.get_by_role("button", name="copy").click()
    tab.get_by_role("button", name="marked").wait_for(timeout=8_000)
    assert tab.evaluate(MARKED) == night[1]
