import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.proxy import MIXED, Fault, Proxy, proxy_to

BODY = bytes(range(256)) * 40


class Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: dict[str, bytes]
    asked: list[tuple[str, str, list[tuple[str, str]]]]

    def do_PUT(self) -> None:
        self.kept[self.path] = self._chunks() if "Transfer-Encoding" in self.headers else self._plain()
        self._answer(200, b"")

    def do_GET(self) -> None:
        self._answer(200, self.kept.get(self.path.partition("?")[0], b""))

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        self._note()
        self.send_response(204)
        self.end_headers()

    def _plain(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.trailers = list(iter(self.rfile.readline, b"\r\n"))
        return body + b"".join(self.trailers)

    def _note(self) -> None:
        self.asked.append((self.command, self.path, self.headers.items()))

    def _answer(self, status: int, body: bytes) -> None:
        self._note()
        self.send_response(status)
        if "chunked" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif "unsized" in self.path:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Upstream(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {"/b/k": BODY}
        self.asked: list[tuple[str, str, list[tuple[str, str]]]] = []
        super().__init__(("127.0.0.1", 0), type("Kept", (Bucket,), {"kept": self.kept, "asked": self.asked}))
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client(proxy: Proxy, timeout: float = 5) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=timeout)


def ask(proxy: Proxy, method: str = "GET", path: str = "/b/k", body: bytes | None = None) -> tuple[int, bytes]:
    connection = client(proxy)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_bytes_pass_both_ways_over_one_connection(upstream: Upstream) -> None:
    with proxy_to(upstream.url) as proxy:
        connection = client(proxy)
        for method, path, body, expected in [
            ("PUT", "/b/new", BODY, b""),
            ("GET", "/b/new", None, BODY),
            ("HEAD", "/b/new", None, b""),
            ("DELETE", "/b/new", None, b""),
            ("GET", "/b/k?chunked&a=%20b", None, BODY),
            ("GET", "/b/k?unsized", None, BODY),
        ]:
            connection.request(method, path, body=body, headers={"X-Odd": "a  b"})
            response = connection.getresponse()
            assert response.read() == expected
            if method == "HEAD":
                assert response.headers["Content-Length"] == str(len(BODY))
            if method == "PUT":
                first = connection.sock
            if "unsized" not in path:
                assert connection.sock is first
        connection.close()
        assert [(seen.method, seen.path) for seen in proxy.seen] == [asked[:2] for asked in upstream.asked]
        for *_, headers in upstream.asked:
            assert dict(headers).items() >= {"Host": urlsplit(proxy.url).netloc, "X-Odd": "a  b"}.items()


def test_chunks_pass_with_their_trailers_and_the_proxy_says_continue(upstream: Upstream) -> None:
    with proxy_to(upstream.url) as proxy, socket.create_connection(("127.0.0.1", urlsplit(proxy.url).port)) as s:
        s.settimeout(5)
        s.sendall(b"PUT /b/c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 200")
    assert upstream.kept["/b/c"] == b"hello worldx-sum: 1\r\n"
    assert "Expect" not in dict(upstream.asked[0][2])


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.ERROR_500, 500, b"<Code>InternalError<"),
        (Fault.ERROR_503, 503, b"<Code>SlowDown<"),
        (Fault.SKEW_403, 403, b"<Code>RequestTimeTooSkewed<"),
    ],
)
def test_errors_are_answered_without_the_server(upstream: Upstream, fault: Fault, status: int, code: bytes) -> None:
    with proxy_to(upstream.url, share=1, faults=[fault]) as proxy:
        answered, body = ask(proxy)
        assert answered == status
        assert code in body
        assert ask(proxy, "HEAD") == (status, b"")
    assert not upstream.asked


@pytest.mark.parametrize(
    ("fault", "method", "carried_out"),
    [(Fault.RESET, "PUT", False), (Fault.LOST_ANSWER, "PUT", True), (Fault.CUT_BODY, "HEAD", True)],
)
def test_a_reset_says_nothing_of_whether_the_server_acted(
    upstream: Upstream, fault: Fault, method: str, carried_out: bool
) -> None:
    body = BODY if method == "PUT" else None
    # The words tell it from http.client's RemoteDisconnected, which a plain close raises and which is of this type.
    a_reset = pytest.raises(ConnectionResetError, match="reset by peer")
    with proxy_to(upstream.url, share=1, faults=[fault]) as proxy, a_reset:
        ask(proxy, method, "/b/x", body)
    assert [asked[:2] for asked in upstream.asked] == ([(method, "/b/x")] if carried_out else [])


