"""A first night in infra/kubernetes/ray as infra/README.md tells it, in pods of this machine; prints what was seen.

unshare --net --mount python -m tests.infra.night_in_pods IMAGE_CPU IMAGE_GPU FOLDER
"""

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
from tests.infra.pods import OUTSIDE, Cluster, Image, Pod, call
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
CPU_NODE = (("--num-gpus=1", "--num-gpus=0"), ("--num-cpus=4", "--num-cpus=1"))


@contextmanager
def outside(folder: Path) -> Iterator[None]:
    """PostgreSQL and a bucket, whose images are others'."""
    programs, data, password = postgres_folder(), folder / "postgres", SECRETS["prefect"]["database-password"]
    assert programs is not None, "PostgreSQL's programs are needed"
    data.mkdir()
    shutil.chown(data, "postgres")
    (folder / "password").write_text(password)
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
    call(programs / "createdb", "-h", OUTSIDE, "-U", "prefect", "prefect", env=os.environ | {"PGPASSWORD": password})
    yield  # they end with the namespace


def asked(pod: Pod, *command: str) -> str:
    said = pod.type(*command)
    assert said.returncode == 0, f"{command}: {said.stdout}{said.stderr}"
    return said.stdout


def set_up(images: dict[str, Image], folder: Path) -> Cluster:
    """What is edited before the first apply: where the bucket is, and that Ray's nodes compute, here on CPUs."""
    objects = OVERLAYS["ray"]
    [config] = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
    config = config | {"GRAMOPHONE_S3_ENDPOINT": "http://s3:8333"}
    edited = re.sub(r"# (engine: ray|ray_address: )", r"\1", (INFRA / "prefect.yaml").read_text())
    (folder / "prefect-yaml").mkdir()
    (folder / "prefect-yaml" / "prefect.yaml").write_text(edited.replace("# device: cuda", "device: cpu"))
    return Cluster(objects, images, {"gramophone": config}, SECRETS, folder, {"postgres": OUTSIDE, "s3": OUTSIDE})


def is_at_work(node: Pod) -> bool:
    """Whether a worker of Ray's node has begun, with its decoders."""
    workers = [pid for pid in children_of(node.process.pid) if "spawn_main" in command_of(pid)]
    return any(children_of(pid) for pid in workers)


def night(cluster: Cluster) -> dict[str, Any]:
    told: dict[str, Any] = {}
    server, head = cluster.start("prefect-server"), cluster.start("ray-head")
    nodes = [cluster.start("ray-node", *CPU_NODE) for _ in range(2)]
    for pod in (server.ready(), head.ready(), *nodes):
        pod.ready()
    tools = cluster.start("tools").ready()
    asked(tools, "python", "-c", BUCKET)
    cluster.do("Job", "deploy")
    worker = cluster.start("worker").ready()
    told["doctor"] = asked(worker, "gramophone", "doctor")
    asked(tools, "python", "-c", INPUTS, str(PAIRS))
    asked(tools, "prefect", "deployment", "run", "nightly/nightly")
    wait_for(lambda: int(asked(tools, "python", "-c", COMMITTED)) > 0 and is_at_work(nodes[1]), "a shard", 600)
    nodes[1].kill()
    nodes[1] = cluster.start("ray-node", *CPU_NODE).ready()
    verdict = ["gramophone", "status", "--night", "today"]
    wait_for(lambda: tools.type(*verdict).returncode == 0, lambda: f"{tools.type(*verdict)}; {worker.said()}", 900)
    told["hosts"] = json.loads(asked(tools, "gramophone", "metrics", "--json", "--sql", BY_HOST))
    told["verify"] = asked(tools, "gramophone", "verify")
    told["monitor"] = cluster.do("CronJob", "monitor", *PUSHED)
    told["compact"], told["gc"] = cluster.do("CronJob", "compact"), cluster.do("CronJob", "gc")
    told["ended"] = {pod.name: round(pod.ended(), 1) for pod in (worker, *nodes, head)}
    return told


def main() -> None:
    cpu, gpu, folder = sys.argv[1:]
    images = {f"registry.example.org/gramophone-{kind}:0.1.0": name for kind, name in (("cpu", cpu), ("gpu", gpu))}
    cluster = set_up({name: Image.mounted(ours) for name, ours in images.items()}, Path(folder))
    try:
        with outside(Path(folder)):
            print(json.dumps(night(cluster), indent=1))
    finally:
        for pod in cluster.pods:
            pod.remove()


if __name__ == "__main__":
    main()
