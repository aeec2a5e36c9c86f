"""What a handler can access: an intruder that tries everything, the product's own handlers, and handlers in other
languages."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

import misbehaving
from common import BIN, HANDLERS, REPO, TEST_USER, as_postgres, clean_environment, free_port, until
from gateway import GatewayWith
from handlers import envelope

HOSTILE = REPO / "Tests" / "Hostile"
EXAMPLES = REPO / "Tests" / "Examples"
CLASSES = ["none", "intake", "worker", "admin"]


def explain(name, **environment):
    """The topics of `leadpipe routes --explain` with their lines."""
    done = subprocess.run([BIN / "leadpipe", "routes", "--explain", name], env=clean_environment(**environment), cwd="/",
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    topics, last = {}, None
    for line in done.stdout.splitlines():
        topic, text = line[:13].strip(), line[13:]
        last = topic or last
        topics.setdefault(last, []).append(text)
    return topics, done.stdout


KERNEL = explain("rate-limit")[0]["kernel"][0]
needs_landlock = pytest.mark.skipif("all of this is enforced" not in KERNEL, reason=f"this kernel does not enforce everything: {KERNEL}")


# ── An intruder that tries everything ──

@pytest.fixture(scope="module")
def folder():
    """A folder that every user can open, because a gateway may run as another user."""
    path = Path(tempfile.mkdtemp(prefix="lpc-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def intruders(folder, cluster):
    """A gateway with the intruder in each class, secrets around it, and values in its environment that no handler may
    inherit."""
    home = folder / "each"
    home.mkdir()
    state = home / "state"
    state.mkdir()
    (state / "admin-key").write_text("secret\n")
    text = (HOSTILE / "intruder").read_text()
    trust = {name: name for name in CLASSES if name != "none"}
    url = cluster.url("postgres", "leadpipe_intake")
    with GatewayWith(home, {name: text for name in CLASSES}, trust, DATABASE_URL=cluster.url("postgres"), DATABASE_URL_INTAKE=url,
                     DATABASE_URL_WORKER="postgresql://leadpipe_worker@127.0.0.1:5999/postgres", ADMIN_API_KEY="k" * 40,
                     LEADPIPE_WAKE=str(home / "wake"), RATE_LIMIT_DEFAULT="off", LD_LIBRARY_PATH="/tmp", PYTHONSTARTUP="/tmp/x",
                     HOME="/root", SECRET="secret") as gateway:
        gateway.state = state
        yield gateway


def attempt(gateway, name, *attempts):
    answer = gateway.answer("POST", f"/{name}", body=json.dumps(attempts))
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200"), (answer, gateway.log)
    return json.loads(body)


def refused(results):
    return [result for result in results if isinstance(result, str) and not result.startswith("done")] == results


@needs_landlock
@pytest.mark.parametrize("name", CLASSES)
def test_intruder_cannot_read_anything_else(intruders, name):
    secret, gateway, own = intruders.state / "admin-key", intruders.process.pid, intruders.handlers / name
    paths = [secret, "/etc/shadow", "/etc/passwd", "/etc/ssl/private", "/etc/hostname", BIN / "gateway", intruders.folder / "trust.json",
             f"/proc/{gateway}/environ", f"/proc/{gateway}/mem",
             f"/proc/{gateway}/maps", f"/proc/{gateway}/exe", f"/proc/{os.getpid()}/environ", "/proc/self/environ", "/proc/1/environ",
             "/proc/self/root" + str(secret), f"/proc/{gateway}/root" + str(secret), f"/proc/{gateway}/cwd", "/sys/kernel/notes", "/dev/mem", "/dev/vda"]
    results = attempt(intruders, name, *[["read", str(path)] for path in paths], ["change", "listdir", str(intruders.state)],
                      ["change", "listdir", "/proc"], ["change", "listdir", "/root"], ["shell", str(secret)])
    assert refused(results), list(zip(paths, results, strict=False))
    # The folder of handlers holds only programs and no secrets. A program may be replaced while it is started.
    other = intruders.handlers / ("admin" if name == "none" else "none")
    allowed = [own, other, "/usr/share/zoneinfo/Asia/Dubai"]
    assert attempt(intruders, name, *[["read", str(path)] for path in allowed]) == ["done: 100"] * 3


@needs_landlock
@pytest.mark.parametrize("name", CLASSES)
def test_intruder_cannot_change_anything(intruders, name):
    secret, own = str(intruders.state / "admin-key"), str(intruders.handlers / name)
    before = os.stat(secret), os.stat(own)
    new = [f"{place}/lpc-intruder" for place in (intruders.state, intruders.handlers, "/tmp", "/var/tmp", "/dev/shm", "/run", "/usr/local")]
    results = attempt(
        intruders, name, *[["write", path] for path in [secret, own, *new]], ["change", "truncate", secret, 0], ["change", "chmod", secret, 0o666],
        ["change", "chown", secret, 1, 1], ["change", "utime", secret], ["change", "rename", secret, secret + "2"], ["change", "unlink", secret],
        ["change", "link", secret, new[2]], ["change", "symlink", secret, new[2]], ["change", "mkdir", new[2]], ["change", "mkfifo", new[2]],
        ["change", "removexattr", secret, "user.a"], ["call", 90, 0, 0o666], ["call", 452, -100, 0, 0o666, 0])
    assert refused(results), results
    for path, status in zip((secret, own), before, strict=True):
        assert (os.stat(path).st_mode, os.stat(path).st_uid, os.stat(path).st_mtime_ns) == (status.st_mode, status.st_uid, status.st_mtime_ns)
    assert Path(secret).read_text() == "secret\n" and Path(own).read_text() == (HOSTILE / "intruder").read_text()
    assert not any(os.path.lexists(path) for path in new)


@needs_landlock
@pytest.mark.parametrize("name", CLASSES)
def test_intruder_cannot_touch_other_processes(intruders, name):
    gateway = intruders.process.pid
    ptrace, unshare, mount, setns, keyctl, bpf, io_uring, userfaultfd, readv, personality = 101, 272, 165, 308, 250, 321, 425, 323, 310, 135
    results = attempt(
        intruders, name, ["change", "kill", gateway, 0], ["change", "kill", gateway, signal.SIGTERM], ["change", "kill", os.getpid(), 0],
        ["change", "kill", 1, 0],
        ["call", ptrace, 16, gateway, 0, 0], ["call", ptrace, 0x4206, gateway, 0, 0], ["call", readv, gateway, 0, 0, 0, 0, 0],
        ["call", unshare, 0x10000000], ["call", unshare, 0x20000], ["call", mount, 0, 0, 0, 0, 0], ["call", setns, 0, 0], ["call", keyctl, 0, -3, 0],
        ["call", bpf, 0, 0, 0], ["call", io_uring, 8, 0], ["call", userfaultfd, 0], ["call", personality, 8], ["change", "setsid"], ["change", "setpgid", 0, 0],
        ["call", 0x40000000 + 39])
    assert refused(results), results
    assert intruders.process.poll() is None


# Numbers of calls (x86_64) and arguments.
SCHEDULING = [("setpriority", 141, 0, "gateway", 19), ("setpriority of the group", 141, 1, 0, 19), ("setpriority of the user", 141, 2, 0, 19),
              ("sched_setparam", 142, "gateway", 0), ("sched_setscheduler", 144, "gateway", 5, 0), ("sched_setaffinity", 203, "gateway", 0, 0),
              ("sched_setattr", 314, "gateway", 0, 0), ("ioprio_set", 251, 1, "gateway", 3 << 13)]
OUTLIVING = [("shmget", 29, 0, 4096, 0o1600), ("shmat", 30, 0, 0, 0), ("shmctl", 31, 0, 0, 0), ("semget", 64, 0, 1, 0o1600), ("semctl", 66, 0, 0, 0),
             ("semop", 65, 0, 0, 0), ("semtimedop", 220, 0, 0, 0, 0), ("msgget", 68, 0, 0o1600), ("msgsnd", 69, 0, 0, 0, 0), ("msgrcv", 70, 0, 0, 0, 0, 0),
             ("msgctl", 71, 0, 0, 0), ("mq_open", 240, 0, 0o102, 0o600, 0), ("mq_unlink", 241, 0)]
KERNEL_WIDE = [("fanotify_init", 300, 0, 0), ("fanotify_mark", 301, 0, 1, 0, 0, 0), ("inotify_init", 253), ("inotify_init1", 294, 0),
               ("inotify_add_watch", 254, 0, 0, 0), ("adjtimex", 159, 0), ("clock_adjtime", 305, 0, 0), ("syslog", 103, 3, 0, 0), ("vhangup", 153),
               ("kexec_file_load", 320, 0, 0, 0, 0, 0), ("quotactl_fd", 443, 0, 0, 0, 0), ("modify_ldt", 154, 0, 0, 0), ("memfd_create", 319, 0, 0),
               ("memfd_secret", 447, 0), ("process_madvise", 440, 0, 0, 0, 0, 0), ("process_mrelease", 448, 0, 0), ("migrate_pages", 256, "gateway", 0, 0, 0),
               ("move_pages", 279, "gateway", 0, 0, 0, 0, 0), ("open_tree_attr", 467, 0, 0, 0, 0, 0), ("setxattrat", 463, 0, 0, 0, 0, 0, 0),
               ("removexattrat", 466, 0, 0, 0, 0), ("file_setattr", 469, 0, 0, 0, 0, 0)]


@needs_landlock
@pytest.mark.parametrize("name", CLASSES)
def test_intruder_cannot_reschedule_others_or_leave_objects_in_the_kernel(intruders, name):
    gateway = intruders.process.pid
    before = (os.getpriority(os.PRIO_PROCESS, gateway), os.sched_getaffinity(gateway), os.sched_getscheduler(gateway),
              [Path(f"/proc/sysvipc/{kind}").read_text().count("\n") for kind in ("shm", "sem", "msg")])
    calls = [*SCHEDULING, *OUTLIVING, *KERNEL_WIDE]
    results = attempt(intruders, name, *[["call", number, *[gateway if word == "gateway" else word for word in words]] for _, number, *words in calls])
    assert results == ["EPERM"] * len(calls), [(call[0], result) for call, result in zip(calls, results, strict=True) if result != "EPERM"]
    assert before == (os.getpriority(os.PRIO_PROCESS, gateway), os.sched_getaffinity(gateway), os.sched_getscheduler(gateway),
                      [Path(f"/proc/sysvipc/{kind}").read_text().count("\n") for kind in ("shm", "sem", "msg")])


@needs_landlock
@pytest.mark.parametrize("name", CLASSES)
def test_intruder_cannot_clone_into_namespaces(intruders, name):
    """Nor into a child of the gateway, which would stay as a zombie because the gateway does not expect it."""
    flags = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x8000]
    results = attempt(intruders, name, *[["clone", flag] for flag in flags], ["call", 435, 0, 0])
    assert results == ["EPERM"] * len(flags) + ["ENOSYS"]
    assert attempt(intruders, name, ["clone", 0], ["clone", 0x4000]) == ["done"] * 2
    assert "Z" not in [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in misbehaving.children(intruders.process.pid)]


@needs_landlock
def test_intruder_cannot_get_memory_that_no_limit_counts(folder):
    """Shared memory, stacks, pipes, and private memory that is made unwritable after use."""
    home = folder / "memory"
    home.mkdir()
    with GatewayWith(home, {"none": (HOSTILE / "intruder").read_text()}, {"none": {"class": "none", "addressSpace": 300}},
                     RATE_LIMIT_DEFAULT="off") as gateway:
        # MAP_SHARED, MAP_SHARED_VALIDATE, MAP_GROWSDOWN; each anonymous.
        results = attempt(gateway, "none", ["share", 1, 0x21], ["share", 1, 0x23], ["share", 1, 0x122], ["share", 1, 0x22], ["share_zeros", 400],
                          ["share_zeros", 1], ["pipe", 16], ["hide", 1000])
        assert results[:7] == ["ENOMEM", "ENOMEM", "ENOMEM", "done", "ENOMEM", "done", "EPERM"] and 0 < results[7] < 300, results
        assert attempt(gateway, "none", ["limits"])[0]["RLIMIT_AS"] == 300 << 20


@needs_landlock
@pytest.mark.parametrize("name", CLASSES)
def test_intruder_reaches_only_its_database(intruders, name, cluster):
    socket_path = f"{cluster.home}/.s.PGSQL.5432"
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_UNIX) as abstract, socket.socket(type=socket.SOCK_DGRAM) as listener:
        abstract.bind(f"\0lpc-{os.getpid()}")
        abstract.listen()
        listener.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        results = attempt(intruders, name, ["connect", "127.0.0.1", intruders.port], ["connect", "127.0.0.1", port], ["listen"],
                          ["abstract", f"lpc-{os.getpid()}"])
        assert refused(results), results
        # DNS uses UDP, which Landlock does not restrict. Only class worker, which connects to hosts, may send
        # datagrams.
        assert attempt(intruders, name, ["datagram", listener.getsockname()[1]]) == ["done" if name == "worker" else "EACCES"]
        # A handler without a database reaches no socket. A handler with a database on this machine reaches its socket;
        # the server authenticates it there.
        assert attempt(intruders, "none", ["database", socket_path, "leadpipe"]) == ["EACCES"]


@needs_landlock
@pytest.mark.parametrize("name", CLASSES)
def test_intruder_inherits_nothing_and_cannot_raise_its_limits(intruders, name):
    allowed = {"none": [], "intake": ["DATABASE_URL", "LEADPIPE_WAKE"], "worker": ["DATABASE_URL"],
               "admin": ["DATABASE_URL", "LEADPIPE_ROLE", "LEADPIPE_WAKE", "ADMIN_API_KEY"]}[name]
    inherited = attempt(intruders, name, ["environment", "HOME", "LC_CTYPE", "SWIFT_BACKTRACE", "LEADPIPE_SUPERVISED", *allowed], ["descriptors"])
    assert inherited == ["none", "none"]
    limits, *results = attempt(intruders, name, ["limits"], ["memory", 700], ["files"], ["limit", "RLIMIT_CORE", -1], ["limit", "RLIMIT_DATA", -1],
                               ["limit", "RLIMIT_AS", -1], ["limit", "RLIMIT_CPU", 1000],
                               ["status", "no_new_privs"], ["status", "seccomp"], ["status", "parent death signal"])
    assert limits == {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": 256, "RLIMIT_DATA": 512 << 20, "RLIMIT_AS": 4 << 30,
                      "RLIMIT_NPROC": 512, "RLIMIT_CPU": 10, "RLIMIT_FSIZE": 0}
    assert results[0] == "MemoryError" and results[1] == "EMFILE", results
    assert [result.startswith("done") for result in results[2:6]] == [False] * 4, results
    assert results[6:] == [1, 2, signal.SIGTERM]


def test_intruder_leaves_no_process_behind(intruders):
    for calls in ([], ["setsid"], ["setpgid"], ["fork", "setsid", "fork"]):
        assert attempt(intruders, "none", ["escape", misbehaving.SLEEP, *calls]) == ["done"]
    until(lambda: not misbehaving.sleepers(misbehaving.SLEEP), 5, "the end of its child processes")


def test_dying_intruder_leaves_no_core_file(intruders):
    before = set(os.listdir("/")) | set(os.listdir(intruders.handlers))
    assert intruders.request("POST", "/none", body=json.dumps([["core"]]))[0] == 502
    assert set(os.listdir("/")) | set(os.listdir(intruders.handlers)) == before


def test_fork_bomb_is_limited_and_cleared_away(folder):
    """The process limit does not apply to root, so this gateway runs as another user."""
    home = folder / "bomb"
    home.mkdir()
    with GatewayWith(home, {"none": (HOSTILE / "intruder").read_text()}, user=as_postgres, RATE_LIMIT_DEFAULT="off") as gateway:
        children, = attempt(gateway, "none", ["forks", misbehaving.SLEEP, 900])
        assert 0 < children <= 512
        until(lambda: not misbehaving.sleepers(misbehaving.SLEEP), 10, "the end of the fork bomb")
        assert attempt(gateway, "none", ["descriptors"]) == ["none"]


# ── Handlers that do not end as they should ──

def test_300_failing_handlers_leave_nothing_behind(folder):
    home = folder / "failing"
    home.mkdir()
    misbehaving.check(home, requests=300)


# ── The product's handlers ──

def run_confined(name, stdin, *arguments, **environment):
    """Starts a handler and inspects it while it waits for its request. Returns /proc/PID/status, its limits and its
    output."""
    process = subprocess.Popen([HANDLERS / name, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=clean_environment(**environment), cwd="/")
    status = until(lambda: (lambda text: text if "Seccomp:\t2" in text else None)(Path(f"/proc/{process.pid}/status").read_text()), 5, "confinement")
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    out, errors = process.communicate(json.dumps(stdin).encode(), timeout=20)
    return status, limits, out, errors


@needs_landlock
@pytest.mark.parametrize("name", sorted(path.name for path in HANDLERS.glob("[!.]*")))
def test_every_handler_is_confined_while_it_waits(name):
    status, limits, _, _ = run_confined(name, {}, LEADPIPE_SUPERVISED="1")
    assert "NoNewPrivs:\t1" in status
    # Only exports write files, in a folder of their own: EndToEnd/test_export_formats.py.
    files = "unlimited" if name == "conversation-export" else 0
    for name, value in {"core file size": 0, "file size": files, "open files": 256, "data size": 512 << 20, "address space": 1 << 30}.items():
        assert re.search(rf"^Max {name} +{value} +{value} ", limits, re.MULTILINE), limits


def traced(words, stdin, inject=(), **environment):
    """The system calls of a handler. `inject` makes strace change the results of some."""
    told = [part for call in inject for part in ("-e", f"inject={call}")]
    with tempfile.NamedTemporaryFile(prefix="lpc-trace-", mode="r") as trace:
        done = subprocess.run(["strace", "-f", "-s", "200", *told, "-o", trace.name, *words], input=stdin, env=clean_environment(**environment), cwd="/",
                              capture_output=True, timeout=60)
        return done, trace.read()


@needs_landlock
def test_handler_is_confined_before_it_reads(database):
    done, calls = traced([HANDLERS / "lead-capture"], json.dumps(TEST_USER).encode(), DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    held, first_read = calls.index("seccomp("), re.search(r"read\(0,", calls).start()
    assert calls.index("landlock_restrict_self") < held < first_read
    check_nothing_is_denied(calls)
    assert not re.search(r"openat\(.*O_(WRONLY|RDWR|CREAT)|execve\(", calls[held:])


def check_nothing_is_denied(calls):
    """Checks that after confinement no system call that the handler needs is denied."""
    wanted = [line for line in calls[calls.index("seccomp("):].splitlines() if re.search(r"= -1 (EACCES|EPERM|ENOSYS)", line)]
    # The C library tries clone3 first to make a thread, and falls back to clone.
    assert [line for line in wanted if "clone3" not in line] == []


@needs_landlock
def test_connects_to_a_database_by_name_and_port(database, cluster):
    with relay(f"{cluster.home}/.s.PGSQL.5432") as port:
        url = f"postgresql://leadpipe@localhost:{port}/{database.name}"
        done, calls = traced([HANDLERS / "lead-capture"], json.dumps(TEST_USER).encode(), DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
        check_nothing_is_denied(calls)
        assert database.count("conversations") == 1


@contextlib.contextmanager
def relay(path):
    """A TCP port on this machine that forwards to a unix socket."""
    def pass_on(source, target):
        with contextlib.suppress(OSError):
            while chunk := source.recv(65_536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                outside, _ = listener.accept()
                inside = socket.socket(socket.AF_UNIX)
                inside.connect(path)
                for pair in (outside, inside), (inside, outside):
                    threading.Thread(target=pass_on, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@needs_landlock
@pytest.mark.parametrize("kernel, rights, net, scoped", [
    (["landlock_create_ruleset:error=ENOSYS"], None, None, None), (["seccomp:error=EINVAL"], "0xc000", True, True),
    (["landlock_create_ruleset:error=EOPNOTSUPP", "seccomp:error=ENOSYS"], None, None, None),
    (["landlock_create_ruleset:retval=1:when=1"], "MAKE_SYM", False, False), (["landlock_create_ruleset:retval=2:when=1"], "REFER", False, False),
    (["landlock_create_ruleset:retval=3:when=1"], "0x4000|TRUNCATE", False, False),
    (["landlock_create_ruleset:retval=4:when=1"], "0x4000|TRUNCATE", True, False),
    (["landlock_create_ruleset:retval=5:when=1"], "0xc000|IOCTL_DEV", True, False),
    (["landlock_create_ruleset:retval=99:when=1"], "0xc000|IOCTL_DEV", True, True),
    (["landlock_create_ruleset:retval=6:when=1", "landlock_create_ruleset:error=EINVAL:when=2"], "0xc000|IOCTL_DEV", True, False),
], ids=["no-landlock", "no-filters", "neither", "1", "2", "3", "4", "5", "later", "6-without-scopes"])
def test_older_kernel_enforces_what_it_supports(database, kernel, rights, net, scoped):
    """Imitates the system call results of older kernels. The calls then request only what is supported, and the handler
    works."""
    done, calls = traced([HANDLERS / "lead-capture"], json.dumps(TEST_USER).encode(), inject=kernel, DATABASE_URL=database.url)
    assert done.returncode == 0 and b"incomplete" not in done.stderr, done.stderr
    asked = re.findall(r"landlock_create_ruleset\(\{(.*?)\}.* = (-?\d+)", calls)
    assert bool(asked) == (rights is not None)
    if asked:
        assert re.search(rf"({rights})\b", asked[-1][0]) and int(asked[-1][1]) >= 0, asked
        assert "landlock_restrict_self" in calls


@pytest.mark.parametrize("calls, missing", [
    (["landlock_create_ruleset:error=ENOSYS"], "files, TCP ports, signals to other processes"),
    (["landlock_create_ruleset:retval=3"], "TCP ports, signals to other processes"),
    (["landlock_create_ruleset:retval=7", "seccomp:error=EINVAL"], "system calls and sockets"),
])
def test_reports_what_the_kernel_does_not_enforce(calls, missing):
    words = [part for call in calls for part in ("-e", f"inject={call}")]
    done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", *words, BIN / "leadpipe", "routes", "--explain", "rate-limit"], env=clean_environment(),
                          capture_output=True, text=True, timeout=60)
    assert f"; not enforced: {missing}" in done.stdout, done.stdout + done.stderr
    with subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", *words, BIN / "gateway"], env=clean_environment(PORT="0"), stderr=subprocess.PIPE,
                          text=True) as gateway:
        lines = []
        for line in gateway.stderr:
            lines.append(line)
            if "Gateway listening" in line:
                break
        os.kill(misbehaving.children(gateway.pid)[0], signal.SIGTERM)
        assert len([line for line in lines if f"of={missing}" in line or f'of="{missing}"' in line]) == 1, lines


def delivery(channel, recipient="default"):
    """A line of the worker as input of a notifier."""
    return {"id": "00000000-0000-4000-8000-0000000000d1", "fence": 1, "attempt": 1, "channel": channel, "recipient": recipient,
            "eventId": "00000000-0000-4000-8000-0000000000e1", "eventType": "lead.created", "eventAt": "2026-11-22T21:00:00.000Z",
            "conversationId": "00000000-0000-4000-8000-0000000000c1", "payload": {"customerName": "Canary Lead"}}


@needs_landlock
def test_notifier_checks_the_providers_certificate(tmp_path):
    """The certificate is untrusted. To find that out, the handler must have read the system's CA certificates."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key", "-out", tmp_path / "certificate", "-days", "2",
                    "-subj", "/CN=localhost"], check=True, capture_output=True, timeout=30)
    port = free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", tmp_path / "certificate", "-key", tmp_path / "key", "-quiet"],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port), 10, "the server")
        done, calls = traced([HANDLERS / "notify-slack"], json.dumps(delivery("slack")).encode(), SLACK_WEBHOOK_URL=f"https://localhost:{port}/services/x")
        assert re.search(rb'"code":"[^"]*"|certificate', done.stdout), done
        assert "ca-certificates.crt" in calls[calls.index("seccomp("):]
        check_nothing_is_denied(calls)
    finally:
        server.kill()
        server.wait()
        server.stdin.close()


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True


