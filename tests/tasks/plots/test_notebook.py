"""A pair in a notebook: what can be heard is, what cannot is told, and nothing of a manifest becomes a page."""

import base64
import re
import subprocess
import sys

import pytest

from tasks.plots import show
from tests.browser import browser
from tests.tasks.plots.conftest import Made, wav
from tests.tasks.plots.test_curves import withdraw
from tests.tasks.report.test_write import EVIL


def players(html):
    """What each player plays: kind, bytes, fragment."""
    found = re.findall(r'<audio [^>]*src="data:([^;]+);base64,([^"#]+)(#[^"]*)?"', html)
    return [(kind, base64.b64decode(data), fragment) for kind, data, fragment in found]


def test_three_players_and_three_spectrograms_and_the_figures(any_night):
    shown = show(any_night.standing().iloc[0])
    html = shown._repr_html_()
    assert [data for _, data, _ in players(html)] == [wav()] * 3
    assert {kind for kind, _, _ in players(html)} == {"audio/x-wav", "audio/flac"}
    assert html.count('src="data:image/png;base64,') == 3
    assert "<code>style_loss</code>" in html
    assert "relative style loss of the written audio" in html
    assert "<code>strength</code> 0.5 (1.0)" in html
    assert repr(shown) == "<pair p0: ok; a notebook shows and plays it>"


def test_a_slice_is_what_plays(store_root):
    night = Made(store_root, 1)
    content = night.input("content", "tune.wav", start=0.25, seconds=0.5)
    night.commit([night.pair(0, content, night.input("style", "rain.wav", start=0.75))])
    html = show(night.standing().iloc[0]).html
    assert [fragment for _, _, fragment in players(html)] == ["#t=0.25,0.75", "#t=0.75", ""]
    with browser() as chromium:
        tab = chromium.new_page()
        tab.set_content(html)
        tab.wait_for_function("[...document.querySelectorAll('audio')].every((one) => one.readyState >= 2)")
        starts = tab.evaluate("[...document.querySelectorAll('audio')].map((one) => one.currentTime)")
        assert starts == pytest.approx([0.25, 0.75, 0], abs=0.01)


@pytest.mark.parametrize(
    ("harm", "words", "left"),
    [
        (lambda n: n.store.delete(f"{n.root}/clips/tune.wav"), "is not there", 2),
        (
            lambda n: n.store.replace(f"{n.root}/clips/rain.wav", wav(2.0)),
            "has been replaced since the run was planned",
            2,
        ),
        (lambda n: n.store.delete(n.standing().loc[0, "audio_uri"]), "is not there", 2),
        (lambda n: withdraw(n, f"{n.root}/clips/rain.wav"), "&lt;b&gt;ended&lt;/b&gt;", 1),
    ],
    ids=["an input is gone", "an input is another now", "the audio is gone", "an input is withdrawn"],
)
def test_a_sound_that_may_not_or_cannot_be_heard_is_told_and_the_others_play(any_night, harm, words, left):
    row = any_night.standing().iloc[0]
    harm(any_night)
    html = show(row).html
    assert len(players(html)) == left
    assert words in html


def test_only_what_its_run_might_read_is_read_and_nothing_too_large(store_root):
    night = Made(store_root, 1, allowed=(f"{store_root}/elsewhere",))
    night.commit([night.pair(0, night.input("content", "tune.wav"), night.input("style", "rain.wav"))])
    row = night.standing().iloc[0]
    html = show(row).html
    assert len(players(html)) == 1, "the result"
    assert html.count("lies outside the places that inputs may come from") == 2
    small = show(row, most_mb=0.001).html
    assert len(players(small)) == 0
    assert "at most 1,000 are read; show(row, most_mb=...)" in small


def test_a_failed_pair_tells_why_and_plays_its_inputs_once_it_knows_the_root(night):
    row = night.standing().iloc[2].copy()
    row["inputs"] = night.standing().loc[0, "inputs"]
    assert "say where the row comes from: show(row, root)" in show(row).html
    html = show(row, night.root).html
    assert len(players(html)) == 2
    assert "decode_error" in html
    assert "result" not in html


def test_nothing_that_a_manifest_holds_becomes_markup(night):
    row = night.standing().iloc[0].copy()
    row["pair_id"], row["message"], row["tags"] = EVIL, EVIL, {EVIL: EVIL}
    row["inputs"] = [one | {"uri": f'file:///"onerror=alert(1){EVIL}'} for one in row["inputs"]]
    html = show(row).html
    assert "alert(1)" in html
    assert "<script" not in html
    assert 'title="file:///&#34;onerror' in html


def test_neither_ipython_nor_pyplot_nor_torch_is_needed():
    code = "import tasks.plots, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "matplotlib.figure" in modules
    assert not modules & {"IPython", "matplotlib.pyplot", "torch", "prefect"}
