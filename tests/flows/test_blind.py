"""A blind comparison as a listener has it: in a real browser, with a real server, the votes in parquet."""

import json
import signal
from contextlib import contextmanager

import pandas as pd
import pytest

from tests.browser import NEEDED, hard_to_read

pytestmark = NEEDED
LEVELS = """Object.entries(blind.player.audios).map(([name, audio]) =>
  blind.player.sounds[name].lufs + 20 * Math.log10(audio.volume))"""


@pytest.fixture(scope="module")
def night(desk):
    """One content and style at two strengths."""
    desk.clip("tune", 3.0, "marimba")
    desk.clip("texture", 2.0, "bells")
    rows = [
        {"pair_id": f"s{value}", "content_uri": "tune.wav", "style_uri": "texture.wav", "content_start": 0.5,
         "params": json.dumps({"strength": value})} for value in (0.2, 1.0)
    ]  # fmt: skip
    said = desk.ask("run", desk.manifest(rows), "--json")
    assert said.code == 0, said.err
    return said.json["run_id"]


@contextmanager
def booth(desk, chromium, *arguments, **size):
    """The page of a blind comparison, open in the browser, and its server."""
    server = desk.start("listen", *arguments, "--no-open")
    address = server.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:"), server.stderr.read() if server.poll() is not None else address
    tab = chromium.new_page(**size)
    tab.complaints = []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.goto(address)
    try:
        yield tab
    finally:
        tab.close()
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert tab.complaints == []


def hear(tab, *keys):
    """Listen to each for a moment: until it has been heard."""
    for key in keys:
        tab.keyboard.press(key)
        name = {"q": "content", "w": "style"}.get(key, key.upper())
        tab.wait_for_function(f"() => blind.player.current === '{name}' && !blind.player.audios['{name}'].paused")
        tab.wait_for_function(f"() => blind.heard['{name}'] > 0.1")


def votes(desk):
    return pd.read_parquet(f"{desk.root}/votes")


def test_which_of_two_is_better_is_asked_heard_and_kept(desk, chromium, night):
    with booth(desk, chromium, night, "--blind", "ab", "--listener", "ann") as tab:
        tab.get_by_role("button", name="begin").click()
        better = tab.get_by_role("button", name="A is better")
        assert better.is_disabled(), "nobody judges what they have not heard"
        tab.keyboard.press("1")
        hear(tab, "q", "w", "a", "b")
        levels = tab.evaluate(LEVELS)
        assert max(levels) - min(levels) < 0.01, "equally loud"
        page = tab.content()
        assert night not in page.replace(f"--run {night}", "")
        assert "strength" not in page, "nothing tells which is which"
        assert not [name for name in ("s0.2", "s1.0", ".flac") if name in page]
        better.click()
        tab.get_by_role("heading", name="Thank you").wait_for()
        tab.locator("#revealed tbody tr").first.wait_for()
        told = tab.locator("#revealed").inner_text()
    kept = votes(desk)
    assert set(kept["listener"]) == {"ann"}
    assert set(kept["kind"]) == {"ab"}
    scores = dict(zip(kept["letter"], kept["score"], strict=True))
    assert scores == {"A": 1.0, "B": 0.0}
    assert (kept["seconds_heard"] > 0).all()
    winner = kept.loc[kept["score"] == 1.0].iloc[0]
    assert f"A\t{winner['condition']}\t{winner['pair_id']}\tbetter" in told
    results = pd.read_parquet(f"{desk.root}/results")
    row = results[results["manifest_row"] == winner["manifest_row"]].iloc[0]
    assert f"strength={json.loads(row['params'])['strength']}" == winner["condition"]


def test_several_are_rated_beside_a_hidden_reference(desk, chromium, night):
    with booth(desk, chromium, night, "--blind", "mushra", "--aspect", "content") as tab:
        tab.get_by_role("button", name="begin").click()
        letters = tab.locator("[data-rating]")
        assert letters.count() == 4, "two outputs, the reference and the anchor"
        go_on = tab.get_by_role("button", name="go on")
        hear(tab, "a", "b", "c", "d")
        for n in range(3):
            letters.nth(n).fill(str(20 * n + 10))
            assert go_on.is_disabled()
        letters.nth(3).fill("100")
        go_on.click()
        tab.get_by_role("heading", name="Thank you").wait_for()
    kept = votes(desk)
    rated = kept[kept["aspect"] == "content"]
    assert dict(zip(rated["letter"], rated["score"], strict=True)) == {"A": 10, "B": 30, "C": 50, "D": 100}
    assert sorted(rated["role"]) == ["anchor", "output", "output", "reference"]
    assert rated["listener"].isna().all()
    told = desk.ask("metrics", "--votes", "--json").json
    [recognised] = rated.loc[rated["role"] == "reference", "score"] >= 90
    assert told["left_out"] == ([] if recognised else [rated["session"].iloc[0]])
    assert len(told["ratings"]) == (4 if recognised else 0)


