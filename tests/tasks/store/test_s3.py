"""Buckets: faults on the way, versions, refusals; through a proxy that breaks things for real."""

import hashlib
import os
import secrets

import pytest
import s3fs

from tasks.records.reasons import Reason
from tasks.roots import Roots
from tasks.store import MAX_REQUESTS, AlreadyExists, base, join, s3
from tests.proxy import Fault, proxy_to
from tests.tasks.store.support import child, names, refusal

FOUND_BY_CHECKSUM = (Fault.CUT_BODY, Fault.SHORT_LENGTH, Fault.FLIP_BYTE)
ON_THE_WAY = (Fault.ERROR_500, Fault.ERROR_503, Fault.SKEW_403, Fault.RESET, Fault.LOST_ANSWER)


@pytest.fixture
def root(s3_server):
    return join(s3_server, secrets.token_hex(6))


@pytest.fixture
def uri(root):
    return join(root, "a")


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr(base, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(base, "LONGEST_PAUSE_SECONDS", 0.05)


@pytest.fixture
def proxy(s3_server, s3_address, short_pauses):
    with proxy_to(s3_address, seed=4) as proxy:
        yield proxy


@pytest.fixture
def store(proxy):
    return s3.S3Store(proxy.url, os.environ.get("GRAMOPHONE_S3_REGION"))


def first(*faults):
    """A script: these faults on the first requests, none after."""
    return lambda method, path, number: faults[number] if number < len(faults) else None


def always(fault):
    return lambda method, path, number: fault


@pytest.mark.parametrize("fault", [*ON_THE_WAY, *FOUND_BY_CHECKSUM], ids=str)
def test_a_read_that_is_broken_once_is_repeated_and_right(store, proxy, uri, fault):
    store.create(uri, b"sound" * 1000)
    proxy.seen.clear()
    proxy.script = first(fault)
    assert store.read(uri).data == b"sound" * 1000
    assert [seen.fault for seen in proxy.seen] == [fault, None]


@pytest.mark.parametrize("fault", ON_THE_WAY, ids=str)
def test_a_creation_that_is_broken_once_is_ours(store, proxy, uri, fault):
    proxy.script = first(fault)
    store.create(uri, b"sound")
    proxy.script = None
    assert store.read(uri).data == b"sound"


@pytest.mark.parametrize("fault", ON_THE_WAY, ids=str)
def test_looking_and_listing_and_deleting_are_repeated(store, proxy, root, uri, fault):
    store.create(uri, b"sound")
    for operation in (lambda: store.stat(uri).size, lambda: names(store, root), lambda: store.delete(uri)):
        proxy.seen.clear()
        proxy.script = first(fault)
        assert operation() in (5, ["a"], None)
        assert len(proxy.seen) <= 3  # a HEAD that is refused asks for the reason


@pytest.mark.parametrize("fault", ON_THE_WAY, ids=str)
def test_a_look_that_is_broken_once_at_what_is_not_there_finds_nothing(store, proxy, uri, fault):
    proxy.script = first(fault)
    assert store.stat(uri) is None


@pytest.mark.parametrize("fault", [Fault.ERROR_503, Fault.RESET], ids=str)
@pytest.mark.parametrize("operation", ["stat", "read", "list", "create", "replace", "delete"])
def test_a_fault_that_stays_costs_six_requests_for_an_operation(store, proxy, root, uri, operation, fault):
    proxy.script = always(fault)
    work = {
        "list": lambda: list(store.list(root)),
        "create": lambda: store.create(uri, b"x"),
        "replace": lambda: store.replace(uri, b"x"),
    }.get(operation, lambda: getattr(store, operation)(uri))
    assert refusal(work).reason is Reason.STORAGE
    assert len(proxy.seen) == MAX_REQUESTS


def test_a_lost_answer_does_not_claim_what_somebody_else_created(store, proxy, uri):
    store.create(uri, b"theirs")
    proxy.seen.clear()
    proxy.script = first(Fault.LOST_ANSWER)
    with pytest.raises(AlreadyExists):
        store.create(uri, b"ours")


def test_a_server_that_hangs_is_given_up(proxy, uri):
    store = s3.S3Store(proxy.url, os.environ.get("GRAMOPHONE_S3_REGION"), silent_seconds=0.2)
    proxy.script = always(Fault.HANG)
    error = refusal(lambda: store.read(uri))
    assert error.reason is Reason.STORAGE
    assert "ReadTimeout" in error.message or "deadline" in error.message
    assert len(proxy.seen) <= MAX_REQUESTS  # on a busy machine one may end before it is sent


def kept_with(store, uri, data, **checksum):
    bucket, key = s3._split(uri)
    store._ask("put_object", Bucket=bucket, Key=key, Body=data, **checksum)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_read_is_checked_against_the_checksum_that_another_client_has_left(store, proxy, uri, algorithm):
    kept_with(store, uri, b"sound" * 1000, ChecksumAlgorithm=algorithm)
    proxy.script = always(Fault.FLIP_BYTE)
    assert refusal(lambda: store.read(uri)).reason is Reason.DECODE_ERROR
    proxy.script = None
    assert store.read(uri).data == b"sound" * 1000


def test_an_object_that_is_damaged_for_good_is_an_input_that_cannot_be_decoded(store, proxy, uri):
    sound, damaged = b"sound" * 1000, b"sound" * 999 + b"souna"
    kept_with(store, uri, damaged, Metadata={"sha256": hashlib.sha256(sound).hexdigest()})
    proxy.seen.clear()
    error = refusal(lambda: store.read(uri))
    assert error.reason is Reason.DECODE_ERROR
    assert "damaged in its bucket" in error.message
    assert "checksum" in error.message
    assert len(proxy.seen) == MAX_REQUESTS
    with pytest.raises(AlreadyExists):
        store.create(uri, sound)


def test_without_a_checksum_a_changed_byte_is_not_found(store, proxy, uri):
    """The limit of what is promised (infra/README.md): then only the decoder may find it."""
    silent = s3fs.S3FileSystem(
        endpoint_url=proxy.url,
        config_kwargs={"request_checksum_calculation": "when_required"},
        skip_instance_cache=True,
    )
    silent.pipe_file(uri, b"sound" * 1000)
    proxy.script = always(Fault.FLIP_BYTE)
    assert store.read(uri).data != b"sound" * 1000


def test_a_version_is_demanded_with_the_bytes(store, uri):
    store.create(uri, b"planned")
    planned = store.stat(uri).etag
    assert store.read(uri, etag=planned).data == b"planned"
    store.replace(uri, b"replaced")
    assert refusal(lambda: store.read(uri, etag=planned)).reason is Reason.INPUT_CHANGED


def test_what_lies_outside_the_allowed_places_is_never_asked_for(store, proxy, root):
    roots = Roots((join(root, "mine"),))
    for uri in (join(root, "a"), join(root, "mineral"), "s3://another-bucket/a"):
        assert refusal(lambda uri=uri: store.read(uri, allowed=roots)).reason is Reason.INPUT_FORBIDDEN
    assert proxy.seen == []


def test_a_listing_of_several_pages_is_complete(store, proxy, root, monkeypatch):
    for number in range(7):
        store.create(join(root, f"{number}"), b"")
    ask = store._ask
    monkeypatch.setattr(store, "_ask", lambda method, *rest, **given: ask(method, *rest, MaxKeys=3, **given))
    proxy.seen.clear()
    assert names(store, root) == list("0123456")
    assert len(proxy.seen) == 3


def test_a_bucket_that_is_not_there_is_said_so(store):
    for operation in (store.read, lambda uri: list(store.list(uri))):
        error = refusal(lambda operation=operation: operation("s3://no-such-bucket/a"))
        assert error.reason is Reason.STORAGE
        assert "no bucket no-such-bucket" in error.message


def test_a_server_that_is_not_there_is_named_with_what_to_check(proxy, uri):
    error = refusal(lambda: s3.S3Store("http://127.0.0.1:9").read(uri))
    assert error.reason is Reason.STORAGE
    assert "no S3 server can be reached" in error.message
    assert "(at http://127.0.0.1:9); check the network and --s3-endpoint" in error.message


ASK = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from tasks.records.reasons import PairError
from tasks.store import open_store
for operation in (lambda s, u: s.stat(u), lambda s, u: s.read(u), lambda s, u: s.create(u + "-new", b"")):
    try:
        print(operation(open_store(sys.argv[1]), sys.argv[1]))
    except PairError as error:
        print(error.reason, error.message)
"""


def test_wrong_credentials_are_said_and_never_shown(store, uri):
    store.create(uri, b"sound")
    environment = os.environ | {"AWS_SECRET_ACCESS_KEY": "wrong-canary-51"}
    done = child(ASK, uri, env=environment)
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == ["storage"] * 3, done.stdout + done.stderr
    assert "SignatureDoesNotMatch" in done.stdout
    assert "wrong-canary-51" not in done.stdout + done.stderr


def test_missing_credentials_name_where_they_are_looked_for(uri):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = child(ASK, uri, env=environment | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"})
    assert "AWS_ACCESS_KEY_ID" in done.stdout, done.stderr
    assert done.stdout.startswith("storage no credentials")


@pytest.mark.parametrize("secret", ["http://me:canary-61@127.0.0.1:9", "http://127.0.0.1:9?X-Amz-Signature=canary-61"])
def test_what_goes_wrong_with_an_endpoint_is_told_without_its_password_or_signature(monkeypatch, short_pauses, secret):
    """As AWS's own variable names it; --s3-endpoint refuses such a one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", secret)
    for operation in (s3.S3Store().read, lambda uri: s3.S3Store().create(uri, b"x")):
        error = refusal(lambda operation=operation: operation("s3://bucket/a"))
        assert error.reason is Reason.STORAGE
        assert "canary-61" not in error.message


@pytest.mark.parametrize("text", ['at "http://me:canary-61@s3.example.org/b?c"', "s3://b/k?X-Amz-Signature=canary-61"])
def test_a_fault_in_the_libraries_words_quotes_neither(text):
    for error in (s3.S3Fault("Odd", text, passing=False), OSError(text)):
        told = s3.S3Store("http://127.0.0.1:9")._fault("s3://bucket/a", error, writing=False)
        assert "canary-61" not in told.message + (str(error) if isinstance(error, s3.S3Fault) else "")


def test_an_object_that_is_archived_is_an_input_to_restore_and_no_fault_of_the_storage(store, proxy, uri):
    store.create(uri, b"sound")
    proxy.seen.clear()
    proxy.script = always(Fault.ARCHIVED_403)
    error = refusal(lambda: store.read(uri))
    assert error.reason is Reason.INPUT_UNSUPPORTED
    assert "is archived, where it cannot be read; restore it first" in error.message
    assert len(proxy.seen) == 1


TURN_ON_LATER = """
import logging, sys
from tasks.records.reasons import PairError
from tasks.store import s3
logging.basicConfig(level=logging.DEBUG)
store = s3.open_s3()
for _ in range(2):  # the first request loads what is left of the libraries
    for name in ("botocore", "botocore.auth", "aiobotocore", "s3fs", *logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        store.stat(sys.argv[1])
    except PairError as error:
        print(error.message)
"""


def test_whoever_turns_on_debugging_later_or_of_one_module_is_told_no_session_token(uri):
    done = child(TURN_ON_LATER, uri, env=os.environ | {"AWS_SESSION_TOKEN": "canary-71"})
    assert done.stdout.count("InvalidAccessKeyId") == 2, "the server knows no tokens: it was sent one"
    assert "DEBUG:asyncio" in done.stderr
    assert "canary-71" not in done.stdout + done.stderr
    assert os.environ["AWS_ACCESS_KEY_ID"] not in done.stderr
