"""Buckets, through s3fs: one signed request at a time, each with a deadline of its own.

Requests and not s3fs's file operations: those cannot demand a version, write multipart above some size (whose
conditional completion is not universal), and retry in layers of their own (25 requests for one read, measured).
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import aiobotocore
import aiohttp
import botocore
import fsspec
import s3fs
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError
from fsspec.asyn import sync
from pydantic import ValidationError

from tasks.hush import hush
from tasks.records.reasons import PairError, Reason, UsageError
from tasks.records.run import Connection
from tasks.roots import Roots, bare, shown
from tasks.store.base import AlreadyExists, Stat, Store

T = TypeVar("T")
CONNECT_SECONDS, SILENT_SECONDS = 5.0, 20.0
SLOWEST_BYTES_PER_SECOND = 500_000.0
DIGEST = "sha256"  # user metadata of what we write, checked when it is read
DAMAGED, OTHER_BYTES = "BadDigest", "its bytes have another checksum than the one that is stored with it"

PASSING_CODES = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "RequestTimeTooSkewed", "OperationAborted",
    "ConditionalRequestConflict", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BadDigest",
    "IncompleteBody", "XAmzContentSHA256Mismatch", "ExpiredToken", "RequestExpired",
}  # fmt: skip
PASSING_STATUS = {408, 409, 425, 429, 500, 502, 503, 504}


for _package in (botocore, aiobotocore, s3fs, aiohttp, fsspec):
    hush(_package)


class S3Fault(OSError):
    """A request that failed: its code in S3's words, and whether the same request may succeed in a moment.

    What the libraries say may quote the request's URL, and that the endpoint's password.
    """

    def __init__(self, code: str, why: str, passing: bool) -> None:
        super().__init__(bare(why))
        self.code, self.why, self.passing = code, bare(why), passing


class _OneTry(AIOHTTPSession):  # type: ignore[misc]
    """A connection that does not repeat requests behind our back: aiohttp does, once, where an answer was lost.

    So a creation looked like somebody else's, and six requests were twelve (measured).
    """

    async def _get_session(self, proxy_url: Any) -> Any:
        session = await super()._get_session(proxy_url)
        session._retry_connection = False
        return session


class S3Store(Store):
    """Objects of S3 buckets. Credentials are found by botocore: in the environment, or as the machine's role.

    A request that is silent for `silent_seconds`, or takes twice that and longer than its bytes may, is given up.
    """

    def __init__(
        self, endpoint: str | None = None, region: str | None = None, silent_seconds: float = SILENT_SECONDS
    ) -> None:
        self._silent_seconds = silent_seconds
        self._fs = s3fs.S3FileSystem(
            endpoint_url=endpoint,
            client_kwargs={"region_name": region} if region else {},
            config_kwargs={
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": silent_seconds,
                "retries": {"mode": "standard", "total_max_attempts": 1},
                "max_pool_connections": 64,
                "http_session_cls": _OneTry,
            },
            use_listings_cache=False,
            default_cache_type="none",
            skip_instance_cache=True,
        )
        self._fs.retries = 1  # ours is the one layer

    def list(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        # Sorted here: servers that keep folders of their own list "b/1" before "b.x".
        return iter(sorted(self._listed(prefix), key=lambda found: found[0]))

    def _listed(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        bucket, key = _split(prefix)
        folder = f"{key}/" if key else ""
        more: dict[str, str] = {}
        while True:
            page = self._page(prefix, bucket, folder, more)
            for one in page.get("Contents", ()):
                parts = one["Key"].removeprefix(folder).split("/")
                if all(part and not part.startswith((".", "_")) for part in parts):
                    yield (
                        f"s3://{bucket}/{one['Key']}",
                        Stat(one["Size"], _bare(one["ETag"]), one["LastModified"].timestamp()),
                    )
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def sweep(self, prefix: str) -> int:
        return 0  # a PUT that was broken off leaves nothing

    def _page(self, prefix: str, bucket: str, folder: str, more: dict[str, str]) -> dict[str, Any]:
        # As a write's, also of inputs: what cannot be listed is storage's fault and not one input's.
        page: dict[str, Any] = self._writing(
            prefix, lambda: self._ask("list_objects_v2", Bucket=bucket, Prefix=folder, **more)
        )
        return page

    def _stat(self, uri: str) -> Stat | None:
        bucket, key = _split(uri)
        if not key:
            return None
        try:
            found = self._ask("head_object", Bucket=bucket, Key=key)
        except S3Fault as fault:
            why = self._refusal(bucket, key) if fault.code in ("403", "400") else fault
            if why.code in ("404", "NoSuchKey"):
                return None
            raise why from None
        return Stat(found["ContentLength"], _bare(found["ETag"]), found["LastModified"].timestamp())

    def _refusal(self, bucket: str, key: str) -> S3Fault:
        """A HEAD has no body to say why it is refused: ask for one byte, whose refusal does."""

        async def first_byte() -> None:
            (await self._call("get_object", Bucket=bucket, Key=key, Range="bytes=0-0"))["Body"].close()

        try:
            self._run(first_byte)
        except S3Fault as fault:
            return fault
        return S3Fault("403", "refused once, then granted", passing=True)

    def _read(self, uri: str, etag: str | None, allowed: Roots | None, limit: int) -> tuple[bytes, Stat]:
        bucket, key = _split(uri)
        demanded = {"IfMatch": f'"{etag}"'} if etag else {}

        async def get() -> tuple[bytes, Stat]:
            answer = await self._call("get_object", Bucket=bucket, Key=key, **demanded)
            size = answer["ContentLength"]
            try:
                if size > limit:
                    raise PairError(
                        Reason.INPUT_TOO_LONG, f"{shown(uri)} has {size:,} bytes; at most {limit:,} are read"
                    )
                async with asyncio.timeout(self._deadline(size)):
                    data: bytes = await answer["Body"].read()
            finally:
                answer["Body"].close()
            digest = answer["Metadata"].get(DIGEST)
            if len(data) != size:
                raise S3Fault("IncompleteBody", f"{len(data):,} of {size:,} bytes arrived", passing=True)
            if digest is not None and hashlib.sha256(data).hexdigest() != digest:
                raise S3Fault(DAMAGED, OTHER_BYTES, passing=True)
            return data, Stat(size, _bare(answer["ETag"]), answer["LastModified"].timestamp())

        try:
            return self._run(get)
        except S3Fault as fault:
            if fault.code in ("PreconditionFailed", "412"):
                raise PairError(
                    Reason.INPUT_CHANGED, f"{shown(uri)} has been replaced since the run was planned"
                ) from fault
            raise

    def _create(self, uri: str, data: bytes) -> None:
        try:
            self._put(uri, data, IfNoneMatch="*")
        except S3Fault as fault:
            if fault.code in ("PreconditionFailed", "412"):
                raise AlreadyExists(uri) from fault
            raise

    def _replace(self, uri: str, data: bytes) -> None:
        self._put(uri, data)

    def _put(self, uri: str, data: bytes, **condition: str) -> None:
        bucket, key = _split(uri)
        digest = {DIGEST: hashlib.sha256(data).hexdigest()}
        self._ask("put_object", len(data), Bucket=bucket, Key=key, Body=data, Metadata=digest, **condition)

    def _delete(self, uri: str) -> None:
        bucket, key = _split(uri)
        self._ask("delete_object", Bucket=bucket, Key=key)

    def _transient(self, error: Exception) -> bool:
        return isinstance(error, S3Fault) and error.passing

    def _fault(self, uri: str, error: OSError, writing: bool) -> PairError:
        name, bucket = shown(uri), _split(uri)[0]
        if not isinstance(error, S3Fault):
            return PairError(Reason.STORAGE, f"{name}: {bare(str(error))}")
        if error.code == "NoCredentials":
            return PairError(
                Reason.STORAGE,
                f"no credentials for {name}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give "
                "this machine a role",
            )
        if error.code == "EndpointConnectionError":
            return PairError(
                Reason.STORAGE,
                f"no S3 server can be reached for {name} ({_server(self._fs.endpoint_url)}); check the network and "
                "--s3-endpoint or GRAMOPHONE_S3_ENDPOINT",
            )
        if error.code == "NoSuchBucket":
            return PairError(Reason.STORAGE, f"there is no bucket {bucket} ({name}); check its name and the endpoint")
        if not writing and error.code in ("NoSuchKey", "404"):
            return PairError(Reason.INPUT_MISSING, f"{name} is not there")
        if error.code in ("AccessDenied", "403", "AllAccessDisabled"):
            what = "written or listed" if writing else "read"
            reason = Reason.STORAGE if writing else Reason.INPUT_FORBIDDEN
            return PairError(reason, f"{name} may not be {what} by these credentials ({error.code}: {error.why})")
        if not writing and error.code == "InvalidObjectState":
            return PairError(
                Reason.INPUT_UNSUPPORTED,
                f"{name} is archived, where it cannot be read; restore it first, then rerun with --force",
            )
        if not writing and error.code == DAMAGED:
            return PairError(
                Reason.DECODE_ERROR, f"{name} is damaged in its bucket: {error.why}, however often it is read"
            )
        done = "written or listed" if writing else "read"
        return PairError(Reason.STORAGE, f"{name} cannot be {done}: {error.code}: {error.why}")

    def _ask(self, method: str, size: int = 0, /, **arguments: Any) -> Any:
        """One request and its answer, without a body to read. `size` in bytes of what is sent."""
        return self._run(lambda: self._call(method, size, **arguments))

    async def _call(self, method: str, size: int = 0, /, **arguments: Any) -> Any:
        async with asyncio.timeout(self._deadline(size)):
            return await self._fs._call_s3(method, **arguments)

    def _deadline(self, size: int) -> float:
        return 2 * self._silent_seconds + size / SLOWEST_BYTES_PER_SECOND

    def _run(self, request: Callable[[], Awaitable[T]]) -> T:
        """Wait for a request on s3fs's own loop. Raises S3Fault whatever goes wrong with it."""

        async def guarded() -> T:
            try:
                return await request()
            except (PairError, S3Fault):
                raise
            except Exception as error:
                raise _as_fault(error) from error

        result: T = sync(self._fs.loop, guarded)
        return result


