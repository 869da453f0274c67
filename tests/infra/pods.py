"""Pods of infra/kubernetes on this machine, without a cluster: each container in namespaces of its own, from its image,
with the user, mounts, environment, ports and probes of its manifest; without capabilities, on a read-only root.
What a Deployment does of itself, to begin a pod anew that has ended, is done here by hand.

To be run as root in namespaces of one's own (processes, network, mounts); .1 of the network is outside of the cluster.
"""

import json
import math
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.flows.processes import children_of, command_of, wait_for
from tests.infra.commands import INFRA

NET = "10.77.0"
OUTSIDE = f"{NET}.1"
RUNBOOK = (INFRA / "README.md").read_text()
SPACES = ["--mount", "--pid", "--uts", "--ipc"]
NOBODY = ["setpriv", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]

CONTAINER = """
hostname "$NAME"
mkdir -p "$TOP"; mount -t tmpfs tmpfs "$TOP"; mkdir "$TOP/up" "$TOP/work" "$TOP/root"; root=$TOP/root
mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=$TOP/up,workdir=$TOP/work" "$root"
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount --make-rprivate "$root/dev"
while read -r from to; do
  case "$from" in
    size=*) mkdir -p "$root$to"; mount -t tmpfs -o "$from,mode=1777" tmpfs "$root$to" ;;
    */) mkdir -p "$root$to"; mount --bind "$from" "$root$to" ;;
    *) touch "$root$to"; mount --bind "$from" "$root$to" ;;
  esac
done <<< "$MOUNTS"
mount -o remount,ro "$root"
exec chroot "$root" "$@"
"""


def call(*command: Any, **how: Any) -> str:
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, **how).stdout.strip()


def told(command: str) -> list[str]:
    """A command that infra/README.md tells to type."""
    assert command in RUNBOOK, f"infra/README.md does not tell: {command}"
    return shlex.split(command)


@dataclass(frozen=True)
class Image:
    """Where its files lie, and what it says of itself."""

    root: str
    config: dict[str, Any]

    @classmethod
    def mounted(cls, name: str) -> "Image":
        root = call("podman", "image", "mount", name)
        return cls(root, json.loads(call("podman", "image", "inspect", name))[0]["Config"])


