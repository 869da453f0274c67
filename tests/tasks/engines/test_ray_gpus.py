"""A GPU for each worker, on a node that says it has two: Ray counts them, so that none need be there."""

import json
import os
import secrets
import subprocess
import sys

import pytest

from tests.servers import free_port, let_in, ray_node_at

TWO_AT_ONCE = """
import json, sys, threading
from functools import partial
from pathlib import Path
from tasks.engines.ray_cluster import joined
from tasks.plan import Shard
from tests.flows.processes import wait_for
from tests.tasks.engines.puppet import puppet
from tests.tasks.engines.test_ray_worker import attempts_of, begun, bench_of, pairs
folder = Path(sys.argv[2])
with joined(sys.argv[1]) as cluster:
    from tasks.engines.ray_worker import RayWorker
    entry, gpus = partial(puppet, str(folder)), float(sys.argv[3])
    workers = [RayWorker(cluster, "cuda:0", 1, gpus, entry=entry) for _ in range(2)]
    bench, seen = bench_of("file:///r", *workers), []
    shard = lambda: seen.extend(attempts_of(bench, Shard(0, pairs("wait"))))
    hold = [threading.Thread(target=shard) for _ in range(2)]
    for thread in hold:
        thread.start()
    wait_for(lambda: len(begun(folder)) == 2, "both", 60)
    (folder / "go").touch()
    for thread in hold:
        thread.join()
    print(json.dumps(sorted(attempt.values["cuda"] for attempt in seen)))
"""


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("gpus", "each", "seen"), [(2, 1, ["0", "1"]), (1, 0.5, ["0", "0"])])
def test_two_workers_at_once_each_see_a_gpu_of_their_own_or_share_one(tmp_path, gpus, each, seen):
    address, token = f"127.0.0.1:{free_port()}", secrets.token_hex(16)
    with ray_node_at(address, tmp_path / "log-of-ray", token, "--num-cpus=1", f"--num-gpus={gpus}"):
        done = subprocess.run(
            [sys.executable, "-c", TWO_AT_ONCE, address, str(tmp_path), str(each)],
            env=os.environ | let_in(address, token) | {"PYTHONPATH": os.getcwd()},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == seen
