"""The workers that a Ray cluster has room for: some for each GPU, else one for each so many cores of each node."""

import math

import ray

from tasks.engines.ray_cluster import Cluster
from tasks.engines.ray_worker import RayWorker
from tasks.records.reasons import OutOfReach, UsageError
from tasks.records.run import Options
from tasks.worker import AnyWorker, crowd

RESOLUTION = 10_000
"""In how many parts Ray divides a GPU."""


def workers_on(cluster: Cluster, options: Options) -> list[AnyWorker]:
    """The workers of the devices of all nodes that are there now. Raises OutOfReach, UsageError.

    The first has its place by then: where our code does not start, no run is recorded.
    """
    workers = [RayWorker(cluster, *each) for each in _devices(options)]
    while not workers[0].is_placed(lambda: False):
        pass  # it ends by itself, with OutOfReach
    return list(workers)


def _devices(options: Options) -> list[tuple[str, int, float, int]]:
    """(device, threads, GPUs, CPUs) of each worker."""
    if ":" in options.device:
        raise UsageError(f"device {options.device} names one of this machine; with engine ray use auto, cpu or cuda.")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    cores = [int(node.get("CPU", 0)) for node in nodes]
    if options.device != "cpu" and gpus:
        many, _ = crowd(options, "cuda:0", 1)
        share = math.floor(RESOLUTION / many) / RESOLUTION
        return [("cuda:0", options.threads, share, 0)] * gpus * many  # each sees one, its own
    if options.device == "cuda":
        raise OutOfReach(f"no node of the Ray cluster has a GPU ({len(nodes)} nodes); use --device auto or cpu.")
    each = [(count, crowd(options, "cpu", count)[1]) for count in cores]
    found = [size for count, size in each for _ in range(min(count // size, options.workers_per_device or count))]
    if not found:
        has = ", ".join(map(str, cores)) or "no nodes"
        raise OutOfReach(
            f"no node of the Ray cluster has {options.threads} cores for a worker (they have {has}); use --threads 0."
        )
    return [("cpu", size, 0, size) for size in found]
