"""`gramophone status --night --openmetrics`: where the figures of a night go."""

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.flows.conftest import Desk
from tests.servers import free_port
from tests.tasks.test_openmetrics import NIGHT, History, a_night

ASKED = ("status", "--night", NIGHT)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path, dict(os.environ))
    a_night(History(desk.root))
    return desk


@pytest.fixture
def gateway():
    """What a Pushgateway is sent; it takes nothing but the group /metrics/job/gramophone."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            told.append((self.path, self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202 if self.path == "/metrics/job/gramophone" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics/job", told
        server.shutdown()


def test_to_stdout_they_go_alone_and_the_exit_code_is_the_night_s(desk):
    told = desk.ask(*ASKED, "--openmetrics", "-", "--root", desk.root)
    assert told.code == 1
    found = {sample.name for family in text_string_to_metric_families(told.out) for sample in family.samples}
    assert "gramophone_night_pairs" in found


def test_a_file_is_replaced_as_a_whole_and_the_table_is_shown_beside(desk):
    file = desk.folder / "night.prom"
    file.write_text("of yesterday")
    told = desk.ask(*ASKED, "--openmetrics", file, "--root", desk.root)
    assert (told.code, "2 of 4 pairs ok" in told.out) == (1, True)
    assert file.read_text().endswith("# EOF\n")
    assert [path.name for path in desk.folder.glob("*prom*")] == ["night.prom"]


def test_json_may_stand_on_stdout_beside_a_file(desk):
    told = desk.ask(*ASKED, "--openmetrics", desk.folder / "night.prom", "--json", "--root", desk.root)
    assert told.json["families"][0]["counts"]["ok"] == 2


def test_a_pushgateway_gets_them_in_the_format_that_it_reads(desk, gateway):
    address, sent = gateway
    assert desk.ask(*ASKED, "--openmetrics", f"{address}/gramophone", "--root", desk.root).code == 1
    [(_, kind, body)] = sent
    assert kind.startswith("text/plain; version=0.0.4")
    assert b'gramophone_night_not_done_pairs{night="2026-01-01"' in body


def test_a_pushgateway_that_refuses_or_is_not_there_is_said_with_4(desk, gateway):
    refused = desk.ask(*ASKED, "--openmetrics", f"{gateway[0]}/other", "--root", desk.root)
    assert (refused.code, "404" in refused.err) == (4, True)
    away = desk.ask(
        *ASKED, "--openmetrics", f"http://127.0.0.1:{free_port()}/metrics/job/gramophone", "--root", desk.root
    )
    assert (away.code, "ConnectError" in away.err) == (4, True)


GONE = ("--root", "s3://no-such-bucket-of-ours/root")


def test_a_bucket_out_of_reach_is_told_as_4_without_the_figures_of_any_run(desk, gateway, s3_server):
    address, sent = gateway
    told = desk.ask(*ASKED, "--openmetrics", f"{address}/gramophone", *GONE)
    assert (told.code, told.err) == (4, desk.ask(*ASKED, *GONE).err)
    assert "there is no bucket no-such-bucket-of-ours" in told.err
    [(_, _, body)] = sent
    found = {s.name: s.value for family in text_string_to_metric_families(body.decode()) for s in family.samples}
    assert found.keys() == {"gramophone_night_check_timestamp_seconds", "gramophone_night_exit_code"}
    assert found["gramophone_night_exit_code"] == 4


def test_a_bucket_out_of_reach_takes_the_place_of_yesterday_s_figures_in_a_file(desk, s3_server):
    file = desk.folder / "night.prom"
    file.write_text("of yesterday")
    assert desk.ask(*ASKED, "--openmetrics", file, *GONE).code == 4
    assert 'gramophone_night_exit_code{night="2026-01-01"} 4' in file.read_text()


def test_where_bucket_and_gateway_are_both_away_both_are_said(desk, s3_server):
    nobody = f"http://127.0.0.1:{free_port()}/metrics/job/gramophone"
    told = desk.ask(*ASKED, "--openmetrics", nobody, *GONE)
    assert told.code == 4
    assert "ConnectError" in told.err
    assert "there is no bucket no-such-bucket-of-ours" in told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--latest", "--openmetrics", "-"), "--openmetrics goes with --night"),
        ((*ASKED, "--openmetrics", "-", "--json"), "both want stdout"),
        ((*ASKED, "--openmetrics", "http://user:canary@host/metrics/job/g"), "holds a password"),
        ((*ASKED, "--openmetrics", "nowhere/night.prom"), "is not a folder"),
    ],
)
def test_what_cannot_be_is_said_with_2_and_without_the_password(desk, arguments, said):
    told = desk.ask(*arguments, "--root", desk.root)
    assert told.code == 2
    assert said in told.err
    assert "canary" not in told.err
