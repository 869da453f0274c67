"""infra/kubernetes against the schemas of Kubernetes, and what no schema sees: names, labels, ports, limits, rights."""

import re

import kubernetes_validate
import pytest
import yaml

from tests.infra.commands import INFRA, check, unknown_settings

FOLDER = INFRA / "kubernetes"
VERSIONS = ("1.29", "1.32", kubernetes_validate.latest_version())
README = (INFRA / "README.md").read_text()


def resources(folder):
    """Every object that `kubectl apply -k` makes from a folder, and the file it is from."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    for name in listed:
        if name.endswith(".yaml"):
            for found in yaml.safe_load_all((folder / name).read_text()):
                yield f"{folder.name}/{name}", found
        else:
            yield from resources((folder / name).resolve())


OVERLAYS = {name: [found for _, found in resources(FOLDER / name)] for name in ("gpu", "ray")}
ALL = {
    f"{file} {found['kind']} {found['metadata']['name']}": found
    for name in OVERLAYS
    for file, found in resources(FOLDER / name)
}


def pod_of(found):
    """The spec and the labels of the pods that an object makes, or None."""
    spec = found.get("spec", {})
    spec = spec["jobTemplate"]["spec"] if found["kind"] == "CronJob" else spec
    return spec.get("template")


PODS = {name: pod for name, found in ALL.items() if (pod := pod_of(found))}
CONTAINERS = {
    f"{name} {one['name']}": one
    for name, pod in PODS.items()
    for one in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
}
each = pytest.mark.parametrize("name", ALL)
each_pod = pytest.mark.parametrize("name", PODS)
each_container = pytest.mark.parametrize("name", CONTAINERS)
each_overlay = pytest.mark.parametrize("name", OVERLAYS)


# --- what the schemas see -------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@each
def test_an_object_is_as_kubernetes_knows_it(name, version):
    kubernetes_validate.validate(ALL[name], version, strict=True)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("Deployment", {"replica": 1}),
        ("CronJob", {"timezone": "Europe/Berlin"}),
        ("Service", {"ports": [{"prot": 80}]}),
        ("NetworkPolicy", {"podSelector": []}),
    ],
)
def test_a_mistake_is_refused(kind, wrong):
    found = next(one for one in ALL.values() if one["kind"] == kind)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**found, "spec": found["spec"] | wrong}, VERSIONS[-1], strict=True)


def test_every_file_is_applied():
    listed = {name.split()[0] for name in ALL}
    there = {f"{path.parent.name}/{path.name}" for path in FOLDER.glob("*/*.yaml")}
    assert there - listed == {f"{name}/kustomization.yaml" for name in ("base", "gpu", "ray")}


@each_overlay
def test_no_object_is_made_twice(name):
    made = [(found["kind"], found["metadata"]["name"]) for found in OVERLAYS[name]]
    assert len(made) == len(set(made))


# --- what belongs together ------------------------------------------------------------------------


@each_overlay
def test_what_is_selected_is_there(name):
    pods = [pod for found in OVERLAYS[name] if (pod := pod_of(found))]
    labels = [pod["metadata"]["labels"] for pod in pods]
    for found in OVERLAYS[name]:
        for selector in selectors(found["kind"], found["spec"]) if "spec" in found else ():
            chosen = [one for one in labels if selects(selector, one)]
            assert chosen, f"{found['kind']} {found['metadata']['name']} selects nothing by {selector}"
        if found["kind"] in ("Deployment", "StatefulSet"):
            chosen = [one for one in labels if selects(found["spec"]["selector"], one)]
            assert chosen == [found["spec"]["template"]["metadata"]["labels"]], "its own pods, and no others"


def selectors(kind, spec):
    if kind == "Service":
        yield {"matchLabels": spec["selector"]}
    elif kind == "PodDisruptionBudget":
        yield spec["selector"]
    elif kind == "NetworkPolicy":
        yield spec["podSelector"]
        for side, key in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(side, []):
                yield from (peer["podSelector"] for peer in rule[key] if "podSelector" in peer)


def selects(selector, labels):
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", []))


@each_overlay
def test_a_port_that_is_named_is_a_port_of_whom_it_is_named_of(name):
    pods = [pod for found in OVERLAYS[name] if (pod := pod_of(found))]
    for found in OVERLAYS[name]:
        if found["kind"] == "Service":
            [pod] = [
                pod for pod in pods if selects({"matchLabels": found["spec"]["selector"]}, pod["metadata"]["labels"])
            ]
            named = ports(pod)
            assert all(named[port["targetPort"]] == port["port"] for port in found["spec"]["ports"])
        if found["kind"] == "NetworkPolicy":
            for rule in found["spec"].get("ingress", []):
                chosen = [pod for pod in pods if selects(found["spec"]["podSelector"], pod["metadata"]["labels"])]
                assert all(p["port"] in ports(pod) for p in rule.get("ports", []) for pod in chosen)
            for rule in found["spec"].get("egress", []):
                peers = [peer["podSelector"] for peer in rule["to"] if "podSelector" in peer]
                chosen = [pod for pod in pods for peer in peers if selects(peer, pod["metadata"]["labels"])]
                assert all(p["port"] in ports(pod) for p in rule.get("ports", []) for pod in chosen)


def ports(pod):
    return {p["name"]: p["containerPort"] for one in pod["spec"]["containers"] for p in one.get("ports", [])}


@each_container
def test_a_probe_asks_a_port_of_its_container(name):
    mine = {port["name"] for port in CONTAINERS[name].get("ports", [])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = CONTAINERS[name].get(probe, {})
        assert (asked.get("httpGet") or asked.get("tcpSocket") or {}).get("port") in {None, *mine}


@each_overlay
def test_what_is_referred_to_is_made_here_or_said_to_be_made_by_hand(name):
    made = {(found["kind"], found["metadata"]["name"]) for found in OVERLAYS[name]}
    by_hand = {
        ("Secret" if kind == "secret generic" else "ConfigMap", called)
        for kind, called in re.findall(r"create (secret generic|configmap) ([\w-]+)", README)
    }
    assert by_hand, "README.md has the commands"
    for found in OVERLAYS[name]:
        if pod := pod_of(found):
            assert set(references(pod["spec"])) <= made | by_hand


def references(spec):
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"]
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for one in [*spec.get("initContainers", []), *spec["containers"]]:
        for source in one.get("envFrom", []):
            yield ("ConfigMap", source["configMapRef"]["name"]) if "configMapRef" in source else (
                "Secret", source["secretRef"]["name"],
            )  # fmt: skip
        for variable in one.get("env", []):
            if "valueFrom" in variable:
                yield "Secret", variable["valueFrom"]["secretKeyRef"]["name"]


@each_pod
def test_what_is_mounted_is_a_volume_and_what_is_a_volume_is_mounted(name):
    spec = PODS[name]["spec"]
    claimed = {one["metadata"]["name"] for one in ALL[name]["spec"].get("volumeClaimTemplates", [])}
    volumes = {volume["name"] for volume in spec.get("volumes", [])} | claimed
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    assert {mount["name"] for one in containers for mount in one["volumeMounts"]} == volumes


def test_a_service_that_is_called_is_there():
    text = "".join(path.read_text() for path in FOLDER.glob("*/*.yaml"))
    made = {found["metadata"]["name"] for found in ALL.values() if found["kind"] == "Service"}
    assert {"prefect-server", "ray-head"} <= set(re.findall(r"([\w-]+):(?:4200|6379|10001)", text)) & made
    assert "PREFECT_SERVER_DATABASE_HOST, value: postgres}" in text


# --- what people who run clusters look for --------------------------------------------------------


@each_container
def test_a_container_says_what_it_needs_and_how_much_it_may_take(name):
    resources = CONTAINERS[name]["resources"]
    assert resources["requests"].keys() >= {"cpu", "memory", "ephemeral-storage"}
    assert resources["limits"].keys() >= {"memory", "ephemeral-storage"}
    gpu = "nvidia.com/gpu"
    assert resources["requests"].get(gpu) == resources["limits"].get(gpu)
    computes = "-gpu:" in CONTAINERS[name]["image"] and not name.endswith(" pool")  # that one waits, of the same image
    assert (gpu in resources["limits"]) == computes


@each_container
def test_a_container_may_write_where_a_volume_is_and_has_no_rights(name):
    context = CONTAINERS[name]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "/tmp" in {mount["mountPath"] for mount in CONTAINERS[name]["volumeMounts"]}


@each_pod
def test_a_pod_is_nobody_and_knows_nothing_of_kubernetes(name):
    spec = PODS[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    # A Service would be told in variables such as PREFECT_SERVER_PORT, which Prefect takes for its own.
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    for volume in spec.get("volumes", []):
        assert "hostPath" not in volume
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]


@each_overlay
def test_a_pod_that_computes_has_one_gpu_and_goes_where_there_are_some(name):
    pods = [pod["spec"] for found in OVERLAYS[name] if (pod := pod_of(found))]
    gpus = [spec for spec in pods if "-gpu:" in spec["containers"][0]["image"]]
    assert len(gpus) == 1
    for spec in gpus:
        assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert "nodeSelector" not in spec, "a label that not every cluster's GPU nodes have"
        assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_ray_s_nodes_and_limits_agree_with_what_ray_is_told():
    [node] = [one for name, one in CONTAINERS.items() if name.endswith(" ray-node")]
    requests, args = node["resources"]["requests"], node["args"]
    assert f"--num-cpus={requests['cpu']}" in args
    assert f"--num-gpus={requests['nvidia.com/gpu']}" in args
    for one in CONTAINERS.values():
        if one["args"][:2] == ["ray", "start"] if "args" in one else False:
            [size] = [int(arg.split("=")[1]) for arg in one["args"] if arg.startswith("--object-store-memory=")]
            assert size < 1 << 30, "/dev/shm holds it"
            assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} <= {variable["name"] for variable in one["env"]}


def test_a_worker_is_left_the_time_that_its_flows_are_promised():
    from flows.graceful import SECONDS

    workers = [pod for pod in PODS.values() if "flows.graceful" in pod["spec"]["containers"][0].get("args", [])]
    assert len(workers) == 2
    assert all(pod["spec"]["terminationGracePeriodSeconds"] >= SECONDS + 15 for pod in workers)


def test_images_are_pinned_and_ours_are_of_one_version():
    images = {one["image"] for one in CONTAINERS.values()}
    assert all(re.search(r":\d+\.\d+", image) for image in images)
    ours = {image.rsplit(":", 1)[1] for image in images if "/gramophone-" in image}
    assert len(ours) == 1
    for name in OVERLAYS:
        listed = yaml.safe_load((FOLDER / name / "kustomization.yaml").read_text())["images"]
        assert {one["newTag"] for one in listed} == ours
        assert {one["name"] for one in listed} == {i.rsplit(":", 1)[0] for i in images if "/gramophone-" in i}


@each_container
def test_a_result_names_the_image_that_made_it(name):
    told = [v["value"] for v in CONTAINERS[name].get("env", []) if v["name"] == "GRAMOPHONE_IMAGE_DIGEST"]
    assert told in ([], [CONTAINERS[name]["image"]])
    assert bool(told) == (name.split()[-1] in ("worker", "ray-node"))


def test_nothing_that_is_a_secret_stands_in_a_file():
    assert not [name for name, found in ALL.items() if found["kind"] == "Secret"]
    for one in CONTAINERS.values():
        for variable in one.get("env", []):
            secret = re.search(r"PASSWORD|TOKEN|AUTH_STRING|SECRET", variable["name"])
            assert ("valueFrom" in variable) == bool(secret)


# --- what it would type ---------------------------------------------------------------------------


@each_container
def test_a_command_line_is_what_its_program_understands(name):
    one = CONTAINERS[name]
    if "args" in one:
        check(one["args"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if "exec" in one.get(probe, {}):
            check(one[probe]["exec"]["command"])


@pytest.mark.parametrize("line", ["ray start --head --blok", "ray health-chek", "gramophone status --nigth today"])
def test_a_command_line_that_nobody_understands_is_refused(line):
    with pytest.raises(Exception, match=r"blok|chek|nigth"):
        check(line.split())


@each_container
def test_settings_are_known_to_whoever_reads_them(name):
    assert unknown_settings({variable["name"] for variable in CONTAINERS[name].get("env", [])}) == set()


def test_the_settings_of_all_are_known_and_the_manifest_of_the_monitor_is_that_of_the_night():
    [config] = [found["data"] for name, found in ALL.items() if name.endswith("ConfigMap gramophone")]
    assert unknown_settings(config) == set()
    night = next(
        d for d in yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"] if d["name"] == "nightly"
    )
    job = night["parameters"]["job"]
    [monitor] = [one["args"] for name, one in CONTAINERS.items() if name.endswith(" monitor")]
    assert job["manifest"] in monitor
    assert job["options"]["timezone"] in monitor
    assert job["root"] == config["GRAMOPHONE_ROOT"]
    zones = {found["spec"]["timeZone"] for found in ALL.values() if found["kind"] == "CronJob"}
    assert zones == {night["schedules"][0]["timezone"]}
