"""A first night in pods, and what infra/README.md tells of the years after it: an upgrade, a database that is restored
and one that is lost, a night that is broken off; prints what was seen, a line of JSON for each.

unshare --net --mount python -m tests.infra.years_in_pods IMAGE_CPU IMAGE_GPU FOLDER
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.flows.processes import wait_for
from tests.infra.night_in_pods import PAIRS, by_host, committed, given, in_database, is_at_work, night, outside, set_up
from tests.infra.pods import Cluster, Image, Pod, told

OLD, NEW = ":0.1.0", ":0.1.1"
RUNS = """
import json
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(json.dumps([run.state_name for run in client.read_flow_runs() if run.state_name != "Scheduled"]))
"""
STATUS = "gramophone status --night today"
POOL = "prefect work-pool inspect gramophone"
PAUSED = "is_paused=True"
NIGHT, RERUN = ("prefect", "deployment", "run", "nightly/nightly"), ("prefect", "deployment", "run", "rerun/rerun")
ALL = ("prefect-server", "ray-head", "ray-node", "tools", "worker")


def history(tools: Pod) -> list[str]:
    """The states of the flow runs that Prefect knows."""
    found: list[str] = json.loads(tools.asked("python", "-c", RUNS))
    return found


def stands(tools: Pod) -> str:
    """What `status` says first of the night, done or not."""
    return tools.type(*told(STATUS)).stdout


def began_anew(cluster: Cluster, *names: str) -> Pod:
    """All pods of these Deployments, as they are made of what is in the cluster now; returns that of tools."""
    cluster.scale(0, *reversed(names))
    cluster.scale(1, *names)
    return back(cluster, *names)


def back(cluster: Cluster, *names: str) -> Pod:
    """Wait for what has begun, and deploy, as an apply does; returns the pod of tools."""
    cluster.ready(*(name for name in names if name != "worker"))
    cluster.do("Job", "deploy")
    cluster.ready("worker")
    return cluster.ready("tools")


def upgrade(cluster: Cluster) -> dict[str, Any]:
    """To the same code under another tag, between two nights; the second one has a pair more."""
    tools = cluster.ready("tools")
    tools.asked(*told("prefect work-pool pause gramophone"))
    tools.asked(*told(STATUS))
    with dump(cluster).open("wb") as to:
        in_database("pg_dump -U prefect -Fc prefect", stdout=to)
    cluster.objects = json.loads(json.dumps(cluster.objects).replace(OLD, NEW))
    cluster.images |= {name.replace(OLD, NEW): image for name, image in cluster.images.items()}
    tools = began_anew(cluster, *ALL)
    seen: dict[str, Any] = {"pool": tools.asked(*told(POOL))}
    seen["doctor"] = tools.asked(*told("gramophone doctor --root s3://music/gramophone"))
    tools.asked(*told("prefect work-pool resume gramophone"))
    given(tools, PAIRS + 1)
    tools.asked(*NIGHT, "--watch")
    return seen | {"hosts": by_host(tools), "history": history(tools)}


def dump(cluster: Cluster) -> Path:
    return cluster.folder / "prefect.dump"


def emptied() -> None:
    in_database("dropdb -U prefect --force prefect")
    in_database("createdb -U prefect prefect")


def restored(cluster: Cluster) -> dict[str, Any]:
    """Prefect's database as it was when the upgrade began."""
    cluster.scale(0, "worker", "prefect-server")
    emptied()
    with dump(cluster).open("rb") as dumped:
        in_database("pg_restore -U prefect -d prefect --exit-on-error", stdin=dumped)
    cluster.scale(1, "prefect-server", "worker")
    tools = back(cluster, "prefect-server", "worker")
    seen = {"pool": tools.asked(*told(POOL)), "history": history(tools), "status": stands(tools)}
    tools.asked(*told("prefect work-pool resume gramophone"))
    return seen


def lost(cluster: Cluster) -> dict[str, Any]:
    """Prefect's database is gone, and an empty one in its place; then a night with nothing to do."""
    cluster.scale(0, "worker", "prefect-server")
    emptied()
    cluster.scale(1, "prefect-server", "worker")
    tools = back(cluster, "prefect-server", "worker")
    seen = {"history": history(tools), "status": stands(tools), "pool": tools.asked(*told(POOL))}
    tools.asked(*NIGHT, "--watch")
    return seen | {"after": stands(tools)}


def in_mid_night(cluster: Cluster, pairs: int) -> Pod:
    """A night with some pairs more, one shard of them committed and another begun."""
    tools = cluster.ready("tools")
    before = committed(tools)
    given(tools, pairs)
    tools.asked(*NIGHT)
    node = cluster.deployed["ray-node"][-1]
    wait_for(lambda: committed(tools) > before and is_at_work(node), "a shard", 600)
    return tools


def without_a_flow(cluster: Cluster, pairs: int) -> dict[str, Any]:
    """The worker's pod is killed in mid-night, and another one begins: pairs are lost until a rerun."""
    tools = in_mid_night(cluster, pairs)
    cluster.lose("worker")
    cluster.ready("worker")
    seen = {"status": stands(tools)}
    tools.asked(*RERUN, "--watch")
    return seen | {"after": stands(tools)}


def years(cluster: Cluster) -> Iterator[tuple[str, Any]]:
    """What was seen, in the order in which it happens."""
    yield "night", night(cluster)
    yield "upgrade", upgrade(cluster)
    yield "restored", restored(cluster)
    yield "lost", lost(cluster)
    yield "flow", without_a_flow(cluster, PAIRS + 17)  # the last: its slot is taken for some minutes
    yield "verify", cluster.ready("tools").asked("gramophone", "verify")
    yield "ended", cluster.scale(0, *reversed(ALL))


def main() -> None:
    cpu, gpu, folder = sys.argv[1:]
    images = {f"registry.example.org/gramophone-{kind}{OLD}": name for kind, name in (("cpu", cpu), ("gpu", gpu))}
    cluster = set_up({name: Image.mounted(ours) for name, ours in images.items()}, Path(folder))
    try:
        with outside(Path(folder)):
            for name, seen in years(cluster):
                print(json.dumps({name: seen}), flush=True)
    finally:
        for pod in cluster.pods:
            pod.remove()


if __name__ == "__main__":
    main()