def open_s3() -> S3Store:
    """The store of this process's environment: GRAMOPHONE_S3_ENDPOINT and the like, else what botocore finds.

    Raises UsageError for an endpoint that is none or holds a password, and for what is no time.
    """
    names = {name: f"GRAMOPHONE_{name.upper()}" for name in Connection.model_fields}
    try:
        found = Connection(**{name: os.environ[key] for name, key in names.items() if os.environ.get(key)})
    except ValidationError as error:
        [problem, *_] = error.errors()
        raise UsageError(f"{names[str(problem['loc'][0])]}: {problem['msg']}") from None
    os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "5")  # a role's credentials are asked for once, else
    return S3Store(found.s3_endpoint or None, found.s3_region or None, found.s3_timeout_seconds)


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _server(endpoint: str | None) -> str:
    return f"at {endpoint}" if endpoint else "AWS"


def _bare(etag: str) -> str:
    return etag.strip('"')


def _as_fault(error: Exception) -> S3Fault:
    """What s3fs, botocore or aiohttp raised, in our words."""
    cause = error if isinstance(error, ClientError | BotoCoreError) else error.__cause__
    if isinstance(cause, ClientError):
        told, status = cause.response.get("Error", {}), cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = str(told.get("Code") or status)
        passing = code in PASSING_CODES or (status in PASSING_STATUS)
        return S3Fault(code, str(told.get("Message") or "the server gives no reason"), passing)
    if isinstance(cause, NoCredentialsError | PartialCredentialsError):
        return S3Fault("NoCredentials", str(cause), passing=False)
    if isinstance(error, FlexibleChecksumError):  # S3's own, which other clients leave
        return S3Fault(DAMAGED, OTHER_BYTES, passing=True)
    if isinstance(error, TimeoutError):
        return S3Fault("Timeout", "no answer within the deadline", passing=True)
    # Connections that break anywhere, in botocore's, aiohttp's or the system's words.
    broken = (HTTPClientError, ConnectionError, ResponseParserError)
    passing = isinstance(cause, broken) or isinstance(error, (*broken, OSError)) or _is_from_aiohttp(error)
    return S3Fault(type(error).__name__, str(error) or "the connection broke", passing)


def _is_from_aiohttp(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "aiohttp"
