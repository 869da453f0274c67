"""The page of a run as a person has it before them: in a real browser, from the folder in which it lies."""

import math
import signal

import pytest
import soundfile
import torch

from tasks.clips import synthesise
from tasks.transfer import quality
from tests.browser import NEEDED, hard_to_read

pytestmark = NEEDED
VOLUMES = "Object.fromEntries(Object.entries(gramophone.player.audios).map(([name, audio]) => [name, audio.volume]))"
LOUDNESS = "Object.fromEntries(Object.entries(gramophone.player.sounds).map(([name, sound]) => [name, sound.lufs]))"
POSITION = "gramophone.player.position()"
CURRENT = "gramophone.player.current"
PLAYING = "Object.values(gramophone.player.audios).map((audio) => !audio.paused)"


@pytest.fixture(scope="module")
def night(desk):
    """Two pairs that are done, with a quiet style, and one that failed."""
    desk.clip("tune", 4.0, "marimba")
    soundfile.write(desk.folder / "texture.ogg", 0.4 * synthesise("bells", 3.0, 8_000), 8_000)
    rows = [
        {"pair_id": "gone", "content_uri": "gone.wav", "style_uri": "texture.ogg"},
        {"pair_id": "one", "content_uri": "tune.wav", "style_uri": "texture.ogg"},
        {"pair_id": "two", "content_uri": "tune.wav", "style_uri": "texture.ogg", "params": '{"strength": 0.5}'},
    ]
    said = desk.ask("run", desk.manifest(rows), "--json")
    assert said.code == 1, said.err
    root = desk.folder / "root/runs" / said.json["run_id"]
    return {"page": f"file://{root}/report.html", "run": said.json["run_id"]}


@pytest.fixture
def page(chromium, night):
    tab = chromium.new_page(viewport={"width": 1_280, "height": 900})
    tab.complaints, tab.asked = [], []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(night["page"])
    yield tab
    assert tab.complaints == []
    tab.close()


def opened(page, name):
    page.get_by_role("button", name=name, exact=True).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def playing(page, source):
    """Wait until a source is heard: the position moves, be it for the last tenth of a second."""
    page.evaluate("window.before = undefined")
    page.wait_for_function(
        f"""() => {{
            const heard = {CURRENT} === '{source}' && !gramophone.player.audios['{source}'].paused
            const before = window.before
            window.before = heard ? {POSITION} : undefined
            return heard && before !== undefined && window.before > before
        }}"""
    )


def test_the_verdict_and_what_to_do_are_what_one_sees_first(page, night):
    assert page.locator(".verdict").inner_text() == "2 of 3 pairs done; 1 failed"
    assert page.locator("#failures + .scroll td").first.inner_text() == "input_missing"
    assert f"gramophone rerun {night['run']}" in page.locator(".command").first.inner_text()


def test_no_sound_is_asked_for_until_somebody_plays_it(page):
    opened(page, "one")
    assert page.evaluate(PLAYING) == [False, False, False]
    assert not [url for url in page.asked if url.endswith((".wav", ".ogg", ".flac"))]
    assert {url.split(":")[0] for url in page.asked} <= {"file", "data"}, "nor anything of another host"
    page.keyboard.press("Space")
    playing(page, "result")
    assert [url for url in page.asked if url.endswith(".flac")]


def test_each_source_plays_and_switching_keeps_the_position(page):
    opened(page, "one")
    page.keyboard.press("Space")
    for key, source in (("1", "content"), ("2", "style"), ("3", "result")):
        then = page.evaluate(POSITION)
        page.keyboard.press(key)
        now = page.evaluate(POSITION)
        assert now - then == pytest.approx(0, abs=0.4), "what has passed between two questions, and not from the start"
        playing(page, source)
        assert sum(page.evaluate(PLAYING)) == 1
    page.keyboard.press("Space")
    assert not any(page.evaluate(PLAYING))


def test_a_place_is_chosen_by_key_slider_and_picture(page):
    opened(page, "one")
    page.keyboard.press("Space")
    playing(page, "result")
    page.keyboard.press("Space")
    page.get_by_role("slider").fill("3")
    assert page.evaluate(POSITION) == pytest.approx(3, abs=0.05)
    page.keyboard.press("Escape")
    page.locator("h3").click()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(POSITION) == 0
    box = page.locator(".picture").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 10)
    assert page.evaluate(CURRENT) == "content"
    assert page.evaluate(POSITION) == pytest.approx(1, abs=0.1)