@needs_landlock
def test_confined_handler_can_resolve_names():
    done, calls = traced([HANDLERS / "notify-email"], json.dumps(delivery("email", "b@example.com")).encode(), EMAIL_HOST="mail.invalid",
                         EMAIL_FROM="a@example.com", EMAIL_TO="b@example.com")
    assert done.returncode == 0 and "/etc/resolv.conf" in calls, done
    check_nothing_is_denied(calls)


def test_explains_the_operators_limits():
    """Limits below those in the handler's description, and limits of handlers that the gateway starts."""
    settings = {"LEADPIPE_HANDLER_MS": "7000", "LEADPIPE_BODY": "2000", "LEADPIPE_GRACE_MS": "300"}
    said = {name: [explain(name, **settings)[0][topic][0] for topic in ("time", "body")] for name in ("lead-capture", "health-check", "notify-email")}
    assert said["lead-capture"] == ["7000 ms, then TERM to its process group, KILL 300 ms later", "2000 bytes"]
    assert said["health-check"] == ["5000 ms, then TERM to its process group, KILL 300 ms later", "1024 bytes"]
    assert said["notify-email"] == ["15000 ms, then TERM to its process group, KILL 2000 ms later", "262144 bytes"]


@pytest.mark.parametrize("name", sorted(path.name for path in HANDLERS.glob("[!.]*")))
def test_explained_rules_are_the_applied_rules(name, cluster):
    """The rules that strace shows are those that `routes --explain` prints."""
    environment = {
        "DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "DATABASE_URL_INTAKE": cluster.url("postgres", "leadpipe_intake"),
        "SLACK_WEBHOOK_URL": "http://127.0.0.1:2/services/x",
        "TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_CHAT_ID": "1", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": "3", "EMAIL_FROM": "a@example.com",
        "EMAIL_TO": "a@example.com", "LOG_LEVEL": "error", "LEADPIPE_PROCESS": "oneshot"}
    topics, text = explain(name, **environment)
    assert not any(value in text for key, value in environment.items() if key not in ("EMAIL_PORT", "TELEGRAM_CHAT_ID", "LOG_LEVEL", "LEADPIPE_PROCESS")), text
    step = topics["process"] == ["stream, managed by the worker"]
    given = {line.split(",")[0]: line.split(", from ")[1] for line in topics["environment"] if ", from " in line}
    words = {key: environment[source] if source in environment else source.split()[-1] for key, source in given.items() if source in environment}
    if "LEADPIPE_ROLE" in given:
        assert given["LEADPIPE_ROLE"] == "class " + topics["class"][0].split(",")[0]
        words["LEADPIPE_ROLE"] = "leadpipe_worker"
    if "LEADPIPE_CHANNELS" in given:
        words["LEADPIPE_CHANNELS"] = "[]"
    _, calls = traced([HANDLERS / name, *(["--stream"] if step else [])], b"", **words)
    if "no Landlock" not in topics["kernel"][0]:
        opened = re.findall(r'openat\(AT_FDCWD, "([^"]+)", [A-Z_|]*O_PATH[A-Z_|]*\)', calls)
        assert opened == topics["reads"]
        ports = re.findall(r"LANDLOCK_RULE_NET_PORT, \{allowed_access=\w+, port=(\d+)", calls) or re.findall(
            r"landlock_add_rule\(\d+, (?:0x2|LANDLOCK_RULE_NET\w*)[^,]*, ", calls)
        expected = [line for line in topics["connects"] if line != "to no TCP port"]
        assert len(ports) == len(expected), calls
    limits = re.findall(r"prlimit64\(0, RLIMIT_(\w+), \{rlim_cur=([\d*]+)", calls)
    numbers = [eval(value) for _, value in limits]  # 524288*1024
    assert numbers == [int(line.split()[0]) for line in topics["limits"]]


