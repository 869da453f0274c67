"""A Prefect server set up as SECURITY.md says lets in nobody else, and a run as ever."""

import base64
import json
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.flows.conftest import Desk
from tests.servers import free_port, prefect_server_at

AUTH = "user:canary-91"
OURS, THEIRS = "https://prefect.example.org", "https://elsewhere.example.org"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    settings = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_AUTH_STRING": AUTH,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": OURS,
    }
    with prefect_server_at(port, folder / "server.log", settings):
        yield settings["PREFECT_API_URL"]


def ask(api, path, auth=None, body=None, **headers):
    """The status of an answer, and its headers."""
    if auth:
        headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{api}{path}", data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def test_without_the_password_it_says_that_it_is_well_and_nothing_else(api):
    assert ask(api, "/health")[0] == 200
    for path in ("/admin/version", "/admin/settings", "/flows/count/health", "/variables/name/health", "/csrf-token"):
        assert ask(api, path)[0] == 401, path
    assert ask(api, "/admin/version", "user:wrong")[0] == 401
    assert ask(api, "/admin/version", AUTH)[0] == 200


def welcome(api, path, token, subprotocol="prefect"):
    """What the server says to who comes by websocket with this password: a type, or the code with which it hangs up."""
    with connect(f"ws{api.removeprefix('http')}{path}", subprotocols=[subprotocol], proxy=None) as socket:
        try:
            socket.send(json.dumps({"type": "auth", "token": token}))
            return json.loads(socket.recv(timeout=60))["type"]
        except ConnectionClosed as closed:
            return closed.rcvd.code


@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out"])
def test_a_websocket_without_the_password_is_refused(api, path):
    assert welcome(api, path, None) == welcome(api, path, "user:wrong") == 1008
    with pytest.raises(InvalidStatus, match="403"):
        welcome(api, path, AUTH, "another")
    assert welcome(api, path, AUTH) == "auth_success"


def test_a_page_of_another_site_may_not_read_and_not_change_anything(api):
    assert ask(api, "/flows/filter", AUTH, {})[0] == 403, (
        "a browser that knows the password sends it, but no CSRF token"
    )
    for origin, allowed in ((OURS, OURS), (THEIRS, None)):
        status, headers = ask(api, "/admin/version", AUTH, Origin=origin)
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, allowed)


def test_the_doctor_asks_it_with_the_password_and_does_not_repeat_it(api, desk):
    for told, verdict in (({"PREFECT_API_AUTH_STRING": AUTH}, "ok "), ({}, "FAILED")):
        said = desk.type("doctor", "--root", "guarded", PREFECT_API_URL=api, **told)
        [line] = [line for line in said.out.splitlines() if " prefect " in line]
        assert line.startswith(verdict), said.out + said.err
        assert AUTH not in said.out + said.err
    assert "set PREFECT_API_AUTH_STRING" in said.out


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_run_with_the_password_goes_as_ever_and_one_without_says_what_is_missing(api, desk):
    desk.clip("tune")
    manifest = desk.manifest([{"pair_id": "p", "content_uri": "tune.wav", "style_uri": "tune.wav"}], "guarded.parquet")
    here = Desk(desk.folder, desk.environment | {"PREFECT_API_URL": api})
    done = here.type("run", manifest, "--root", "guarded", PREFECT_API_AUTH_STRING=AUTH)
    assert done.code == 0, done.err
    assert "canary-91" not in done.out + done.err
    refused = here.type("run", manifest, "--root", "guarded", "--force")
    assert refused.code == 4, refused.out + refused.err
    assert "PREFECT_API_AUTH_STRING" in refused.err