def test_the_three_are_equally_loud_unless_one_wants_them_as_they_are(page):
    opened(page, "one")
    said = page.evaluate(LOUDNESS)
    heard = {name: said[name] + 20 * math.log10(volume) for name, volume in page.evaluate(VOLUMES).items()}
    assert max(heard.values()) - min(heard.values()) < 0.01
    assert max(said.values()) - min(said.values()) > 0.5, "they are not so by themselves"
    page.keyboard.press("l")
    assert set(page.evaluate(VOLUMES).values()) == {1}


def test_the_loudness_that_the_page_goes_by_is_that_of_the_sounds(page, desk):
    opened(page, "one")
    for name, lufs in page.evaluate(LOUDNESS).items():
        uri = page.evaluate(f"gramophone.player.sounds['{name}'].uri")
        sound, rate = soundfile.read(uri.removeprefix("file://"), dtype="float32")
        # Of a clip that is resampled or in a lossy format a little goes beyond the filters.
        assert quality.loudness_lufs(torch.from_numpy(sound), rate) == pytest.approx(lufs, abs=0.2), name


def test_a_sound_that_is_shorter_is_placed_within_itself(page):
    """The style lasts 3 s: chosen at 3.5 s, before anything is known of it, it plays on."""
    opened(page, "one")
    page.get_by_role("slider").fill("3.5")
    page.keyboard.press("Space")
    page.keyboard.press("2")
    playing(page, "style")
    assert page.evaluate(POSITION) < 3


def test_keys_lead_from_pair_to_pair(page):
    for key, name in (("j", "gone"), ("j", "one"), ("j", "two"), ("j", "two"), ("k", "one")):
        page.keyboard.press(key)
        page.get_by_role("heading", name=name, exact=True).wait_for()
    assert page.url.endswith("#one")


def test_a_pair_shows_its_pictures_losses_changed_parameters_and_lineage(page):
    opened(page, "two")
    assert page.locator(".picture img").count() == 3
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 50)")
    assert page.get_by_alt_text("spectrogram of the style, 50 Hz to 16 kHz").is_visible()
    assert page.locator(".transport output").get_attribute("aria-live") == "off", "a clock is not read aloud"
    assert page.locator("svg.curve path.style").count() == 1
    text = page.locator("#pair").inner_text()
    assert "strength\n0.5, not 1" in text
    for part in ("pair_key", "code_version", "sha256", "tune.wav", "style loss"):
        assert part in text


def test_a_failed_pair_says_why_and_what_to_type(page):
    opened(page, "gone")
    text = page.locator("#pair .fault").inner_text()
    assert "input_missing: content: 'file://" in text
    assert "gramophone rerun" in text


def test_pairs_are_found_by_name_and_reason_and_sorted(page):
    page.get_by_role("searchbox").fill("missing")
    assert page.locator("#lines tbody tr").count() == 1
    page.get_by_role("searchbox").fill("")
    page.locator("#status").select_option("ok")
    page.locator("#order").select_option("style_loss")
    losses = [float(text) for text in page.locator("#lines tbody tr td:nth-child(2)").all_inner_texts()]
    assert len(losses) == 2
    assert losses == sorted(losses, reverse=True)


def test_on_a_phone_a_pair_fills_the_screen_and_nothing_is_wider(chromium, night):
    phone = chromium.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    phone.goto(night["page"])
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert phone.evaluate(wide)
    opened(phone, "one")
    assert phone.locator("#pair").bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
    assert phone.evaluate(wide)
    phone.get_by_role("button", name="close").click()
    assert not phone.locator("#pair").is_visible()
    phone.close()


def test_what_is_served_is_heard_as_well_until_ctrl_c(desk, chromium, night):
    server = desk.start("listen", night["run"], "--no-open")
    address = server.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    tab = chromium.new_page()
    tab.goto(address)
    opened(tab, "one")
    tab.keyboard.press("Space")
    for key, source in (("1", "content"), ("2", "style"), ("3", "result")):
        tab.keyboard.press(key)
        playing(tab, source)
    tab.close()
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=60)
    assert (server.returncode, err) == (0, "Ctrl-C ends it\n")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(chromium, night, scheme):
    tab = chromium.new_page(color_scheme=scheme)
    tab.goto(night["page"])
    opened(tab, "one")
    assert (
        hard_to_read(tab, "h1", ".verdict", "td", ".quiet, .runs summary", "#pair h4", "#pair dt", "#pair dd", ".play")
        == []
    )
    tab.close()
