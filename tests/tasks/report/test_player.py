"""The player that pages share, in a real browser, with long sounds from a real server."""

import io
import socket
import threading

import numpy as np
import pytest
import soundfile
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tasks.report.rendering import text_of
from tasks.report.serve import ranged
from tests.browser import NEEDED, browser

pytestmark = NEEDED
MANY = 14
"""Twelve letters of a blind comparison, content and style; a browser has six connections to a host."""
NEW = """(many) => {
    const sounds = Object.fromEntries([...Array(many).keys()].map((n) => [n, {src: `/${n}`, start: 0, lufs: null}]))
    window.player = new Player(sounds, {first: "0", leading: "0", changed() {}, failed() {}})
    document.body.replaceChildren(...Object.values(player.audios))
}"""
PLAYED = "(name) => player.audios[name].played.length > 0"


@pytest.fixture(scope="module")
def address():
    """Of a server whose sounds are far longer than what a browser reads ahead."""
    wav = io.BytesIO()
    soundfile.write(wav, np.zeros((180 * 44_100, 2)), 44_100, format="WAV")
    sound = wav.getvalue()

    async def page(_):
        return HTMLResponse(f"<body><script>{text_of('tasks.report', 'player.js')}</script>")

    async def part(request):
        return ranged(sound, request.headers.get("range"), "audio/wav")

    app = Starlette(routes=[Route("/", page), Route("/{name:int}", part)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=server.run, args=([listening],))
        serving.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        serving.join()


@pytest.fixture
def tab(address):
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(address)
        page.mouse.click(5, 5)  # a sound is played only after a click
        yield page


def test_more_long_sounds_play_than_a_browser_has_connections(tab):
    """All at once: what a browser has paused it lets go of after some seconds, in which a listener hears nothing."""
    tab.evaluate(NEW, MANY)
    tab.evaluate("Object.values(player.audios).forEach((audio) => audio.play())")
    for name in map(str, range(MANY)):
        tab.wait_for_function(PLAYED, arg=name)


def test_a_player_that_has_ended_keeps_nothing_of_its_sounds(tab):
    tab.evaluate(NEW, 1)
    tab.evaluate("player.start()")
    tab.wait_for_function(PLAYED, arg="0")
    tab.evaluate("player.end()")
    assert tab.evaluate("player.audios[0].networkState === HTMLMediaElement.NETWORK_EMPTY")