def test_switching_keeps_the_position_and_a_vote_that_is_not_kept_is_not_lost(desk, chromium, night):
    with booth(desk, chromium, night, "--blind", "ab", "--seed", "3", viewport={"width": 390, "height": 844}) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "on a phone"
        tab.get_by_role("button", name="begin").click()
        hear(tab, "a")
        tab.wait_for_function("() => blind.player.position() > 0.7")
        then = tab.evaluate("blind.player.position()")
        tab.keyboard.press("b")
        assert tab.evaluate("blind.player.position()") - then == pytest.approx(0, abs=0.4)
        hear(tab, "b")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.route("**/vote", lambda route: route.abort())
        tab.keyboard.press("2")
        tab.get_by_text("Your vote is still here: try again").wait_for()
        tab.unroute("**/vote")
        tab.keyboard.press("2")
        tab.get_by_role("heading", name="Thank you").wait_for()
        tab.complaints[:] = [text for text in tab.complaints if "ERR_FAILED" not in text]  # the one that was cut


def test_a_shorter_sound_goes_round_and_the_clock_tells_no_length(desk, chromium, night):
    """The style lasts 2 s and the outputs 2.5 s: the hidden reference would be known by its end."""
    with booth(desk, chromium, night, "--blind", "mushra", "--aspect", "style", "--seed", "5") as tab:
        tab.get_by_role("button", name="begin").click()
        shown = set()
        for key in "abcd":
            hear(tab, key)
            tab.evaluate("blind.player.pause()")
            tab.evaluate("blind.player.seek(2.2)")
            assert tab.evaluate("blind.player.position()") == pytest.approx(2.2, abs=0.05)
            shown.add(tab.locator(".transport output").inner_text())
            tab.evaluate("blind.player.start()")
            tab.wait_for_function("() => blind.player.position() > 2.3 || !blind.player.playing")
            tab.evaluate("blind.player.pause()")
        assert shown == {"0:02 / 0:02"}
        lengths = tab.evaluate("[...'ABCD'].map((name) => blind.player.audios[name].duration)")
        assert min(lengths) < 2.1, "one of them is shorter"


def test_enter_goes_on_from_the_slider_that_was_moved_last(desk, chromium, night):
    with booth(desk, chromium, night, "--blind", "mushra") as tab:
        tab.get_by_role("button", name="begin").click()
        hear(tab, "a", "b", "c", "d")
        for n in range(4):
            tab.locator("[data-rating]").nth(n).press("End")
        tab.keyboard.press("Enter")
        tab.get_by_role("heading", name="Thank you").wait_for()


def test_two_who_listen_have_sessions_of_their_own(desk, chromium, night):
    def sessions():
        return {vote["session"] for vote in desk.ask("metrics", "--votes", "--json").json["votes"]}

    before = sessions()
    with booth(desk, chromium, night, "--blind", "ab") as tab:
        other = chromium.new_page()
        other.goto(tab.url.rsplit("/", 2)[0])
        for page in (tab, other):
            page.bring_to_front()  # a browser draws only what is seen
            page.get_by_role("button", name="begin").click()
            hear(page, "a", "b")
            page.keyboard.press("2")
            page.get_by_role("heading", name="Thank you").wait_for()
        other.close()
    assert len(sessions() - before) == 2


def test_what_cannot_be_compared_says_what_can(desk, night):
    for arguments, words in (
        (("--blind", "mushra", "--against", "nobody"), "no run nobody"),
        (("--aspect", "style"), "go with --blind"),
        (("--blind", "ab", "--aspect", "style"), "--aspect goes with --blind mushra"),
    ):
        said = desk.ask("listen", night, "--no-open", *arguments)
        assert said.code == 2
        assert words in said.err


def test_the_votes_are_counted_and_asked_in_sql(desk, night):
    told, kept = desk.ask("metrics", "--votes", "--json").json, votes(desk)
    assert sum(one["votes"] for one in told["preferences"]) == (kept["kind"] == "ab").sum() / 2
    assert len(told["votes"]) == len(kept)
    joined = "select v.score, r.strength_loss from votes v join results r using (run_id, manifest_row)"
    assert "strength_loss" in desk.ask("metrics", "--votes", "--sql", joined).err
    rows = desk.ask("metrics", "--votes", "--sql", joined.replace("strength_loss", "style_loss"), "--json").json
    assert len(rows) == len(kept)
    assert "which of two is preferred" in desk.ask("metrics", "--votes").out
    assert desk.ask("verify").code == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["ab", "mushra"])
def test_its_text_can_be_read_by_day_and_by_night(desk, chromium, night, kind, scheme):
    with booth(desk, chromium, night, "--blind", kind, color_scheme=scheme) as tab:
        assert hard_to_read(tab, ".mark", "h1", "#begin p", "#begin .quiet", ".name", "#start") == []
        tab.get_by_role("button", name="begin").click()
        hear(tab, *("ab" if kind == "ab" else "abcd"))
        parts = [".verdicts button"] if kind == "ab" else [".scale span", ".rating output"]
        pressed = ".letters button[aria-pressed=true]" if kind == "ab" else ".rating button[aria-pressed=true]"
        assert hard_to_read(tab, "#trial .quiet", ".transport output", ".play", ".sounds small", pressed, *parts) == []
