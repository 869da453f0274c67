"""OpenLineage events of a run: written beside it, and sent where that is asked for."""

import json
import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import pytest
from openlineage.client.serde import Serde

from tasks.lineage import events
from tasks.lineage.events import line, write_events
from tasks.records.reasons import OutOfReach
from tasks.records.run import Options
from tasks.results import commit_shard, read_end
from tests.servers import free_port
from tests.tasks.report.test_write import Night, done, failed
from tests.tasks.store.support import Watched


class Backend(ThreadingHTTPServer):
    """Takes down what is posted to it, and by whose key."""

    def __init__(self, status=201):
        self.events, self.keys, self.status = [], set(), status
        super().__init__(("127.0.0.1", 0), self._handler())

    def _handler(backend):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                backend.events.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
                backend.keys.add(self.headers["authorization"])
                self.send_response(backend.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler


@pytest.fixture
def backend():
    with Backend() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def night(any_root):
    night = Night(any_root, 3)
    night.commit([done(0, any_root), done(1, any_root, audio_sha256="1" * 64), failed(2)])
    night.end()
    return night


def told(night):
    uri = write_events(night.store, night.layout, night.run, read_end(night.store, night.layout, "r1"))
    assert uri.endswith("/lineage/night=2026-01-01/run=r1.jsonl")
    return [json.loads(line) for line in night.store.read(uri).data.splitlines()]


def made(night):
    end = read_end(night.store, night.layout, "r1")
    return list(events.events(night.layout, night.run, end, events.shards(night.store, night.layout, night.run)))


def test_a_run_and_its_shards_begin_and_end(night):
    found = told(night)
    assert [(one["job"]["name"], one["eventType"]) for one in found] == [
        ("run", "START"), ("run.shard", "START"), ("run.shard", "COMPLETE"), ("run", "FAIL"),
    ]  # fmt: skip
    whole, shard = found[0]["run"]["runId"], found[1]["run"]["runId"]
    assert found[1]["run"]["facets"]["parent"]["run"]["runId"] == whole == found[3]["run"]["runId"]
    assert shard == found[2]["run"]["runId"] != whole
    assert found[3]["run"]["facets"]["errorMessage"]["message"] == "some"


def test_a_shard_names_what_it_read_and_what_each_output_was_made_of(night):
    [ended] = [one for one in told(night) if (one["job"]["name"], one["eventType"]) == ("run.shard", "COMPLETE")]
    read = {(one["namespace"], one["name"]): one["facets"]["version"]["datasetVersion"] for one in ended["inputs"]}
    assert read == {("file", "/content.wav"): f"sha256:{'0' * 64}", ("file", "/style.wav"): f"sha256:{'0' * 64}"}
    assert [one["name"].rsplit("/", 1)[-1] for one in ended["outputs"]] == ["p0.flac", "p1.flac"]
    edges = ended["outputs"][1]["facets"]["lineage"]["inputs"]
    assert {(one["name"], one["transformations"][0]["subtype"]) for one in edges} == {
        ("/content.wav", "CONTENT"), ("/style.wav", "STYLE"),
    }  # fmt: skip


def test_the_same_run_has_the_same_events_whenever_they_are_made(night):
    assert told(night) == told(night)


def test_a_large_run_has_its_events_in_files_of_a_bounded_size(night, monkeypatch):
    whole = told(night)
    monkeypatch.setattr(events, "FILE_BYTES", len(line(made(night)[0])) + 1)
    uri = write_events(night.store, night.layout, night.run, read_end(night.store, night.layout, "r1"))
    found = [night.store.read(night.layout.lineage("2026-01-01", "r1", number)).data for number in range(3)]
    assert [json.loads(text) for data in found for text in data.splitlines()] == whole
    assert [len(data.splitlines()) for data in found] == [2, 1, 1]
    assert {uri for uri, _ in night.store.list(uri.rsplit("/", 1)[0])} == {
        uri.replace(".jsonl", f"{number}.jsonl") for number in ("", ".0001", ".0002")
    }


def test_a_line_is_what_the_library_makes_of_an_event(night):
    for event in made(night):
        assert line(event) == json.dumps(Serde.to_dict(event), separators=(",", ":")).encode() + b"\n"


def test_a_few_files_of_results_are_in_hand_while_events_are_made(store_root):
    night = Night(store_root, 200)
    for shard in range(200):
        commit_shard(night.store, night.layout, night.run, shard, [done(shard, store_root)], {})
    store = Watched()
    found = events.shards(store, night.layout, night.run)
    taken = [rows[0]["shard"] for rows in islice(found, 10)]
    assert taken == list(range(10))
    assert len(store.reads) <= 10 + events.FILES_AHEAD
    assert [rows[0]["shard"] for rows in found] == list(range(10, 200))
    assert set(store.reads.values()) == {1}


def test_events_are_sent_to_the_backend_that_is_configured(night, backend, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{backend.server_port}")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "canary-of-the-backend")
    found = told(night)
    sent = [event for _, event in backend.events]
    for event in sent:
        event["run"]["facets"].pop("tags", None)  # the client's own version, which it adds
    assert sent == found
    assert {path for path, _ in backend.events} == {"/api/v1/lineage"}
    assert backend.keys == {"Bearer canary-of-the-backend"}
    assert "canary" not in json.dumps(found)


@pytest.mark.parametrize("fault", ["it answered 404", "Connection refused", "InvalidHeader", "ValueError"])
def test_a_backend_at_fault_is_told_without_its_password_or_key_and_the_events_are_kept(
    night, backend, monkeypatch, caplog, fault
):
    """A library's words about a request quote its address or its header."""
    backend.status = 404
    port = free_port() if fault == "Connection refused" else backend.server_port
    key = "canary\n" if fault == "InvalidHeader" else "canary"
    place = "canary@" if fault == "ValueError" else f"http://me:canary@127.0.0.1:{port}"
    monkeypatch.setenv("OPENLINEAGE_URL", place)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", key)
    for name in ("openlineage", "openlineage.client.transport.http"):
        caplog.set_level(logging.DEBUG, logger=name)
    with pytest.raises(OutOfReach, match=f"{fault}$") as told:
        write_events(night.store, night.layout, night.run, read_end(night.store, night.layout, "r1"))
    assert "canary" not in "".join(traceback.format_exception(told.value)) + caplog.text
    assert len(night.store.read(night.layout.lineage("2026-01-01", "r1")).data.splitlines()) == 4


def test_a_run_is_dated_where_its_night_is(night):
    run = night.run.model_copy(update={"night": "2026-07-01", "options": Options(timezone="Europe/Berlin")})
    uri = write_events(night.store, night.layout, run, read_end(night.store, night.layout, "r1"))
    begun = json.loads(night.store.read(uri).data.splitlines()[0])
    assert begun["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-07-01T00:00:00+02:00"
