"""An HTTP/1.1 reverse proxy on loopback that breaks things on purpose, between an S3 client and an S3 server.

Requests go on as they came, Host included, so that their signatures hold: the server sees the proxy's own address as
its name. Only `Expect: 100-continue` is answered here and dropped, which clients do not sign. Each request is read
whole, then its fault is decided: by `script` where there is one, else by dice that one seed always throws alike.
A server that is away, or dies before its answer is whole, looks to the client like a connection that is reset.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum
from urllib.parse import urlsplit

LONGEST_HEAD = 1 << 20


class Fault(StrEnum):
    ERROR_500 = "error-500"
    ERROR_503 = "error-503"
    SKEW_403 = "skew-403"
    DENIED_403 = "denied-403"
    ARCHIVED_403 = "archived-403"
    RESET = "reset"  # not forwarded
    HANG = "hang"  # not forwarded
    CUT_BODY = "cut-body"  # the length promises more than comes
    SHORT_LENGTH = "short-length"  # half of the body, under a length that fits
    FLIP_BYTE = "flip-byte"  # of an object: a listing carries no checksum by which anybody could tell
    LOST_ANSWER = "lost-answer"  # carried out, then reset


MIXED = (Fault.ERROR_500, Fault.ERROR_503, Fault.RESET, Fault.CUT_BODY)
ERRORS = {
    Fault.ERROR_500: ("500 Internal Server Error", "InternalError"),
    Fault.ERROR_503: ("503 Service Unavailable", "SlowDown"),
    Fault.SKEW_403: ("403 Forbidden", "RequestTimeTooSkewed"),
    Fault.DENIED_403: ("403 Forbidden", "AccessDenied"),
    Fault.ARCHIVED_403: ("403 Forbidden", "InvalidObjectState"),
}


@dataclass
class Seen:
    method: str
    path: str
    fault: Fault | None


@dataclass
class _Message:
    """A request or an answer: the lines of its head, its body as it came, and what that carries without chunks."""

    lines: list[bytes]
    body: bytes = b""
    payload: bytes = b""
    ends_by_closing: bool = False

    @classmethod
    async def head_from(cls, reader: asyncio.StreamReader) -> "_Message":
        return cls((await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n"))

    async def read_body(self, reader: asyncio.StreamReader, *, is_answer: bool = False) -> None:
        if "chunked" in self.header("transfer-encoding"):
            await self._read_chunks(reader)
            return
        if length := self.header("content-length"):
            self.body = await reader.readexactly(int(length))
        elif is_answer:
            self.body = await reader.read(-1)
            self.ends_by_closing = True
        self.payload = self.body

    async def _read_chunks(self, reader: asyncio.StreamReader) -> None:
        raw, payload = bytearray(), bytearray()
        while size := int((line := await reader.readuntil(b"\n")).split(b";")[0], 16):
            chunk = await reader.readexactly(size + 2)
            raw += line + chunk
            payload += chunk[:-2]
        raw += line
        while line.strip():  # the trailers, up to an empty line
            raw += (line := await reader.readuntil(b"\n"))
        self.body, self.payload = bytes(raw), bytes(payload)

    def header(self, name: str) -> str:
        found = [value for key, _, value in (line.partition(b":") for line in self.lines[1:]) if _is(key, name)]
        return found[0].decode("latin-1").strip().lower() if found else ""

    def drop(self, *names: str) -> None:
        kept = [line for line in self.lines[1:] if not any(_is(line.partition(b":")[0], name) for name in names)]
        self.lines[1:] = kept

    def promise(self, length: int) -> None:
        self.drop("content-length", "transfer-encoding", "trailer")
        self.lines.append(b"Content-Length: %d" % length)
        self.ends_by_closing = False

    def keeps_alive(self) -> bool:
        return b"HTTP/1.1" in self.lines[0] and "close" not in self.header("connection") and not self.ends_by_closing

    def to_bytes(self) -> bytes:
        return b"\r\n".join(self.lines) + b"\r\n\r\n" + self.body


class Proxy:
    """Everything public may be changed while it runs. `before` and `after` get the request's number just before it is
    forwarded and just after its answer came. They, and `script`, run in the proxy's thread and hold up all requests.
    """

    def __init__(self, upstream: str, *, seed: int, share: float, faults: Sequence[Fault]) -> None:
        self.seen: list[Seen] = []
        self.share = share
        self.faults = tuple(faults)
        self.script: Callable[[str, str, int], Fault | None] | None = None
        self.before: Callable[[int], None] | None = None
        self.after: Callable[[int], None] | None = None
        self._upstream = urlsplit(upstream)
        # Two of them: which byte is flipped depends on the order of answers, the faults must not.
        self._dice, self._flips = random.Random(seed), random.Random(seed)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._failures: list[Exception] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="faulty-proxy", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def raise_failure(self) -> None:
        """Raises what a hook or the script raised first, which the client saw only as a connection that ended."""
        if self._failures:
            raise self._failures[0]

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._listen())
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listening, limit=LONGEST_HEAD)
        await self._stopping.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0.01)  # aborted transports close their sockets in the loop's next turn

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping.is_set():
            writer.transport.abort()
            return
        connection = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, TimeoutError, EOFError):
                while await self._exchange(reader, writer):
                    pass
                writer.close()
                await writer.wait_closed()
        except Exception as error:
            self._failures.append(error)
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection may carry another."""
        request = await _Message.head_from(reader)
        if "100-continue" in request.header("expect"):
            request.drop("expect")
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await request.read_body(reader)
        method, path = request.lines[0].decode("latin-1").split(" ")[:2]
        number = len(self.seen)
        fault = self._fault_for(method, path, number)
        self.seen.append(Seen(method, path, fault))

        if fault is Fault.HANG:
            while await reader.read(1 << 16):
                pass
            return False
        if fault is Fault.RESET:
            return _reset(writer)
        answer = _error(fault, method) if fault in ERRORS else await self._forward(request, method, number)
        if answer is None or fault is Fault.LOST_ANSWER or (fault is Fault.CUT_BODY and not answer.payload):
            return _reset(writer)
        self._spoil(answer, fault)
        writer.write(answer.to_bytes())
        await writer.drain()
        return request.keeps_alive() and answer.keeps_alive() and fault is not Fault.CUT_BODY

    def _fault_for(self, method: str, path: str, number: int) -> Fault | None:
        if self.script is not None:
            return self.script(method, path, number)
        # Both thrown each time, so that a changed share leaves the later throws as they were.
        hit, which = self._dice.random(), self._dice.random()
        if not self.faults or hit >= self.share:
            return None
        fault = self.faults[int(which * len(self.faults))]
        return None if fault is Fault.FLIP_BYTE and "list-type=" in path else fault

    async def _forward(self, request: _Message, method: str, number: int) -> _Message | None:
        if self.before is not None:
            self.before(number)
        try:
            answer = await self._answer(request, method)
        except (OSError, EOFError):
            return None
        if self.after is not None:
            self.after(number)
        return answer

    async def _answer(self, request: _Message, method: str) -> _Message:
        host, port = self._upstream.hostname, self._upstream.port or 80
        reader, writer = await asyncio.open_connection(host, port, limit=LONGEST_HEAD)
        try:
            writer.write(request.to_bytes())
            with suppress(ConnectionError):  # a server may refuse without reading the body: its answer is still there
                await writer.drain()
            answer = await _Message.head_from(reader)
            while _status(answer) < 200:
                answer = await _Message.head_from(reader)
            if method != "HEAD" and _status(answer) not in (204, 304):
                await answer.read_body(reader, is_answer=True)
            return answer
        finally:
            writer.transport.abort()

    def _spoil(self, answer: _Message, fault: Fault | None) -> None:
        if fault not in (Fault.CUT_BODY, Fault.SHORT_LENGTH, Fault.FLIP_BYTE) or not answer.payload:
            return
        body = bytearray(answer.payload)
        if fault is Fault.FLIP_BYTE:
            body[self._flips.randrange(len(body))] ^= self._flips.randrange(1, 256)
        else:
            del body[len(body) // 2 :]
        answer.promise(len(answer.payload) if fault is Fault.CUT_BODY else len(body))
        answer.body = bytes(body)


@contextmanager
def proxy_to(upstream: str, *, seed: int = 0, share: float = 0.0, faults: Sequence[Fault] = MIXED) -> Iterator[Proxy]:
    """A proxy to `upstream` (http://host:port); what a hook or the script raised is raised at the end."""
    proxy = Proxy(upstream, seed=seed, share=share, faults=faults)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
    proxy.raise_failure()


def _error(fault: Fault, method: str) -> _Message:
    status, code = ERRORS[fault]
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    body = f"{declaration}\n<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/xml"
    answer = _Message(head.encode().split(b"\r\n"), b"" if method == "HEAD" else body)
    answer.promise(len(body))
    return answer


def _reset(writer: asyncio.StreamWriter) -> bool:
    # Lingering for no time at all makes the close a TCP RST.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


def _status(answer: _Message) -> int:
    return int(answer.lines[0].split()[1])


def _is(key: bytes, name: str) -> bool:
    return key.strip().lower() == name.encode()
