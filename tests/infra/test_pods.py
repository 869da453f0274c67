"""The images of infra/Dockerfile, built, and in the pods of infra/kubernetes/ray a first night and what comes after it.

Needs root, buildah, podman, iproute2 and PostgreSQL's programs. IMAGE_BASE: another base than the Dockerfile's, where
no registry is reached.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.infra.commands import REPOSITORY
from tests.infra.night_in_pods import PAIRS
from tests.infra.pods import Image, call
from tests.infra.years_in_pods import NEW, OLD, PAUSED
from tests.servers import postgres_folder

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
BASE = os.environ.get("IMAGE_BASE")
PROGRAMS = ("buildah", "podman", "ip", "unshare", "nsenter")


@pytest.fixture(scope="module")
def images():
    """The names of both, by their targets."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if os.geteuid() != 0 or missing or postgres_folder() is None:
        pytest.skip(f"needs root, PostgreSQL and {', '.join(missing or PROGRAMS)}")
    how = ["--isolation", "chroot", "--network", "host", "--layers", *(["--build-arg", f"BASE={BASE}"] if BASE else [])]
    names = {target: f"localhost/gramophone-{target}:tests" for target in ("cpu", "gpu")}
    for target, name in names.items():
        call("buildah", "bud", *how, "-f", "infra/Dockerfile", "--target", target, "-t", name, ".", cwd=REPOSITORY)
    yield names
    call("podman", "image", "umount", "--force", *names.values())


def test_an_image_holds_what_runs_and_nothing_of_its_making(images):
    sizes = {}
    for target, name in images.items():
        image = Image.mounted(name)
        root = Path(image.root)
        [packages] = root.glob("opt/gramophone/lib/python3.*/site-packages")
        assert (packages / "tasks/shard.py").exists()
        assert (packages / "triton").exists() == (target == "gpu")
        assert not any((root / made).exists() for made in ("opt/uv", "build", "var/cache/uv"))
        assert not (packages / "tests").exists()
        assert (image.config["User"], image.config["Entrypoint"]) == ("10001:10001", ["tini", "--"])
        sizes[target] = int(call("podman", "image", "inspect", "--format", "{{.Size}}", name))
    print(f"bytes with their base: {sizes}")
    assert sizes["cpu"] < sizes["gpu"]


@pytest.fixture(scope="module")
def seen(images):
    """What was seen in the pods."""
    folder = Path(tempfile.mkdtemp(prefix="gramophone-pods-"))
    folder.chmod(0o755)  # pods are other users
    alone = ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "tests.infra.years_in_pods", images["cpu"], images["gpu"], folder],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nlogs: {folder}"
    print(done.stdout)
    shutil.rmtree(folder)
    return {name: seen for line in done.stdout.splitlines() for name, seen in json.loads(line).items()}


def is_well(doctor):
    return all(line.startswith("ok ") for line in doctor.splitlines())


def is_done(status, pairs):
    return f"{pairs} of {pairs} pairs ok" in status


def test_a_first_night_of_which_one_node_is_killed_ends_complete(seen):
    night = seen["night"]
    assert is_well(night["doctor"])
    assert sum(host["pairs"] for host in night["hosts"]) == PAIRS
    assert {host["image"] for host in night["hosts"]} == {f"registry.example.org/gramophone-gpu{OLD}"}
    again = sum(host["tries"] for host in night["hosts"]) - PAIRS
    assert 1 <= again <= 8, "what the node had in hand, a shard at most"
    assert night["verify"].startswith("all is right in 1 run")
    assert is_done(night["monitor"], PAIRS)
    assert "merged below s3://music/gramophone/compacted" in night["compact"]
    assert "nothing to delete" in night["gc"]


def test_after_an_upgrade_the_pool_is_paused_until_it_is_resumed_and_only_what_is_new_is_computed(seen):
    upgrade = seen["upgrade"]
    assert PAUSED in upgrade["pool"]
    assert is_well(upgrade["doctor"])
    made = Counter()
    for host in upgrade["hosts"]:
        made[host["image"].rpartition("gramophone-gpu")[2]] += host["pairs"]
    assert made == {OLD: PAIRS, NEW: 1}
    assert upgrade["history"] == ["Completed"] * 2


def test_a_restored_database_knows_what_it_knew_and_the_night_is_as_done_as_it_was(seen):
    restored = seen["restored"]
    assert restored["history"] == ["Completed"]
    assert PAUSED in restored["pool"], "as when the dump was made"
    assert is_done(restored["status"], PAIRS + 1)


def test_a_lost_database_loses_no_pair(seen):
    lost = seen["lost"]
    assert lost["history"] == []
    assert PAUSED not in lost["pool"]
    assert is_done(lost["status"], PAIRS + 1)
    assert is_done(lost["after"], PAIRS + 1)


def test_a_night_whose_flow_was_killed_is_brought_to_its_end_by_a_rerun(seen):
    assert "no verdict yet: at work on worker-" in seen["flow"]["status"]
    assert is_done(seen["flow"]["after"], PAIRS + 17)
    assert seen["verify"].startswith("all is right")


def test_pods_that_are_told_to_end_do_so_in_time(seen):
    late = {name for name, seconds in seen["ended"].items() if seconds == float("inf")}
    assert not any(name.startswith(("worker", "ray-")) for name in late), late
