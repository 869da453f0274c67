"""A worker on some node of a Ray cluster, as the flow sees it."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from tasks.engines.ray_actor import NEWS_SECONDS, Host, Node
from tasks.engines.ray_cluster import Cluster
from tasks.lineage import code_version
from tasks.records.reasons import OutOfReach
from tasks.worker import Entry, InHand, Listener, Order, WorkerLost

PATIENCE_SECONDS = 5.0
"""How long a shard waits for this worker's place before it looks for another worker; Ray goes on looking."""
ANSWER_SECONDS = 60.0
"""What a host may take for an answer that nothing delays but the network."""


class RayWorker:
    """The flow's handle of a worker that Ray places, and places anew once it is lost. Not for two threads at once."""

    def __init__(
        self, cluster: Cluster, device: str, threads: int, gpus: float = 0, cpus: int = 0, entry: Entry | None = None
    ) -> None:
        self._cluster, self._about = cluster, (device, threads, cluster.settings, entry)
        # Whatever is lost is tried again by the shard, which knows what is done: never by Ray.
        self._places = ray.remote(num_gpus=gpus, num_cpus=cpus, max_restarts=0, max_task_retries=0)(Host)
        self._needs = f"{gpus:g} GPU" if gpus else f"{cpus} CPU"
        self._actor: Any = None
        self._node: Node | None = None

    @contextmanager
    def reserved(self, stopping: Callable[[], bool]) -> Iterator[bool]:
        """Wait some seconds for a place; that nobody else has its device is Ray's matter.

        Raises NoWorkers where the cluster has had no place for any worker of the run for long, OutOfReach where no node
        has our Gramophone.
        """
        yield self.is_placed(stopping)

    def run(self, order: Order, listener: Listener, timeout_seconds: float) -> bool:
        """Carry out an order. True: done; False: stopped on request. Raises WorkerLost, or what the listener raises."""
        in_hand, patience = InHand(order, listener), max(timeout_seconds, ANSWER_SECONDS)
        try:
            self._ask(self._actor.begin.remote(order, timeout_seconds), patience)
            end = self._followed(listener.stopping, in_hand, patience)
        except GetTimeoutError as error:
            self.close()
            raise WorkerLost(in_hand.rows, f"{self._where} gave no answer for {patience:g} s", hung=True) from error
        except RayError as error:
            self.close()
            raise WorkerLost(in_hand.rows, f"{self._where} was lost: {why(error)}", hung=False) from error
        except BaseException:
            self.close()  # it is in the middle of something
            raise
        if end[0] == "raised":  # by the process behind the host, which has seen to it
            raise end[1]
        return bool(end == ("done",))

    def _followed(self, stopping: Callable[[], bool], in_hand: InHand, patience: float) -> tuple[Any, ...]:
        """Fetch the messages of an order and pass them on; returns the last."""
        answer = None
        while True:
            messages = self._ask(self._actor.news.remote(stopping(), answer), patience)
            answer = None
            for message in messages:
                if message[0] in ("done", "stopped", "raised"):
                    return tuple(message)
                if (found := in_hand.take(message)) is not None:
                    answer = found

    def close(self) -> None:
        """End the host and with it its worker process, whatever that does."""
        if self._actor is not None:
            if self._cluster.answers():
                with suppress(Exception):
                    ray.kill(self._actor, no_restart=True)
            self._actor = None

    @property
    def _where(self) -> str:
        return f"its Ray worker on {self._node.host if self._node else 'a node'}"

    def _ask(self, call: Any, seconds: float) -> Any:
        found = ray.get(call, timeout=seconds)
        self._cluster.heard = time.monotonic()
        return found

    def is_placed(self, stopping: Callable[[], bool]) -> bool:
        """Whether it has a place by now, or within some seconds. Raises OutOfReach as `reserved` does."""
        until = time.monotonic() + PATIENCE_SECONDS
        if not self._cluster.answers():
            self._actor = None
            while not stopping() and time.monotonic() < until:
                time.sleep(NEWS_SECONDS)
            self._cluster.check(self._needs)
            return False
        if self._actor is None:
            self._actor, self._node = self._places.remote(*self._about), None
        call = self._actor.node.remote()
        try:
            while not stopping() and time.monotonic() < until:
                if ray.wait([call], timeout=NEWS_SECONDS)[0]:
                    self._node = _accepted(ray.get(call, timeout=ANSWER_SECONDS))
                    self._cluster.accepted, self._cluster.heard = True, time.monotonic()
                    return True
        except OutOfReach as error:
            self._left_out(error)
        except RayError as error:
            if "creation task" in str(error):
                last = str(error).strip().splitlines()[-1]
                self._left_out(
                    OutOfReach(
                        f"Gramophone does not start on a node of the Ray cluster ({last}): install there what is here."
                    )
                )
            else:
                self.close()
                self._cluster.trouble = why(error)
        self._cluster.check(self._needs)
        return False

    def _left_out(self, refused: OutOfReach) -> None:
        """Shards go to the workers whose nodes are right, and this one looks for a place anew; where none is, it says
        so at once."""
        self.close()
        self._cluster.trouble = str(refused)
        if not self._cluster.accepted:
            raise refused


def _accepted(node: Node) -> Node:
    """Raises OutOfReach for a node whose Gramophone is not ours: the same pair would sound otherwise there."""
    for what, theirs, ours in (
        ("Gramophone", node.code, code_version()),
        ("torch", _base(node.torch), _base(version("torch"))),
    ):
        if theirs != ours:
            raise OutOfReach(
                f"{node.host} in the Ray cluster has {what} {theirs}, and here it is {ours}: install the same on both."
            )
    return node


def _base(torch: str) -> str:
    """The version without its build, for CPUs or a CUDA: a flow that only plans may have another."""
    return torch.split("+")[0]


def why(error: RayError) -> str:
    """One sentence of the many that Ray says."""
    text = " ".join(str(error).split())
    found = re.search(r"(?:is dead|died|failed) because (?:of )?(.+?)(?:\.\s|\.?$)", text)
    return (found[1] if found else text)[:300]
