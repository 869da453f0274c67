"""Pages, outputs and inputs of a root over HTTP on loopback: a private bucket, heard in a browser."""

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.heard import Heard, Sound
from tasks.layout import Layout
from tasks.records.reasons import OutOfReach, PairError, Reason
from tasks.roots import Roots
from tasks.store import join, open_store

KEPT_BYTES = 512 << 20
"""Of what was read last: a browser asks for a track piece by piece, and again when somebody seeks."""
PIECE_BYTES = 1 << 20
"""At most in one answer to a range: the rest is asked for when it is needed. A browser has six connections to a host,
and a long sound that it has not read to its end keeps one."""
PAGES = {"html": "text/html", "js": "text/javascript"}
_PAGE = re.compile(r"runs/[^/]+/(?:report\.(html)|report/[0-9]+\.(js))", re.ASCII)
_AUDIO = re.compile(r"audio(?:/[^/\x00-\x1f]+)+")
Find = Callable[..., tuple[str, bytes]]
STATUS = {Reason.INPUT_MISSING: 404, Reason.INPUT_FORBIDDEN: 403, Reason.INPUT_CHANGED: 410}
HEADERS = {
    # What our own pages need, and no other host; for the rest it is stricter than they need.
    "content-security-policy": (
        "default-src 'none'; img-src data:; media-src 'self'; connect-src 'self'; script-src 'self' 'unsafe-inline'; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",  # the address holds the secret
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@dataclass
class Kept:
    """The sounds that were read last, up to KEPT_BYTES; each is fetched once, however many ask for it meanwhile."""

    _found: OrderedDict[Sound, Future[bytes]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, sound: Sound) -> bytes:
        """Raises PairError."""
        with self._lock:
            is_first = sound not in self._found
            found = self._found.setdefault(sound, Future())
            self._found.move_to_end(sound)
        if is_first:
            self._fetch(sound, found)
        return found.result()

    def _fetch(self, sound: Sound, found: Future[bytes]) -> None:
        try:
            found.set_result(sound.read())
        except BaseException as error:
            with self._lock:
                self._found.pop(sound, None)  # whoever asks later tries again
            found.set_exception(error)
        with self._lock:
            while len(self._found) > 1 and self._bytes() > KEPT_BYTES:
                self._found.popitem(last=False)

    def _bytes(self) -> int:
        return sum(len(one.result()) for one in self._found.values() if one.done())


@dataclass
class Listening:
    """What may be asked for: pages and outputs below the root, and the inputs of its results, as they were read.

    The addresses hold a secret of this process: no other user of the machine, and no page of another site, knows them.
    """

    root: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    _kept: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        self._heard = Heard(self.root)

    @property
    def before(self) -> str:
        """What every path begins with."""
        return f"/listen/{self.secret}"

    def page(self, run_id: str) -> str:
        """The path of a run's page."""
        return f"{self.before}/root/runs/{run_id}/report.html"

    def app(self, *others: Route) -> Starlette:
        return Starlette(
            routes=[
                Route(f"{self.before}/root/{{path:path}}", partial(self.answer, self._below_root)),
                Route(f"{self.before}/input/{{run_id}}/{{row:int}}/{{number:int}}", partial(self.answer, self.input)),
                *others,
            ],
            # An address of another name that leads here is somebody else's page.
            middleware=[
                Middleware(Headed),
                Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
            ],
            exception_handlers={ValueError: _no_such_thing},
        )

    async def answer(self, find: Find, request: Request) -> Response:
        """What `find` finds by the parameters of the path, or the range of it that is asked for."""
        try:
            kind, data = await run_in_threadpool(find, **request.path_params)
        except PairError as error:
            return Response(error.message, STATUS.get(error.reason, 502), media_type="text/plain")
        except OutOfReach as error:
            return Response(str(error), 502, media_type="text/plain")
        return ranged(data, request.headers.get("range"), kind)

    def _below_root(self, path: str) -> tuple[str, bytes]:
        uri = join(self.root, path)
        if page := _PAGE.fullmatch(path):  # not kept: it is made anew while it is looked at
            return PAGES[page[1] or page[2]], Sound(uri, None, Roots.resolve((self.root,))).read()
        if not _AUDIO.fullmatch(path) or ".." in path.split("/"):
            raise PairError(Reason.INPUT_MISSING, "pages and outputs are shown, nothing else")
        return self.output(uri)

    def output(self, uri: str) -> tuple[str, bytes]:
        """An output of the root. Raises PairError."""
        return self._read(self._heard.output(uri))

    def input(self, run_id: str, row: int, number: int) -> tuple[str, bytes]:
        """An input of a row, in the version that was read. Raises PairError, as where it is withdrawn."""
        return self._read(self._heard.input_of(run_id, row, number))

    def _read(self, sound: Sound) -> tuple[str, bytes]:
        return sound.kind, self._kept.read(sound)


class Headed:
    """HEADERS in every answer, whoever gives it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_headed)


def _no_such_thing(request: Request, error: Exception) -> Response:
    """A name or a number in an address that can be none, as of a file with a NUL in its name."""
    return Response("there is no such thing", 404, media_type="text/plain")


def ranged(data: bytes, wanted: str | None, kind: str) -> Response:
    """The whole, or what PIECE_BYTES hold of the one range of bytes that was asked for (RFC 9110, 14 and 15.3.7)."""
    headers = {"accept-ranges": "bytes"}
    span = _span(wanted, len(data))
    if span is None:
        return Response(data, 200, headers, kind)
    first, last = span
    if first > last:
        return Response(b"", 416, headers | {"content-range": f"bytes */{len(data)}"}, kind)
    last = min(last, first + PIECE_BYTES - 1)
    headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers, kind)


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of `bytes=a-b`, `bytes=a-` or `bytes=-n`; None: all, where it is no such range."""
    unit, equals, text = (wanted or "").partition("=")
    begin, dash, end = text.strip().partition("-")
    if unit.strip() != "bytes" or not equals or not dash or not (begin + end).isdecimal():
        return None
    if not begin:
        return max(0, size - int(end)), size - 1 if int(end) else -1
    return int(begin), min(int(end), size - 1) if end else size - 1


def check(root: str, run_id: str | None) -> str:
    """The run to show; its page is written where there is none. Raises UsageError where there is no such run."""
    from tasks.report.write import PAGE, write_report
    from tasks.standing import family_of

    store, layout = open_store(root), Layout(root)
    run = run_id or family_of(store, layout, None).last.run_id
    if store.stat(layout.run(run, PAGE)) is None:
        write_report(store, layout, run)
    return run