@dataclass
class Cluster:
    """What pods share: images by their names in manifests, ConfigMaps, Secrets, and the names of Services.

    `swapped`: arguments that are others here.
    """

    objects: list[dict[str, Any]]
    images: dict[str, Image]
    config: dict[str, dict[str, str]]
    secrets: dict[str, dict[str, str]]
    folder: Path
    swapped: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    pods: list["Pod"] = field(default_factory=list)
    deployed: dict[str, list["Pod"]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        Path("/run/netns").mkdir(exist_ok=True)
        call("mount", "-t", "tmpfs", "tmpfs", "/run/netns")  # what is named there is ours alone
        call("ip", "link", "set", "lo", "up")
        call("ip", "link", "add", "bridge0", "type", "bridge")
        call("ip", "addr", "add", f"{OUTSIDE}/24", "dev", "bridge0")
        call("ip", "link", "set", "bridge0", "up")

    def spec(self, kind: str, name: str) -> dict[str, Any]:
        [found] = [one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        spec: dict[str, Any] = found["spec"]
        return spec

    def scale(self, replicas: int, *names: str) -> dict[str, float]:
        """So many pods of each Deployment; the seconds that those took to end which are one too many."""
        took = {}
        for name in names:
            there = self.deployed[name]
            while len(there) > replicas:
                surplus = there.pop()
                took[surplus.name] = surplus.ended()
            while len(there) < replicas:
                pod = Pod(self, f"{name}-{len(self.pods)}", self.spec("Deployment", name)["template"])
                threading.Thread(target=pod.begin, daemon=True).start()
                there.append(pod)
        return took

    def ready(self, *names: str) -> "Pod":
        """Wait for all pods of these Deployments; the newest of the last."""
        for pod in (pods := [pod for name in names for pod in self.deployed[name]]):
            pod.ready()
        return pods[-1]

    def lose(self, name: str) -> None:
        """Kill the newest pod of a Deployment, as when its node loses power; another one begins."""
        lost = self.deployed[name].pop()
        os.kill(lost.pid(), signal.SIGKILL)
        lost.process.wait()
        self.scale(len(self.deployed[name]) + 1, name)

    def do(self, kind: str, name: str, *left_out: str) -> str:
        """Carry out a Job, or what a CronJob does at its time, without some arguments; returns what it says."""
        spec = self.spec(kind, name)
        spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
        pod = Pod(self, name, spec["template"])
        for _ in range(1 + spec["backoffLimit"]):
            if pod.done(set(left_out)):
                return pod.said()
        raise AssertionError(f"{name} has failed: {pod.said()}")

    def join(self, pod: "Pod") -> None:
        """Give a pod its address, and its Services their names."""
        self.pods.append(pod)
        number = len(self.pods) + 1
        pod.address, pod.net = f"{NET}.{number}", f"pod{number}"
        call("ip", "netns", "add", pod.net)
        call("ip", "link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", pod.net)
        call("ip", "link", "set", f"veth{number}", "master", "bridge0", "up")
        for command in ("link set lo up", f"addr add {pod.address}/24 dev eth0", "link set eth0 up"):
            call("ip", "-n", pod.net, *command.split())
        services = [one for one in self.objects if one["kind"] == "Service"]
        chosen = [one for one in services if one["spec"]["selector"].items() <= pod.labels.items()]
        self.names |= {pod.name: pod.address, **{one["metadata"]["name"]: pod.address for one in chosen}}
        lines = {"localhost": "127.0.0.1", **self.names}
        (self.folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in lines.items()))


class Pod:
    def __init__(self, cluster: Cluster, name: str, template: dict[str, Any]) -> None:
        self.cluster, self.name, self.spec = cluster, name, template["spec"]
        self.labels: dict[str, str] = template["metadata"]["labels"]
        self.log = cluster.folder / f"{name}.log"
        self.address = self.net = ""
        self.begun = threading.Event()
        cluster.join(self)

    def begin(self) -> None:
        """Its init containers, each as often as it takes, then its container."""
        for one in self.spec.get("initContainers", []):
            while self.run(one).wait():
                time.sleep(1)
        self.run(self.spec["containers"][0])
        self.begun.set()

    def run(self, container: dict[str, Any]) -> "subprocess.Popen[bytes]":
        """Start one of its containers."""
        self.container = container
        image, who = self.cluster.images[container["image"]], self.spec["securityContext"]
        user = ["--reuid", str(who["runAsUser"]), "--regid", str(who["runAsGroup"])]
        told = [*image.config["Env"], *(f"{name}={value}" for name, value in self.environment(container).items())]
        self.inside = [*NOBODY, *user, "env", "-i", "--chdir=/tmp", *told]
        args = [*image.config["Entrypoint"], *(self.cluster.swapped.get(one, one) for one in container["args"])]
        around = ["ip", "netns", "exec", self.net, "unshare", *SPACES, "--fork", "--kill-child"]
        told_it = {"NAME": self.name, "IMAGE": image.root, "MOUNTS": "\n".join(self.mounts(container))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*around, "bash", "-euc", CONTAINER, "bash", *self.inside, *args],
                env=os.environ | told_it | {"TOP": str(self.cluster.folder / f"{self.name}-files")},
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return self.process

    def done(self, left_out: set[str]) -> bool:
        """Carry out its containers, one after the other; whether all of them ended well."""
        every = [*self.spec.get("initContainers", []), *self.spec["containers"]]
        without = ({**one, "args": [arg for arg in one["args"] if arg not in left_out]} for one in every)
        return all(self.run(one).wait() == 0 for one in without)

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            kind, named = next(iter(source.items()))
            there = self.cluster.config if kind == "configMapRef" else self.cluster.secrets
            assert named["name"] in there or named.get("optional"), f"no {kind} {named['name']}"
            found |= there.get(named["name"], {})
        for one in container.get("env", []):
            if "value" in one:
                found[one["name"]] = one["value"]
            else:
                key = one["valueFrom"]["secretKeyRef"]
                found[one["name"]] = self.cluster.secrets[key["name"]][key["key"]]
        return found

    def mounts(self, container: dict[str, Any]) -> list[str]:
        """From what to which path, shorter paths first: files and folders of this machine, memory of a size. What is
        on a node's disk has no size of its own: a kubelet ends a pod that has more, which is not done here."""
        volumes, folder = {one["name"]: one for one in self.spec.get("volumes", [])}, self.cluster.folder
        found = {"/etc/hosts": f"{folder}/hosts"}
        for mount in container["volumeMounts"]:
            volume = volumes[mount["name"]]
            empty = volume.get("emptyDir", {})
            if empty.get("medium") == "Memory":
                found[mount["mountPath"]] = f"size={empty['sizeLimit'].removesuffix('i')}"
                continue
            if empty:
                named = f"{self.name}-{mount['name']}"
            else:
                named = volume.get("configMap", {}).get("name") or volume["persistentVolumeClaim"]["claimName"]
            path = folder / named
            path.mkdir(exist_ok=True)
            os.chown(path, *[self.spec["securityContext"]["fsGroup"]] * 2)
            found[mount["mountPath"]] = f"{path}/"
        return [f"{found[path]} {path}" for path in sorted(found)]

    def pid(self) -> int:
        """Of its first process, tini."""

        def found() -> int | None:
            return next((pid for pid in children_of(self.process.pid) if command_of(pid).startswith("tini")), None)

        return int(wait_for(found, lambda: f"the first process of {self.name}: {self.said()}", 60))

    def asked(self, *command: str) -> str:
        """What a command says that is typed there. It ends well."""
        said = self.type(*command)
        assert said.returncode == 0, f"{command}: {said.stdout}{said.stderr}"
        return said.stdout

    def type(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """What somebody types there: kubectl exec."""
        pid = self.pid()
        there = ["nsenter", "--target", str(pid), *SPACES, "--net", f"--root=/proc/{pid}/root"]
        return subprocess.run([*there, *self.inside, *command], capture_output=True, text=True, check=False)

    def ready(self) -> "Pod":
        """Wait until each of its probes, one after the other, is content; fails where one would not be in time."""
        assert self.begun.wait(600), f"{self.name} has not begun: {self.said()}"
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe := self.container.get(name):
                limit = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
                wait_for(
                    partial(self.is_content, probe), lambda name=name: f"{name} of {self.name}: {self.said()}", limit
                )
        return self

    def is_content(self, probe: dict[str, Any]) -> bool:
        assert self.process.poll() is None, f"{self.name} has ended: {self.said()}"
        seconds = probe.get("timeoutSeconds", 1)
        ports = {one["name"]: one["containerPort"] for one in self.container.get("ports", [])}
        try:
            if "exec" in probe:
                return self.type("timeout", str(seconds), *probe["exec"]["command"]).returncode == 0
            if "tcpSocket" in probe:
                socket.create_connection((self.address, ports[probe["tcpSocket"]["port"]]), seconds).close()
                return True
            url = f"http://{self.address}:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
            with urllib.request.urlopen(url, timeout=seconds) as answer:
                return bool(answer.status < 400)
        except OSError:
            return False

    def said(self) -> str:
        return self.log.read_text()[-3000:]

    def ended(self) -> float:
        """Ask it to end, as a drain does; the seconds that it takes, infinite where it had to be killed."""
        began = time.monotonic()
        os.kill(self.pid(), signal.SIGTERM)
        try:
            self.process.wait(self.spec.get("terminationGracePeriodSeconds", 30))
            return round(time.monotonic() - began, 1)
        except subprocess.TimeoutExpired:
            self.remove()
            self.process.wait()
            return math.inf

    def remove(self) -> None:
        with suppress(AttributeError, ProcessLookupError):  # it has not begun, or has ended
            os.killpg(self.process.pid, signal.SIGKILL)