def test_explains_a_foreign_handler(folder):
    home = folder / "explained"
    home.mkdir()
    (home / "handlers").mkdir()
    for name in ("one", "two"):
        (home / "handlers" / name).write_text((HOSTILE / "intruder").read_text())
        (home / "handlers" / name).chmod(0o755)
    (home / "trust").write_text(json.dumps({"two": {"class": "admin", "read": ["/srv/r"], "write": ["/srv/w"], "connect": [8443]}}))
    settings = {"LEADPIPE_HANDLERS": str(home / "handlers"), "LEADPIPE_TRUST": str(home / "trust"), "DATABASE_URL": "postgresql://o@h:7/d",
                "ADMIN_API_KEY": "k" * 40}
    one, _ = explain("one", **settings)
    assert one["class"] == ["none, not in the built-in table or LEADPIPE_TRUST"]
    assert one["database"] == ["none"] and one["sockets"] == ["none"] and one["connects"] == ["to no TCP port"] and one["writes"] == ["/dev/null"]
    assert "(not DATABASE_URL: not allowed for class none)" in one["environment"]
    two, text = explain("two", **settings)
    assert two["class"] == ["admin, from LEADPIPE_TRUST"] and "k" * 40 not in text and "postgresql" not in text
    assert two["database"] == ["login from DATABASE_URL, then role leadpipe_admin, which the handler must set itself"]
    assert two["connects"] == [f"to TCP port {port}" for port in (7, 53, 8443)]
    assert two["writes"] == ["/dev/null", "/srv/w"] and "/srv/r" in two["reads"]
    assert any(line.startswith(str(BIN / "confine")) for line in two["applied by"])
    assert not any("written file" in line for line in two["limits"])


