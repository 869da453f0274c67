"""Credentials planted by every road that leads into a run are found in nothing that a run leaves (promise 9)."""

import base64
import io
import os
import pickle
import secrets

import pandas as pd
import pytest

from tasks.audio import encode
from tasks.clips import synthesise
from tasks.records.run import Job, Options
from tasks.store import join, open_store
from tasks.submit import prepare_nightly
from tasks.worker import Order
from tests.flows.conftest import Desk
from tests.servers import free_port
from tests.suite import HOME, S3_IS_OURS, kept_by_prefect
from tests.tasks.store.support import child

PLANTED = {
    road: f"canary-of-{road}-{secrets.token_hex(4)}"
    for road in (
        "token",
        "profile",
        "auth",
        "cell",
        "style",
        "styles",
        "weights",
        "json",
        "pair_id",
        "method",
        "lineage",
    )
}
AUTH = f"admin:{PLANTED['auth']}"
LOGGERS = "botocore,aiobotocore,s3fs,fsspec,aiohttp,urllib3,openlineage"  # not those by which Prefect sends logs
KEPT_BY_PREFECT = HOME / "results-of-prefect"


def secret_texts():
    """Every spelling in which a planted secret might be found."""
    sent = base64.b64encode(AUTH.encode()).decode()
    return [*PLANTED.values(), os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ACCESS_KEY_ID"], sent]


def found_in(data):
    data = data.encode() if isinstance(data, str) else data
    return [text for text in secret_texts() if text.encode() in data]


@pytest.fixture(scope="module")
def bucket(s3_server):
    """A prefix with two sounds and a manifest, in whose cells people have written their passwords."""
    if not S3_IS_OURS:
        pytest.skip("secrets are planted on the suite's own server only")
    uri = join(s3_server, f"secrets-{secrets.token_hex(4)}")
    store = open_store(uri)
    for name, kind in (("tune", "flute"), ("texture", "drums")):
        store.create(join(uri, f"{name}.flac"), encode(synthesise(kind, 1.1, 8_000), 8_000, "flac"))

    def private(road):
        return f"s3://me:{PLANTED[road]}@music/tune.flac"

    def weights(road):
        return f'{{"features": "vgg", "vgg_weights": "{private(road)}"'

    row = {"content_uri": "tune.flac", "style_uri": "texture.flac"}
    rows = [
        row | {"pair_id": "fine"},
        row | {"pair_id": "cell", "content_uri": private("cell")},
        row | {"pair_id": "style", "style_uri": private("style")},
        row | {"pair_id": "styles", "style_uri": None, "styles": [{"uri": private("styles"), "weight": 1.0}]},
        row | {"pair_id": "weights", "params": weights("weights") + "}"},
        row | {"pair_id": "json", "params": weights("json")},
        row | {"pair_id": private("pair_id")},
        row | {"pair_id": "method", "method": private("method")},
    ]
    store.create(join(uri, "manifest.parquet"), pd.DataFrame(rows).to_parquet())
    return uri


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """An environment that holds secrets wherever it can, and logs all that anybody says."""
    profile = tmp_path_factory.mktemp("aws") / "credentials"
    nobody, real = (
        ("nobody", PLANTED["profile"]),
        (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]),
    )
    profile.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            for name, (key, secret) in (("night", nobody), ("real", real))
        )
    )
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(profile),
        "AWS_PROFILE": "night",
        "PREFECT_API_AUTH_STRING": AUTH,
        "OPENLINEAGE_URL": f"http://me:{PLANTED['lineage']}@127.0.0.1:{free_port()}",  # where nobody listens
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": LOGGERS,
        "S3FS_LOGGING_LEVEL": "DEBUG",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_LOCAL_STORAGE_PATH": str(KEPT_BY_PREFECT),
    }


@pytest.fixture(scope="module", params=["environment", pytest.param("profile", marks=pytest.mark.chaos)])
def key_in(request):
    """Where the key is that opens the bucket: what the environment holds wins over any profile."""
    return request.param


@pytest.fixture(scope="module")
def root(bucket, key_in):
    return join(bucket, f"root-{key_in}")


@pytest.fixture(scope="module")
def said(bucket, root, key_in, planted, desk):
    """What a run with all of it said."""
    if key_in == "profile":
        desk = Desk(desk.folder, {n: value for n, value in desk.environment.items() if not n.startswith("AWS_")})
        planted = planted | {"AWS_PROFILE": "real"}
    return desk.type("run", join(bucket, "manifest.parquet"), "--root", root, **planted)


def test_the_run_computes_what_is_fine_and_refuses_the_rest(said):
    assert said.code == 1, said.err
    assert "1 of 8 pairs done; 7 failed" in said.out
    assert "DEBUG" in said.err, "all that is logged is looked into"


def test_a_lineage_backend_that_is_down_changes_no_result_and_the_events_are_kept(said, root):
    assert "Connection refused" in said.err
    [(uri, _)] = open_store(root).list(join(root, "lineage"))
    assert b'"eventType":"FAIL"' in open_store(root).read(uri).data, "the run's own end, and it stays exit code 1"


def test_nothing_that_the_run_said_holds_a_secret(said):
    assert found_in(said.out + said.err) == []


