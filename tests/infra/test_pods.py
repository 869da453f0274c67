"""The images of infra/Dockerfile, built, and a first night in the pods of infra/kubernetes/ray, of which one is killed.

Needs root, buildah, podman, iproute2 and PostgreSQL's programs. IMAGE_BASE: another base than the Dockerfile's, where
no registry is reached.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.infra.commands import REPOSITORY
from tests.infra.night_in_pods import PAIRS
from tests.infra.pods import Image, call
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


def test_a_first_night_in_the_pods_of_ray_of_which_one_is_killed_ends_complete(images):
    folder = Path(tempfile.mkdtemp(prefix="gramophone-pods-"))
    folder.chmod(0o755)  # pods are other users
    alone = ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "tests.infra.night_in_pods", images["cpu"], images["gpu"], folder],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stderr}\nlogs: {folder}"
    told = json.loads(done.stdout)
    print(told["hosts"], told["ended"])
    assert all(line.startswith("ok ") for line in told["doctor"].splitlines())
    assert sum(host["pairs"] for host in told["hosts"]) == PAIRS
    assert {host["image"] for host in told["hosts"]} == {"registry.example.org/gramophone-gpu:0.1.0"}
    again = sum(host["tries"] for host in told["hosts"]) - PAIRS
    assert 1 <= again <= 8, "what the node had in hand, a shard at most"
    assert told["verify"].startswith("all is right in 1 run")
    assert f"{PAIRS} of {PAIRS} pairs ok" in told["monitor"]
    assert "merged below s3://music/gramophone/compacted" in told["compact"]
    assert "nothing to delete" in told["gc"]
    shutil.rmtree(folder)