# ── In other languages ──

@pytest.fixture(scope="module")
def examples(folder):
    home = folder / "examples"
    home.mkdir()
    with GatewayWith(home, {path.name: path.read_text() for path in EXAMPLES.iterdir()}, {"greeting": "none", "clock": "none"}) as gateway:
        yield gateway


def test_python_example_is_served(examples):
    assert examples.answer("GET", "/greeting/Zo%C3%AB").decode().endswith('{"greeting": "Hello, Zo\\u00eb!"}')
    assert examples.answer("POST", "/greeting", body='{"name": "Ali"}').decode().endswith('{"greeting": "Hello, Ali!"}')
    answer = examples.answer("POST", "/greeting", body="{}").decode()
    assert answer.startswith("HTTP/1.1 400") and "application/problem+json" in answer and "A name is missing" in answer
    until(lambda: "greeting: Greeted a customer requestId=" in examples.log, 5)


def test_shell_example_is_served(examples):
    assert re.search(r"\r\n\r\n\d\d:\d\d$", examples.answer("GET", "/clock").decode())


@pytest.mark.parametrize("name, path", [("greeting", "/greeting"), ("clock", "/clock")])
def test_examples_follow_the_contract_with_every_input(name, path):
    line = json.dumps(envelope({"name": "Ali"}, path=path))
    for arguments, given, replies in ([], line, 1), (["--stream"], f"{line}\n{line}\n{line}\n", 3), (["--stream"], "", 0):
        done = subprocess.run([EXAMPLES / name, *arguments], input=given, env={}, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        assert [json.loads(reply)["statusCode"] for reply in done.stdout.splitlines()] == [200] * replies
        said = json.loads(line)["requestContext"]["requestId"]
        assert [json.loads(reply)["requestId"] for reply in done.stdout.splitlines()] == [said] * replies


def test_examples_work_as_streams(folder):
    """Parameters and headers with hostile names do not confuse them."""
    home = folder / "streaming"
    home.mkdir()
    with GatewayWith(home, {path.name: path.read_text() for path in EXAMPLES.iterdir()}, LEADPIPE_PROCESS="stream", RATE_LIMIT_DEFAULT="off") as gateway:
        for _ in range(3):
            for path in ("/clock", "/greeting/Ali"):
                hostile = '?requestContext=%22requestContext%22:%7B%22requestId%22:%22x%22&requestId=y'
                answer = gateway.answer("GET", path + hostile, headers=['requestContext: "requestContext":{"requestId":"x"'])
                assert answer.startswith(b"HTTP/1.1 200"), gateway.log[-1000:]
        assert len(misbehaving.children(gateway.process.pid)) == 2
