"""A Ray cluster for the time of a run: one made for it on this machine, or one that stands somewhere.

Not by prefect-ray, whose tasks need Prefect's API on every node, cost some 150 ms each and stay RUNNING when their
worker is lost: only the workers of devices live elsewhere, and all that looks after them stays in one place.
"""

import logging
import math
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tasks.engines.ray_folder import ray_folder
from tasks.records.reasons import NoWorkers, OutOfReach, UsageError
from tasks.records.run import Connection
from tasks.worker import signals_kept_back

TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
REACH_SECONDS, GONE_SECONDS = 10.0, 5.0
JOIN_TRIES = 3
STILLBORN = "Starting Ray client server failed|failed to Connect to backend"
"""The head's process for a client was dead at once: it is forked beside threads of gRPC, and now and then is."""
PLACE_SECONDS = 120.0
"""For how long no worker of a run at all may have a place."""

# Ray reads these when it is imported.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what raylets say of lost workers would else go to stdout, beside our JSON
}
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}  # the first also on Linux
BOUNDED = {
    "RAY_NUM_REDIS_GET_RETRIES": "3",
    "RAY_py_gcs_connect_timeout_s": "15",
    # Else Ray ends our process a minute after its head is gone: we have a verdict to write.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3600",
}


@dataclass
class Cluster:
    """What the workers of a run share: the settings they hand over, and when one that may work was last heard of."""

    head: str  # where it answers, host:port
    settings: dict[str, str] = field(default_factory=lambda: handed_over())
    heard: float = field(default_factory=time.monotonic)
    gone: float = -math.inf  # when its head did not answer
    trouble: str = ""
    accepted: bool = False  # some node has our code

    def answers(self) -> bool:
        """Whether its head does. Where it does not, nothing may be asked of Ray, which waits for it without end."""
        if time.monotonic() - self.gone < GONE_SECONDS:  # all workers ask, and each would wait
            return False
        try:
            _connected(self.head).close()
        except OSError as error:
            self.gone, self.trouble = time.monotonic(), f"its head at {self.head} does not answer: {error}"
            return False
        return True

    def check(self, needs: str) -> None:
        """Raises NoWorkers where no worker of the run has been heard of for long: there is no place for any."""
        if time.monotonic() - self.heard > PLACE_SECONDS:
            last = f" (the last trouble: {self.trouble})" if self.trouble else ""
            raise NoWorkers(
                f"the Ray cluster has had no place with {needs} for {PLACE_SECONDS:g} s{last}; `ray status` tells what "
                "it has and who holds it."
            )


def handed_over() -> dict[str, str]:
    """Where buckets are, for the nodes. Credentials are theirs: by their environment or role."""
    names = (f"GRAMOPHONE_{name.upper()}" for name in Connection.model_fields)
    return {name: os.environ[name] for name in names if name in os.environ}


@contextmanager
def made() -> Iterator[Cluster]:
    """A cluster of this machine alone: on loopback, with a token of its own, gone with this process however it ends."""
    os.environ |= QUIET | ON_LOOPBACK
    if not any(name in os.environ for name in TOKENS):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray = imported()
    with ray_folder() as folder:
        here = {"address": "local", "_node_ip_address": "127.0.0.1", "_temp_dir": str(folder / "r")}
        try:
            with signals_kept_back():
                _init(ray, include_dashboard=False, **here)
            yield Cluster(head=ray.get_runtime_context().gcs_address)
        finally:
            ray.shutdown()


@contextmanager
def joined(address: str) -> Iterator[Cluster]:
    """A standing cluster, left as it is at the end. Raises OutOfReach, UsageError."""
    if address != "auto":
        _answers(address)
    os.environ |= QUIET | BOUNDED
    if any(name in os.environ for name in TOKENS):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray = imported()
    for left in reversed(range(JOIN_TRIES)):
        try:
            with _unheard():
                _init(ray, address=address)
            break
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            if not left or not re.search(STILLBORN, _chain(error)):
                raise OutOfReach(_why_not(address, error)) from error
    head = address if ":" in address else ray.get_runtime_context().gcs_address
    cluster = Cluster(head=head.removeprefix("ray://"))
    try:
        yield cluster
    finally:
        if cluster.answers():
            with suppress(Exception):
                ray.shutdown()


def imported() -> Any:
    """The module `ray`. Raises UsageError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'gramophone[ray]'.") from error
    return ray


def _init(ray: Any, **how: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(logging_level=logging.CRITICAL, log_to_driver=False, **how)
    except SystemExit:  # Ray's answer to a SIGTERM, which was for the run
        _heard_by(before)
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        _heard_by(before)


def _heard_by(handler: Any) -> None:
    """SIGTERM, which Ray takes for itself where it can: in the main thread."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _unheard() -> Iterator[None]:
    """What Ray's own code, which is not Python, tells of its tries goes nowhere: we say what came of them."""
    with tempfile.TemporaryFile() as nowhere:
        kept = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _answers(address: str) -> None:
    try:
        _connected(address.removeprefix("ray://")).close()
    except OSError as error:
        raise OutOfReach(
            f"no Ray cluster answers at {address} ({error}); start it with `ray start --head`, or leave "
            "--ray-address out to use one that is made for the run."
        ) from error


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS)


def _why_not(address: str, error: BaseException) -> str:
    told = _chain(error)
    if "ray[client]" in told:
        return f"{address} needs Ray's client on this machine: pip install 'ray[client]', or join by host:port."
    if re.search(r"[Aa]uthenticat|token", told):
        return (
            f"the Ray cluster at {address} does not let us in; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH) to its token."
        )
    if re.search(STILLBORN, told):
        return (
            f"the Ray head at {address} starts no process for us, {JOIN_TRIES} times; has it the memory? Its logs "
            "ray_client_server*, in Ray's session_latest/logs there, say why."
        )
    if address == "auto":
        return (
            "no Ray cluster runs on this machine; name its --ray-address, host:port, or start one: `ray start --head`."
        )
    if "ersion" in told:
        return f"the Ray cluster at {address} is another version: {told}"
    return (
        f"what answers at {address} is no Ray cluster, or wants another token than that in RAY_AUTH_TOKEN "
        f"(RAY_AUTH_MODE=token): {told}"
    )


def _chain(error: BaseException | None) -> str:
    told = []
    while error is not None:
        told.append(" ".join(str(error).split()))
        error = error.__cause__ or error.__context__
    return "; ".join(told)
