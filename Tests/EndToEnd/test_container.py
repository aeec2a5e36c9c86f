"""deploy/container and deploy/kubernetes: the image has the libraries that the executables need, the manifest is valid
and keeps to the pod security standard "restricted", and the gateway runs without a place to write. No image is built."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from common import BIN, REPO, clean_environment, is_root, until
from gateway import Gateway

VENV = REPO / ".build" / "test-venv" / "bin"
CONTAINERFILE = (REPO / "deploy" / "container" / "Containerfile").read_text()
PROBE = REPO / "deploy" / "container" / "probe"
KUBERNETES = REPO / "deploy" / "kubernetes"
MANIFEST = KUBERNETES / "gateway.yaml"
MANIFESTS = sorted(KUBERNETES.glob("*.yaml"))


def manifest(path=MANIFEST):
    words = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))"
    return json.loads(subprocess.run([VENV / "python", "-c", words, path], capture_output=True, text=True, check=True, timeout=30).stdout)


def documents():
    return [document for path in MANIFESTS for document in manifest(path)]


def templates():
    """The pod templates by the names of what makes them."""
    jobs = {document["metadata"]["name"]: document["spec"] for document in documents() if document["kind"] in ("Deployment", "Job", "CronJob")}
    return {name: spec.get("jobTemplate", {"spec": spec})["spec"]["template"] for name, spec in jobs.items()}


def pod(name="leadpipe-gateway"):
    return templates()[name]["spec"]


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=100).stdout


def with_dependencies(packages):
    """The packages and all that they depend on, of those that are installed here."""
    lines = output("dpkg-query", "-W", "-f", "${Package}\t${Depends}, ${Pre-Depends}\n").splitlines()
    depends = {name: re.findall(r"(?:^|[,|]\s*)([a-z0-9][a-z0-9+.-]+)", words) for name, words in (line.split("\t") for line in lines)}
    found, left = set(), set(packages)
    while left:
        name = left.pop()
        if name in depends:
            found.add(name)
            left |= set(depends[name]) - found
    return found


@pytest.mark.seconds(180)
def test_the_image_has_the_libraries_of_the_executables():
    packages = re.search(r"--no-install-recommends ([a-z0-9 -]+)", CONTAINERFILE)[1].split()
    programs = [BIN / "leadpipe", BIN / "gateway", BIN / "confine", *sorted((BIN / "handlers").glob("[!.]*"))]
    libraries = set(re.findall(r"=> (/\S+)", output("ldd", *programs)))
    # bash and coreutils are in every Debian: the probe and preStop use them.
    files = {os.path.realpath(path) for path in output("dpkg", "-L", *with_dependencies([*packages, "libc6", "bash", "coreutils"])).splitlines()}
    assert len(libraries) >= 2 and not {library for library in libraries if os.path.realpath(library) not in files}


def test_the_image_runs_as_a_number_that_the_manifest_uses():
    user = int(re.search(r"^USER (\d+):\1$", CONTAINERFILE, re.MULTILINE)[1])
    context = pod()["securityContext"]
    assert user >= 10_000 and context["runAsUser"] == context["runAsGroup"] == user
    # Docker does not read the first.
    ignored = (REPO / ".containerignore").read_text()
    assert {"bin", ".git", ".leadpipe"} <= set(ignored.split()) and (REPO / ".dockerignore").read_text() == ignored


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_the_manifest_is_valid(path, tmp_path):
    def validate(file):
        done = subprocess.run([VENV / "kubernetes-validate", "-k", "1.37", "--strict", file], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    status, output = validate(path)
    assert status == 0, output
    wrong = tmp_path / path.name
    wrong.write_text(path.read_text().replace("metadata:", "metadatum:", 1))
    assert validate(wrong)[0] != 0


# kubernetes.io/docs/concepts/security/pod-security-standards: the fields that "restricted" forbids and requires.
def violations(pod):
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    for volume in pod.get("volumes", []):
        if not volume.keys() - {"name"} <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}:
            yield f"volume {volume['name']}"
    general = pod.get("securityContext", {})
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        both = {**general, **own}
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
            yield "root"
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield "seccompProfile"
        if own.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation"
        if "ALL" not in own.get("capabilities", {}).get("drop", []) or set(own["capabilities"].get("add", [])) - {"NET_BIND_SERVICE"}:
            yield "capabilities"
        if own.get("privileged") or own.get("procMount", "Default") != "Default" or any(port.get("hostPort") for port in container.get("ports", [])):
            yield "privileged"
        if own.get("readOnlyRootFilesystem") is not True:
            yield "readOnlyRootFilesystem"


def test_the_manifest_keeps_to_restricted():
    namespace = next(document for document in manifest() if document["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert set(templates()) == {"leadpipe-gateway", "leadpipe-worker", "leadpipe-migrate", "leadpipe-deadlines", "leadpipe-housekeeping"}
    for name in templates():
        assert list(violations(pod(name))) == [], name
        assert pod(name)["automountServiceAccountToken"] is False and pod(name)["enableServiceLinks"] is False


def test_manifests_belong_together():
    """Every selector finds a pod template, everything is in the namespace, and all use one image."""
    labels = [template["metadata"]["labels"] for template in templates().values()]
    for document in documents():
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "leadpipe"
        selector = document["spec"].get("podSelector") or document["spec"].get("selector") if document["kind"] != "Namespace" else None
        if selector:
            wanted = selector.get("matchLabels", selector).items()
            assert any(wanted <= own.items() for own in labels), document["metadata"]["name"]
    assert len({container["image"] for name in templates() for container in pod(name)["containers"]}) == 1
    budget = next(document for document in documents() if document["kind"] == "PodDisruptionBudget")
    deployment = next(document for document in manifest() if document["kind"] == "Deployment")
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"], "else no node can be drained"


def test_the_network_policies_allow_what_is_needed_and_no_more():
    policies = {document["metadata"]["name"]: document["spec"] for document in documents() if document["kind"] == "NetworkPolicy"}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ingress = [spec for spec in policies.values() if spec.get("ingress")]
    assert [port["port"] for spec in ingress for rule in spec["ingress"] for port in rule["ports"]] == [pod()["containers"][0]["ports"][0]["containerPort"]]
    outside = policies["from-the-worker-to-the-providers"]
    assert outside["podSelector"]["matchLabels"] == templates()["leadpipe-worker"]["metadata"]["labels"]
    assert "169.254.0.0/16" in outside["egress"][0]["to"][0]["ipBlock"]["except"]
    assert all("ports" in rule for spec in policies.values() for rule in spec.get("egress", []))


@pytest.mark.parametrize(("name", "settings"), [
    ("leadpipe-worker", {"DATABASE_URL_WORKER": "postgresql://leadpipe_worker@127.0.0.1:1/x", "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x"})])
def test_the_worker_accepts_its_settings(name, settings):
    container = pod(name)["containers"][0]
    settings |= {entry["name"]: entry["value"] for entry in container["env"]}
    done = subprocess.run([BIN / "leadpipe", *container["args"], "--check"], env=clean_environment(**settings), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["leadpipe-migrate", "leadpipe-deadlines", "leadpipe-housekeeping"])
def test_the_jobs_run(name, database):
    """Their words, with the login that their secret has."""
    container = pod(name)["containers"][0]
    # The jobs of the worker have all its settings.
    of_worker = container.get("envFrom") == [{"secretRef": {"name": "leadpipe-worker"}}]
    variable = "DATABASE_URL_WORKER" if of_worker else container["env"][0]["name"]
    role = "leadpipe_worker" if of_worker else None
    url = re.sub("//[^@]*@", f"//{role}@", database.url) if role else database.url
    done = subprocess.run([REPO / "deploy/container/start", str(BIN / "leadpipe"), *container["args"]], env=clean_environment(**{variable: url}),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


def without(pod, path):
    copy = json.loads(json.dumps(pod))
    place = copy
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return copy


OWN = ("containers", 0, "securityContext")


@pytest.mark.parametrize("path", [("securityContext", "runAsNonRoot"), ("securityContext", "seccompProfile"), (*OWN, "allowPrivilegeEscalation"),
                                  (*OWN, "capabilities", "drop"), (*OWN, "readOnlyRootFilesystem")], ids=lambda path: path[-1])
def test_the_check_finds_what_is_missing(path):
    assert len(list(violations(without(pod(), path)))) == 1


def test_the_manifest_gives_the_gateway_time_to_stop_and_names_its_handlers():
    container = pod()["containers"][0]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] >= pause + 15 + 2 + 2
    assert f"PORT={container['ports'][0]['containerPort']} " in CONTAINERFILE
    command, only, names = container["args"]
    assert (command, only) == ("gateway", "--only")
    assert container["envFrom"] == [{"secretRef": {"name": "leadpipe-gateway"}}]
    settings = {entry["name"]: entry["value"] for entry in container["env"]} | {"DATABASE_URL_INTAKE": "postgresql://leadpipe_intake@127.0.0.1:1/x"}
    # The command of the image with the environment of the manifest. Only an intake login is given, because only intake
    # handlers are named.
    done = subprocess.run([BIN / "leadpipe", command, only, names, "--check"], env=clean_environment(**settings), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"][0] == "/opt/leadpipe/probe" and "deploy/container/probe" in CONTAINERFILE


def probe(page, address):
    return subprocess.run([PROBE, page], env=clean_environment(LEADPIPE_OPERATIONS=address), capture_output=True, timeout=10).returncode == 0


def test_the_probe_reads_the_operations_interface(tmp_path):
    with Gateway(tmp_path, LEADPIPE_OPERATIONS="127.0.0.1:0") as gateway:
        line = until(lambda: next((line for line in gateway.lines if "Operations listening" in line), None))
        address = re.search(r"http://(\S+)", line)[1]
        assert probe("live", address) and probe("ready", address) and not probe("nothing", address)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(20)
        assert not probe("live", address)


@pytest.mark.skipif(not is_root(), reason="mounts need root")
def test_runs_as_nobody_where_nothing_can_be_written(tmp_path):
    """All mounts are read-only, /tmp and /dev/shm included."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp") and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o055)
    script = """mount --make-rprivate /
        for place in $(findmnt -rno TARGET | tac); do
          case $place in /proc*|/sys*|/dev|/dev/pts|/dev/mqueue) ;; *) mount -o remount,bind,ro "$place" ;; esac
        done
        touch /written 2>/dev/null && exit 99
        touch /tmp/written 2>/dev/null && exit 99
        exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@" """

    def confined(words):
        return ["unshare", "-m", "/bin/sh", "-c", script, "sh", *words]
    gateway = Gateway(tmp_path, user=confined, LEADPIPE_OPERATIONS="127.0.0.1:0")
    gateway.spawned.chmod(0o666)
    with gateway:
        mounts = subprocess.run(["grep", "-c", " ro,", f"/proc/{gateway.process.pid}/mountinfo"], capture_output=True, text=True, timeout=5).stdout
        assert int(mounts) > 0
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines() if ":\t" in line)
        assert status["Uid"].split() == ["65534"] * 4 and int(status["CapEff"], 16) == 0
        assert gateway.request("GET", "/nowhere")[0] == 404 and gateway.request("GET", "/api/openapi.json")[0] == 200
        # A handler runs. That it cannot write its file is its own failure, which it ignores.
        for _ in range(3):
            assert gateway.request("POST", "/form", body="{}")[0] == 200
        assert gateway.processes == 0
        assert not [line for line in gateway.lines if "[ERROR]" in line]
    assert gateway.process.returncode == 0
