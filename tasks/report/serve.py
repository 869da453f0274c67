"""Pages, outputs and inputs of a root over HTTP on loopback: a private bucket, heard in a browser."""

import mimetypes
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tasks.layout import Layout
from tasks.records.reasons import OutOfReach, PairError, Reason
from tasks.results import read_results, read_run
from tasks.roots import Roots
from tasks.store import Store, join, open_store

KEPT_BYTES = 512 << 20
"""Of what was read last: a browser asks for a track piece by piece, and again when somebody seeks."""
SHOWN = ("runs/", "audio/")
Find = Callable[..., tuple[str, bytes]]
STATUS = {Reason.INPUT_MISSING: 404, Reason.INPUT_FORBIDDEN: 403, Reason.INPUT_CHANGED: 410}


@dataclass
class Kept:
    """The objects that were read last, up to KEPT_BYTES."""

    _found: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, store: Store, uri: str, etag: str | None = None, allowed: Roots | None = None) -> bytes:
        """The object, that version of it where there is an etag. Raises PairError."""
        key = f"{uri}\n{etag}"
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        data = store.read(uri, etag=etag, allowed=allowed).data
        with self._lock:
            self._found[key] = data
            while len(self._found) > 1 and sum(map(len, self._found.values())) > KEPT_BYTES:
                self._found.popitem(last=False)
        return data


@dataclass
class Listening:
    """What may be asked for: pages and outputs below the root, and the inputs of its results, as they were read.

    The addresses hold a secret of this process: no other user of the machine, and no page of another site, knows them.
    """

    root: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    _kept: Kept = field(default_factory=Kept)
    _places: dict[tuple[str, int, int], tuple[str, str | None, Roots]] = field(default_factory=dict)

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
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        )

    async def answer(self, find: Find, request: Request) -> Response:
        """What `find` finds by the parameters of the path, or the range of it that is asked for."""
        try:
            uri, data = await run_in_threadpool(find, **request.path_params)
        except PairError as error:
            return Response(error.message, STATUS.get(error.reason, 502))
        except OutOfReach as error:
            return Response(str(error), 502)
        return ranged(data, request.headers.get("range"), kind_of(uri))

    def _below_root(self, path: str) -> tuple[str, bytes]:
        if not path.startswith(SHOWN) or ".." in path.split("/"):
            raise PairError(Reason.INPUT_MISSING, "pages and outputs are shown, nothing else")
        uri = join(self.root, path)
        if path.startswith("runs/"):  # pages are made anew while they are looked at
            return uri, open_store(uri).read(uri).data
        return self.output(uri)

    def output(self, uri: str) -> tuple[str, bytes]:
        """An output of the root. Raises PairError."""
        return uri, self._kept.read(open_store(uri), uri)

    def input(self, run_id: str, row: int, number: int) -> tuple[str, bytes]:
        """An input of a row, in the version that was read. Raises PairError."""
        place = run_id, row, number
        if place not in self._places:  # a browser asks for one input many times, and rows do not change
            self._places[place] = self._find(*place)
        uri, etag, allowed = self._places[place]
        return uri, self._kept.read(open_store(uri), uri, etag, allowed)

    def _find(self, run_id: str, row: int, number: int) -> tuple[str, str | None, Roots]:
        """Where an input of a row is, the version that was read, and where its run might read from."""
        store, layout = open_store(self.root), Layout(self.root)
        run = read_run(store, layout, run_id)
        rows = read_results(store, layout, {run_id})
        inputs = [one for found in rows.loc[rows["manifest_row"] == row, "inputs"] for one in found]
        if run is None or number >= len(inputs):
            raise PairError(Reason.INPUT_MISSING, f"run {run_id} has no input {number} in row {row}")
        return inputs[number]["uri"], inputs[number]["etag"], Roots(run.allowed)


def ranged(data: bytes, wanted: str | None, kind: str) -> Response:
    """The whole, or the one range of bytes that was asked for (RFC 9110, section 14)."""
    headers = {"accept-ranges": "bytes", "cache-control": "no-store", "x-content-type-options": "nosniff"}
    span = _span(wanted, len(data))
    if span is None:
        return Response(data, 200, headers, kind)
    first, last = span
    if first > last:
        return Response(b"", 416, headers | {"content-range": f"bytes */{len(data)}"}, kind)
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


def kind_of(uri: str) -> str:
    kinds = {".js": "text/javascript", ".html": "text/html", ".opus": "audio/ogg", ".flac": "audio/flac"}
    suffix = "." + uri.rsplit(".", 1)[-1].lower()
    return kinds.get(suffix) or mimetypes.guess_type(f"x{suffix}")[0] or "application/octet-stream"


def check(root: str, run_id: str | None) -> str:
    """The run to show; its page is written where there is none. Raises UsageError where there is no such run."""
    from tasks.report.write import PAGE, write_report
    from tasks.standing import family_of

    store, layout = open_store(root), Layout(root)
    run = run_id or family_of(store, layout, None).last.run_id
    if store.stat(layout.run(run, PAGE)) is None:
        write_report(store, layout, run)
    return run