def test_nothing_that_the_run_wrote_holds_a_secret(said, root):
    store, looked_at = open_store(root), set()
    for uri, _ in store.list(root):
        data = store.read(uri).data
        told = str(pd.read_parquet(io.BytesIO(data)).to_dict("records")).encode() if uri.endswith(".parquet") else b""
        assert found_in(data + told) == [], uri
        looked_at.add(uri.removeprefix(f"{root}/").split("/")[0])
    assert looked_at == {"audio", "curves", "lineage", "results", "runs"}


def test_nothing_that_prefect_keeps_holds_a_secret(said):
    kept = kept_by_prefect()
    assert b"input_forbidden" in kept, "what Prefect keeps is looked into"
    assert found_in(kept) == []
    for path in HOME.glob("prefect*/**/*"):
        if path.is_file():
            assert found_in(path.read_bytes()) == [], path
    assert found_in((HOME / "prefect-server.log").read_bytes()) == []


def test_prefect_keeps_no_result_in_a_form_that_runs_code_also_where_that_is_its_default(said):
    assert not KEPT_BY_PREFECT.exists() or list(KEPT_BY_PREFECT.iterdir()) == []


def test_nothing_that_a_task_or_a_worker_is_given_holds_a_secret_when_it_is_pickled(bucket, planted, monkeypatch):
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"):
        monkeypatch.setenv(name, planted[name])
    job = Job(manifest=join(bucket, "manifest.parquet"), root=join(bucket, "root"), options=Options(force=True))
    submission = prepare_nightly(job)
    assert len(submission.plan.pairs) == 8
    given = [submission, *(Order(submission.root, submission.run, shard.pairs) for shard in submission.plan.shards)]
    for argument in given:
        assert found_in(pickle.dumps(argument)) == [], type(argument)


LOG_EVERYTHING = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from tasks.records.reasons import PairError
from tasks.store import open_store
for name in sys.argv[2].split(","):
    logging.getLogger(name).setLevel(logging.DEBUG)
try:
    open_store(sys.argv[1]).stat(sys.argv[1])
except PairError as error:
    print(error.message)
"""


def test_a_session_token_is_in_no_log_whoever_turns_on_debugging(bucket):
    asked = child(
        LOG_EVERYTHING, join(bucket, "tune.flac"), LOGGERS, env=os.environ | {"AWS_SESSION_TOKEN": PLANTED["token"]}
    )
    assert "InvalidAccessKeyId" in asked.stdout, "the server knows no tokens: that it was sent one says its answer"
    assert "DEBUG" in asked.stderr
    assert found_in(asked.stdout + asked.stderr) == []


ROADS = {
    "the manifest's URI": (["run", "s3://me:canary-81@music/m.parquet"], ""),
    "the root": (["run", "m.parquet", "--root", "s3://me:canary-81@music/root"], ""),
    "a place": (["run", "m.parquet", "--allow", "s3://me:canary-81@music"], ""),
    "the endpoint": (["run", "m.parquet", "--s3-endpoint", "https://me:canary-81@s3.example.org"], ""),
    "a signed endpoint": (
        ["run", "m.parquet", "--s3-endpoint", "https://s3.example.org?X-Amz-Signature=canary-81"],
        "",
    ),
    "weights": (["run", "m.parquet", "--vgg-weights", "s3://me:canary-81@music/vgg.safetensors"], ""),
    "weights of a track": (["restyle", "a.wav", "a.wav", "-o", "b.wav", "--vgg-weights", "s3://me:canary-81@b/k"], ""),
    "a track": (["restyle", "s3://me:canary-81@music/a.wav", "a.wav", "-o", "b.wav"], ""),
    "a reader's root": (["status", "--latest", "--root", "s3://me:canary-81@music/root"], ""),
    "an override": (["rerun", "--latest", "--set", "vgg_weights=s3://me:canary-81@music/k"], ""),
    "the file's endpoint": (["run", "m.parquet"], 's3_endpoint = "https://me:canary-81@s3.example.org"'),
    "the file's root": (["run", "m.parquet"], 'root = "s3://me:canary-81@music/root"'),
    "the file's place": (["run", "m.parquet"], 'allow = ["s3://me:canary-81@music"]'),
    "the file's weights": (["run", "m.parquet"], 'vgg_weights = "s3://me:canary-81@music/vgg.safetensors"'),
    "a key in the file": (["run", "m.parquet"], 'aws_secret_access_key = "canary-81"'),
    "a table in the file": (["run", "m.parquet"], '[s3]\nsecret = "canary-81"'),
    "a file that is none": (["run", "m.parquet"], "aws_secret_access_key = canary-81"),
}


@pytest.mark.parametrize("road", ROADS)
def test_a_secret_where_none_belongs_is_refused_and_not_repeated(road, tmp_path, monkeypatch):
    monkeypatch.delenv("GRAMOPHONE_S3_ENDPOINT", raising=False)  # it would win over the file's
    arguments, settings = ROADS[road]
    (tmp_path / "gramophone.toml").write_text(f"{settings}\n")
    for name in ("a", "b"):
        Desk(tmp_path, dict(os.environ)).clip(name)
    Desk(tmp_path, {}).manifest([{"pair_id": "p", "content_uri": "a.wav", "style_uri": "b.wav"}], "m.parquet")
    said = Desk(tmp_path, dict(os.environ)).ask(*arguments)
    assert said.code == 2, said.out + said.err
    assert "Traceback" not in said.err
    assert "canary-81" not in said.out + said.err
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "gramophone.toml"]
    assert [path for path in kept if b"canary-81" in path.read_bytes()] == []
