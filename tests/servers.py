"""Real servers for tests, on loopback, stopped by their process."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.flows.processes import children_of


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def prefect_server_at(port: int, log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A Prefect server on `port` that answers; stopped at the end."""
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | environment,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/health", server, log)
        yield server
    finally:
        stop(server)


@contextmanager
def prefect_at(port: int, logs: Path, environment: dict[str, str]) -> Iterator[str | None]:
    """A Prefect server, on PostgreSQL where this machine has it, whose address it yields then."""
    with ExitStack() as servers:
        url = None
        if programs := postgres_folder():
            url = servers.enter_context(postgres_at(free_port(), logs / "postgres.log", programs))
            environment = environment | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}
        servers.enter_context(prefect_server_at(port, logs / "prefect-server.log", environment))
        yield url


def postgres_folder() -> Path | None:
    """Where PostgreSQL's programs are on this machine, if it has them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent  # beside it are the others, beside a link to it perhaps not
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@contextmanager
def postgres_at(port: int, log: Path, programs: Path) -> Iterator[str]:
    """PostgreSQL on loopback with an empty database; yields its address for Prefect."""
    folder = Path(tempfile.mkdtemp(prefix="gramophone-postgres-"))  # where its user may go
    # It refuses to run as root.
    unprivileged = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if unprivileged:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    subprocess.run(
        [*unprivileged, programs / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "--no-sync", "-E", "UTF8"],
        check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    settings = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off", "-c", "max_connections=200"]
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [*unprivileged, programs / "postgres", "-D", data, *settings],
            stdout=sink, stderr=subprocess.STDOUT, cwd="/", start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not _listens(port):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
    finally:
        stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def free_s3_ports() -> list[int]:
    """Ports for master, volume, filer and S3, whose gRPC twins (10000 above) are free as well."""
    found: list[int] = []
    while len(found) < 4:
        port = free_port()
        if port < 50_000 and port not in found and not _listens(port + 10_000):
            found.append(port)
    return found


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def s3_server_at(ports: list[int], folder: Path, key: str, secret: str) -> Iterator[subprocess.Popen[bytes]]:
    """SeaweedFS (master, volume, filer, S3) on loopback, with one identity that may do everything."""
    (folder / "data").mkdir(parents=True)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = ports
    command = [
        Path(sys.executable).with_name("weed"), "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}",
        "-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.port.iceberg=0",
        "-s3.port.lance=0", "-volume.max=0", "-master.volumeSizeLimitMB=1024", "-master.telemetry=false",
    ]  # fmt: skip
    log = folder / "server.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{s3}/healthz", server, log)
        yield server
    finally:
        stop(server, 2)  # it waits for clients that keep their connections


def let_in(head: str, token: str) -> dict[str, str]:
    """The environment of who belongs to a Ray cluster."""
    told = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    if head.startswith("127.0.0.1:"):  # which Ray otherwise takes for the machine's own address; one node only then
        told["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    return told


@contextmanager
def ray_node_at(head: str, log: Path, token: str, *options: str, host: str = "") -> Iterator[int]:
    """A node of a standing Ray cluster whose head is at `head`: that itself, or with a `host` of its own another one.

    Yields its pid; killed at the end.
    """
    address, _, port = head.rpartition(":")
    ray, folder = Path(sys.executable).with_name("ray"), Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    first = ["--head", f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false"]
    role = [f"--address={head}"] if host else first
    environment = {"RAY_USAGE_STATS_ENABLED": "0"} | let_in(head, token)
    with log.open("wb") as sink:
        node = subprocess.Popen(
            [ray, "start", "--block", f"--node-ip-address={host or address}", *role, *options],
            stdout=sink, stderr=subprocess.STDOUT, start_new_session=True, env=os.environ | environment,
        )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while "Ray runtime started" not in (told := log.read_text()):
            assert node.poll() is None, told
            assert time.monotonic() < until, told
            time.sleep(0.2)
        yield node.pid
    finally:
        end_ray_node(node.pid)
        node.wait()
        shutil.rmtree(folder, ignore_errors=True)


def end_ray_node(pid: int) -> None:
    """SIGKILL for a node as for a machine: the process that began it, and all its children."""
    for each in (pid, *children_of(pid)):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def stop(server: subprocess.Popen[bytes], seconds: float = 20) -> None:
    server.terminate()
    try:
        server.wait(seconds)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not _answers(url):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, f"{url} did not answer in {seconds} s\n{log.read_text()[-2000:]}"
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def make_bucket(name: str) -> None:
    """A bucket on the S3 server that the environment points to."""
    from tasks.store.s3 import open_s3

    open_s3()._ask("create_bucket", Bucket=name)