@pytest.mark.parametrize("path", ["/b/k", "/b/k?chunked", "/b/k?unsized"])
def test_bodies_are_cut_shortened_or_changed(upstream: Upstream, path: str) -> None:
    with proxy_to(upstream.url, share=1) as proxy:
        proxy.faults = (Fault.CUT_BODY,)
        with pytest.raises(http.client.IncompleteRead) as cut:
            ask(proxy, path=path)
        assert cut.value.partial == BODY[: len(BODY) // 2]
        assert cut.value.expected == len(BODY) // 2
        proxy.faults = (Fault.SHORT_LENGTH,)
        assert ask(proxy, path=path) == (200, BODY[: len(BODY) // 2])
        proxy.faults = (Fault.FLIP_BYTE,)
        _, flipped = ask(proxy, path=path)
        assert len(flipped) == len(BODY)
        assert sum(a != b for a, b in zip(flipped, BODY, strict=True)) == 1
        assert ask(proxy, "PUT", "/b/empty", b"") == (200, b"")


def test_a_hung_request_ends_with_its_client_or_with_the_proxy(upstream: Upstream) -> None:
    threads = threading.active_count()
    with proxy_to(upstream.url, share=1, faults=[Fault.HANG]) as proxy:
        impatient, patient = client(proxy, timeout=0.2), client(proxy)
        impatient.request("GET", "/b/k")
        with pytest.raises(TimeoutError):
            impatient.getresponse()
        impatient.close()
        patient.request("GET", "/b/k")
        while len(proxy.seen) < 2:
            time.sleep(0.01)
    with pytest.raises(ConnectionError):
        patient.getresponse()
    patient.close()
    assert threading.active_count() == threads
    assert not upstream.asked


def test_a_server_that_is_away_looks_like_a_reset(upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with proxy_to(f"http://127.0.0.1:{port}") as proxy, pytest.raises(ConnectionResetError):
        ask(proxy)


def test_the_share_says_how_many_requests_fail(upstream: Upstream) -> None:
    with proxy_to(upstream.url, faults=[Fault.ERROR_503]) as proxy:
        for share, least, most in [(0.0, 0, 0), (0.5, 5, 35), (1.0, 40, 40)]:
            proxy.share = share
            assert least <= sum(ask(proxy)[0] == 503 for _ in range(40)) <= most


def faults_of(upstream: Upstream, seed: int) -> list[Fault | None]:
    with proxy_to(upstream.url, seed=seed, share=0.6) as proxy:
        for _ in range(30):
            with suppress(ConnectionError, http.client.IncompleteRead):
                ask(proxy)
        return [seen.fault for seen in proxy.seen]


def test_one_seed_gives_the_same_faults_again(upstream: Upstream) -> None:
    faults = faults_of(upstream, 1)
    assert set(faults) == {None, *MIXED}
    assert faults_of(upstream, 1) == faults
    assert faults_of(upstream, 2) != faults


def test_a_script_decides_and_hooks_frame_what_is_forwarded(upstream: Upstream) -> None:
    calls: list[tuple[str, int, int]] = []
    with proxy_to(upstream.url, share=1) as proxy:
        proxy.script = lambda method, path, number: Fault.ERROR_500 if (method, number) == ("GET", 1) else None
        proxy.before = lambda number: calls.append(("before", number, len(upstream.asked)))
        proxy.after = lambda number: calls.append(("after", number, len(upstream.asked)))
        assert [ask(proxy)[0] for _ in range(3)] == [200, 500, 200]
    assert calls == [("before", 0, 0), ("after", 0, 1), ("before", 2, 1), ("after", 2, 2)]


def test_what_a_hook_raises_comes_out_at_the_end(upstream: Upstream) -> None:
    def fails(number: int) -> None:
        raise ProcessLookupError(number)

    def asks() -> None:
        with proxy_to(upstream.url) as proxy:
            proxy.before = fails
            with suppress(ConnectionError):
                ask(proxy)

    with pytest.raises(ProcessLookupError):
        asks()


def test_many_clients_are_served_at_once(upstream: Upstream) -> None:
    with proxy_to(upstream.url) as proxy, ThreadPoolExecutor(32) as pool:
        together = threading.Barrier(32)

        def put_and_get(i: int) -> bool:
            connection = client(proxy)
            connection.connect()
            together.wait(5)
            for method, body in [("PUT", BODY + bytes([i])), ("GET", None)]:
                connection.request(method, f"/b/{i}", body=body)
                got = connection.getresponse().read()
            connection.close()
            return got == BODY + bytes([i])

        assert all(pool.map(put_and_get, range(32)))
    assert len(proxy.seen) == 64
