"""A first night in infra/kubernetes/ray as infra/README.md tells it, in pods of this machine."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.flows.processes import children_of, command_of, wait_for
from tests.infra.commands import INFRA
from tests.infra.pods import OUTSIDE, Cluster, Image, Pod, call, told
from tests.infra.test_compose import SERVICES
from tests.infra.test_kubernetes import OVERLAYS
from tests.servers import postgres_folder

PAIRS = 32
KEYS = {"AWS_ACCESS_KEY_ID": "gramophone", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(24)}
SECRETS = {
    "prefect": {"database-password": secrets.token_hex(24), "auth-string": f"gramophone:{secrets.token_hex(24)}"},
    "ray": {"token": secrets.token_hex(32)},
    **{f"s3-{role}": KEYS for role in ("worker", "reader", "compact", "gc")},
}
BUCKET = """
import os, botocore.session
there = {"endpoint_url": os.environ["GRAMOPHONE_S3_ENDPOINT"]}
botocore.session.get_session().create_client("s3", "us-east-1", **there).create_bucket(Bucket="music")
"""
INPUTS = """
import datetime, io, os, sys, zoneinfo
import pandas, s3fs
from tasks.audio import encode
from tasks.clips import synthesise
bucket = s3fs.S3FileSystem(endpoint_url=os.environ["GRAMOPHONE_S3_ENDPOINT"])
for name, kind in (("tune", "marimba"), ("texture", "bells")):
    bucket.pipe(f"music/library/{name}.flac", encode(synthesise(kind, 2.0, 22_050), 22_050, "flac"))
rows = [
    {"pair_id": f"p{n}", "content_uri": "s3://music/library/tune.flac", "style_uri": "s3://music/library/texture.flac",
     "seed": n}
    for n in range(int(sys.argv[1]))
]
data = io.BytesIO()
pandas.DataFrame(rows).to_parquet(data)
today = datetime.datetime.now(zoneinfo.ZoneInfo(os.environ["GRAMOPHONE_TIMEZONE"])).date()
bucket.pipe(f"music/manifests/{today}.parquet", data.getvalue())
"""
COMMITTED = """
import os, s3fs
bucket = s3fs.S3FileSystem(endpoint_url=os.environ["GRAMOPHONE_S3_ENDPOINT"])
print(len(bucket.glob("music/gramophone/results/**/shard-*.parquet")))
"""
BY_HOST = (
    "select host, count(*) pairs, sum(tries) tries, any_value(image_digest) image from results group by 1 order by 1"
)
PUSHED = ("--openmetrics", "http://pushgateway.monitoring:9091/metrics/job/gramophone")
CPU_NODE = {"--num-gpus=1": "--num-gpus=0", "--num-cpus=4": "--num-cpus=1"}
PASSWORD = SECRETS["prefect"]["database-password"]


@contextmanager
def outside(folder: Path) -> Iterator[None]:
    """PostgreSQL and a bucket, whose images are others'."""
    programs, data = postgres_folder(), folder / "postgres"
    assert programs is not None, "PostgreSQL's programs are needed"
    data.mkdir()
    shutil.chown(data, "postgres")
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    theirs = ["runuser", "-u", "postgres", "--"]
    made = [programs / "initdb", "-D", data, "-U", "prefect", "-A", "scram-sha-256", f"--pwfile={folder}/password"]
    call(*theirs, *made, cwd="/")
    with (data / "pg_hba.conf").open("a") as rules:
        print("host all all 10.77.0.0/24 scram-sha-256", file=rules)
    (folder / "bucket").mkdir()
    bucket = [argument.replace("/data", f"{folder}/bucket") for argument in SERVICES["s3"]["command"]]
    for name, command in (
        ("database", [*theirs, programs / "postgres", "-D", data, "-h", OUTSIDE, "-k", ""]),
        ("s3", [Path(sys.executable).with_name("weed"), *bucket]),
    ):
        with (folder / f"{name}.log").open("wb") as log:
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd="/", env=os.environ | KEYS)
    ready = [programs / "pg_isready", "-h", OUTSIDE]
    wait_for(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, "PostgreSQL")
    in_database("createdb -U prefect prefect")
    yield  # they end with the namespace


def in_database(command: str, **how: Any) -> None:
    """Type a command of infra/README.md in the container of PostgreSQL."""
    programs = postgres_folder()
    assert programs is not None
    program, *arguments = told(command)
    there = os.environ | {"PGHOST": OUTSIDE, "PGPASSWORD": PASSWORD}
    subprocess.run([programs / program, *arguments], check=True, env=there, **how)


def set_up(images: dict[str, Image], folder: Path) -> Cluster:
    """What is edited before the first apply: where the bucket is, and that Ray's nodes compute, here on CPUs."""
    objects = OVERLAYS["ray"]
    [config] = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
    config = config | {"GRAMOPHONE_S3_ENDPOINT": "http://s3:8333"}
    edited = re.sub(r"# (engine: ray|ray_address: )", r"\1", (INFRA / "prefect.yaml").read_text())
    (folder / "prefect-yaml").mkdir()
    (folder / "prefect-yaml" / "prefect.yaml").write_text(edited.replace("# device: cuda", "device: cpu"))
    names = {"postgres": OUTSIDE, "s3": OUTSIDE}
    return Cluster(objects, images, {"gramophone": config}, SECRETS, folder, CPU_NODE, names)


def is_at_work(node: Pod) -> bool:
    """Whether a worker of Ray's node has begun, with its decoders."""
    workers = [pid for pid in children_of(node.process.pid) if "spawn_main" in command_of(pid)]
    return any(children_of(pid) for pid in workers)


def given(tools: Pod, pairs: int) -> None:
    """The night's manifest, of so many pairs of which the first are those that it had before."""
    tools.asked("python", "-c", INPUTS, str(pairs))


def committed(tools: Pod) -> int:
    """How many shards are."""
    return int(tools.asked("python", "-c", COMMITTED))


def night(cluster: Cluster) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    cluster.scale(1, "prefect-server", "ray-head", "tools", "worker")
    cluster.scale(2, "ray-node")
    cluster.ready("prefect-server", "ray-head", "ray-node")
    tools = cluster.ready("tools")
    tools.asked("python", "-c", BUCKET)
    cluster.do("Job", "deploy")
    seen["doctor"] = cluster.ready("worker").asked(*told("gramophone doctor"))
    given(tools, PAIRS)
    tools.asked("prefect", "deployment", "run", "nightly/nightly")
    wait_for(lambda: committed(tools) > 0 and is_at_work(cluster.deployed["ray-node"][-1]), "a shard", 600)
    cluster.lose("ray-node")
    cluster.ready("ray-node")
    verdict = told("gramophone status --night today")
    wait_for(lambda: tools.type(*verdict).returncode == 0, lambda: f"{tools.type(*verdict)}", 900)
    seen["hosts"] = by_host(tools)
    seen["verify"] = tools.asked("gramophone", "verify")
    seen["monitor"] = cluster.do("CronJob", "monitor", *PUSHED)
    seen["compact"], seen["gc"] = cluster.do("CronJob", "compact"), cluster.do("CronJob", "gc")
    return seen


def by_host(tools: Pod) -> list[dict[str, Any]]:
    """For each host its pairs, how often they were tried, and its image."""
    found: list[dict[str, Any]] = json.loads(tools.asked("gramophone", "metrics", "--json", "--sql", BY_HOST))
    return found
