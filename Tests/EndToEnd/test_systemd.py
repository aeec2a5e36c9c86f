"""deploy/systemd: each unit's sandbox is rated well, and the system calls of running services pass its filter. systemd
itself does not run here."""

import re
import subprocess

import pytest

from common import BIN, REPO, TEST_USER, clean_environment, until
from instance import Instance

UNITS = sorted([*REPO.glob("deploy/systemd/*.service"), *REPO.glob("deploy/prometheus/*.service")])
FILTERED = [unit for unit in UNITS if "leadpipe" in unit.name]


def analyze(*words):
    # The program colours and pages its output only on a terminal.
    return subprocess.run(["systemd-analyze", *map(str, words)], env=clean_environment(), capture_output=True, text=True, timeout=50)


def exposure(unit):
    done = analyze("security", "--offline=true", "--no-pager", unit)
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)[1])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_sandbox_is_rated_at_most_two(unit):
    assert exposure(unit) <= 2.0


def test_the_rating_sees_what_is_missing(tmp_path):
    copy = tmp_path / "leadpipe-gateway.service"
    text = (REPO / "deploy/systemd/leadpipe-gateway.service").read_text()
    copy.write_text(re.sub(r"^(SystemCall|Private|Protect|Capability).*\n", "", text, flags=re.MULTILINE))
    assert exposure(copy) > 4


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_knows_every_setting_of_the_unit(unit, tmp_path):
    # The programs of the units are not installed here, so the copy starts one that is.
    name = re.sub("@", "@intake", unit.name)
    text = re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    (tmp_path / name).write_text(re.sub(r"^(Requires|Also)=.*\n", "", text, flags=re.MULTILINE))
    done = analyze("verify", "--man=no", "--recursive-errors=no", tmp_path / name)
    own = [line for line in done.stderr.splitlines() if name in line]
    assert done.returncode == 0 and own == [], done.stderr
    (tmp_path / name).write_text(text.replace("NoNewPrivileges", "NoNewPriviledges"))
    assert "NoNewPriviledges" in analyze("verify", "--man=no", tmp_path / name).stderr


def test_the_units_start_the_programs_that_are_built():
    for unit in ("gateway", "worker"):
        text = (REPO / f"deploy/systemd/leadpipe-{unit}.service").read_text()
        program, word = re.search(r"^ExecStart=(\S+) (\w+)$", text, re.MULTILINE).groups()
        assert (BIN / program.removeprefix("/opt/leadpipe/bin/")).exists() and word == unit
        assert f"EnvironmentFile=/etc/leadpipe/{unit}.env" in text and f"User=leadpipe-{unit}" in text


# ── The filter of system calls ──

def calls_of(group, seen):
    """The names in one of systemd's groups."""
    if group in seen:
        return set()
    seen.add(group)
    lines = [line.strip() for line in analyze("syscall-filter", group).stdout.splitlines()[1:]]
    names = {line for line in lines if line and not line.startswith("#")}
    return {name for name in names if not name.startswith("@")}.union(*(calls_of(name, seen) for name in names if name.startswith("@")))


def allowed(unit):
    calls = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        names = set()
        for word in line.lstrip("~").split():
            names |= calls_of(word, set()) if word.startswith("@") else {word}
        calls = calls - names if line.startswith("~") else calls | names
    return calls


SERVICE = re.compile(r'execve\("[^"]*/(?:bin/gateway|bin/confine|handlers/[\w-]+|bin/leadpipe", \["[^"]*", "worker)".*= 0$')


def calls_of_services(folder, pid, is_service=False):
    """The system calls of the gateway, the worker and their handlers, from strace's file of each process. `leadpipe up`
    and the private database are no services of these units."""
    own = set()
    for line in (folder / f"calls.{pid}").read_text(errors="replace").splitlines():
        found = re.match(r"(\w+)\(", line)
        if not found:
            continue
        if found[1] == "execve" and line.endswith("= 0"):
            is_service = SERVICE.match(line) is not None
        if is_service:
            own.add(found[1])
        child = re.match(r"(?:clone3?|v?fork)\(.*= (\d+)$", line)
        if child and (folder / f"calls.{child[1]}").exists():
            own |= calls_of_services(folder, child[1], is_service)
    return own


# Calls that are traced although they are allowed: they say which process is which, and that the trace sees handlers.
MARKS = {"execve", "clone", "clone3", "fork", "vfork", "seccomp"}


@pytest.mark.seconds(150)
def test_running_services_pass_the_filter(tmp_path):
    """A lead comes in and is delivered, the panel is read. Every call that the services make is in the filter of both."""
    units = [allowed(REPO / f"deploy/systemd/leadpipe-{unit}.service") for unit in ("gateway", "worker")]
    assert units[0] == units[1] and units[0] >= MARKS
    # Only what is not allowed stops a process, so the services are as quick as ever. ?: not a call of this machine.
    calls = ",".join(f"?{name}" for name in sorted(units[0] - MARKS))
    trace = ("strace", "-ff", "-qq", "--seccomp-bpf", "-o", str(tmp_path / "calls"), "-e", "signal=none", "-e", f"trace=!{calls}")
    with Instance(prefix=trace, POOLER="off") as instance:
        instance.capture(TEST_USER)
        until(lambda: instance.database.count("lead_events", "processed"), 60, "the delivery")
        assert instance.http("/health")[0] == 200 and instance.http("/api/admin/session")[0] in (401, 503)
    first = next(file.name.rpartition(".")[2] for file in tmp_path.iterdir() if '"up"' in file.read_text(errors="replace").partition("\n")[0])
    own = calls_of_services(tmp_path, first)
    assert {"execve", "seccomp"} <= own and own & {"clone", "clone3"}, own
    assert own - MARKS == set()
