"""What the gateway reports to its operator: /-/live, /-/ready, /-/metrics and /-/status, log lines under overload,
SIGHUP."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from common import BIN, clean_environment, until
from gateway import DESCRIPTION, Gateway, parse, route
from instance import Instance

OK = "cat > /dev/null; echo '{\"statusCode\":200,\"body\":\"ok\"}'"
FLOW = """while read -r line; do
sleep 0.01; id=${line#*'"requestContext":{'}; id=${id#*'"requestId":"'}; id=${id%%'"'*}
printf '{"requestId":"%s","statusCode":200,"body":"ok"}\\n' "$id"
done"""


def place(gateway, name, body, path=None, summary="s"):
    """Puts a handler into the gateway's folder in one step, so that it is never incomplete."""
    path = path or f"/{name}"
    description = (DESCRIPTION.replace("NAME", name).replace("ROUTES", ",".join(route(m, path) for m in ("GET", "POST")))
                   .replace("ACCESS", "public").replace("CLASS", "default").replace('"summary":"s"', f'"summary":"{summary}"'))
    draft = gateway.folder / f"{name}.draft"
    draft.write_text(f"#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '{description}'; exit; fi\n{body}\n")
    draft.chmod(0o755)
    os.replace(draft, gateway.folder / "handlers" / name)


def operate(address, page, method="GET"):
    """(status, headers, text) of one of the operator's pages."""
    with socket.socket(socket.AF_UNIX if address.startswith("unix:") else socket.AF_INET) as connection:
        connection.settimeout(8)
        host = address.removeprefix("http://").rpartition(":")
        connection.connect(address.removeprefix("unix:") if address.startswith("unix:") else (host[0], int(host[2])))
        connection.sendall(f"{method} /-/{page} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return *parse(answer), answer.partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def start(tmp_path):
    """Starts a gateway with handlers besides `form`, and an address for its operator."""
    running = []

    def start(handlers=None, **settings):
        settings = {"RATE_LIMIT_DEFAULT": "off", "LEADPIPE_OPERATIONS": f"unix:{tmp_path}/o", "LEADPIPE_PROCESS": "oneshot", **settings}
        gateway = Gateway(tmp_path, path="/form/{id}", **settings)
        for name, body in (handlers or {}).items():
            place(gateway, name, body)
        gateway.__enter__()
        running.append(gateway)
        line = until(lambda: next((line for line in gateway.lines if "Operations listening" in line), None))
        gateway.operations = line.split("address=")[1].strip()
        return gateway

    yield start
    for gateway in running:
        gateway.__exit__()


# ── Prometheus' text format, parsed strictly ──

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def read(text):
    """{(name, frozenset of labels): value}. Fails on anything that a scraper would reject, and on histograms that do
    not add up."""
    assert text.endswith("\n")
    kinds, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            found = SAMPLE.fullmatch(line)
            assert found, line
            family = re.sub(r"_(bucket|sum|count)$", "", found[1]) if found[1] not in kinds else found[1]
            assert list(kinds)[-1] == family, f"{line} is outside its family"
            key = (found[1], frozenset(LABEL.findall(found[2] or "")))
            assert key not in samples, f"{line} occurs twice"
            samples[key] = float(found[3])
    for (name, labels), count in samples.items():
        if name.endswith("_count") and kinds.get(name.removesuffix("_count")) == "histogram":
            buckets = [(float(dict(own)["le"]), value) for (other, own), value in samples.items()
                       if other == name.replace("_count", "_bucket") and own - {("le", dict(own)["le"])} == labels]
            assert sorted(buckets) == sorted(buckets, key=lambda pair: pair[1]) and max(buckets) == (float("inf"), count)
    return samples


def metrics(gateway):
    status, headers, text = operate(gateway.operations, "metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    return read(text)


def value(samples, name, **labels):
    return samples.get((name, frozenset(labels.items())), 0)


# ── The pages ──

def test_reports_its_state_on_the_operators_address_only(start):
    gateway = start()
    for page, text in [("live", "live\n"), ("ready", "ready\n")]:
        assert operate(gateway.operations, page)[0::2] == (200, text)
        assert operate(gateway.operations, page, "HEAD")[0::2] == (200, "")
        assert operate(gateway.operations, page, "POST")[0] == 405
        assert gateway.request(path=f"/-/{page}")[0] == 404
    assert operate(gateway.operations, "nothing")[0] == 404
    for page in ("metrics", "status"):
        assert gateway.request(path=f"/-/{page}")[0] == 404
    # A client that sends nothing, or closes early, delays no other client.
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(gateway.operations.removeprefix("unix:"))
        assert operate(gateway.operations, "live")[0] == 200


def test_accepts_a_loopback_port(start):
    gateway = start(LEADPIPE_OPERATIONS="127.0.0.1:0")
    assert gateway.operations.startswith("http://127.0.0.1:") and not gateway.operations.endswith(":0")
    assert operate(gateway.operations, "ready")[0] == 200


@pytest.mark.parametrize("address", ["0.0.0.0:9100", "192.0.2.1:9100", "localhost:9100", "127.0.0.1", "unix:relative", "[::]:1"])
def test_rejects_an_address_that_others_can_reach(address, tmp_path):
    done = subprocess.run([BIN / "gateway"], env=clean_environment(LEADPIPE_HANDLERS=str(tmp_path), LEADPIPE_OPERATIONS=address),
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 78 and "[ERROR] LEADPIPE_OPERATIONS must be" in done.stderr


def test_leaves_out_the_listener_if_its_address_is_in_use(start, tmp_path):
    gateway = start()
    second = subprocess.Popen([BIN / "gateway"], env={**gateway.environment}, stderr=subprocess.PIPE, text=True)
    lines = []
    while not all(any(word in line for line in lines) for word in ("Gateway listening", "[ERROR]")):
        lines.append(second.stderr.readline())
        assert lines[-1], lines
    second.terminate()
    second.communicate(timeout=20)
    errors = [line for line in lines if "[ERROR]" in line]
    assert len(errors) == 1 and "A listener is left out" in errors[0] and f"{tmp_path}/o is in use" in errors[0]
    assert operate(gateway.operations, "live")[0] == 200


def test_metrics_agree_with_the_requests(start):
    gateway = start({"dies": "cat > /dev/null; kill -9 $$", "babbles": "cat > /dev/null; echo hello"}, LEADPIPE_SLOW_MS="off")
    secrets = [f"customer-{number}" for number in range(7)]
    for secret in secrets[:5]:
        assert gateway.request(path=f"/form/{secret}?q={secret}")[0] == 200
    for secret in secrets[5:]:
        assert gateway.request("POST", f"/form/{secret}", body="{}")[0] == 200
    assert gateway.request("DELETE", "/form/customer-9")[0] == 405
    assert gateway.request(path="/customer-nowhere")[0] == 404
    assert [gateway.request(path="/dies")[0] for _ in range(3)] == [502] * 3
    assert gateway.request(path="/babbles")[0] == 502
    samples = metrics(gateway)
    requests = {tuple(dict(labels)[key] for key in ("route", "method", "status")): count
                for (name, labels), count in samples.items() if name == "leadpipe_requests_total"}
    # From the start, so that the first failure is an increase.
    assert {key for key, count in requests.items() if count == 0} == {
        ("/babbles", "POST", "5xx"), ("/dies", "POST", "5xx"), ("/form/{id}", "GET", "5xx"), ("/form/{id}", "POST", "5xx")}
    assert {key: count for key, count in requests.items() if count} == {
        ("/form/{id}", "GET", "2xx"): 5, ("/form/{id}", "POST", "2xx"): 2, ("-", "DELETE", "4xx"): 1, ("-", "GET", "4xx"): 1,
        ("/dies", "GET", "5xx"): 3, ("/babbles", "GET", "5xx"): 1,
    }
    for part in ("queue", "start", "run"):
        assert value(samples, f"leadpipe_request_{part}_seconds_count", handler="form") == 7
    assert 0 < value(samples, "leadpipe_request_run_seconds_sum", handler="form") < 60
    assert value(samples, "leadpipe_process_starts_total", handler="form") == gateway.processes == 7
    assert value(samples, "leadpipe_process_crashes_total", handler="dies") == 3
    assert value(samples, "leadpipe_processes", handler="form", state="running") == 0
    assert value(samples, "leadpipe_requests_in_flight", handler="form") == 0
    assert value(samples, "leadpipe_ready") == 1 and value(samples, "leadpipe_uptime_seconds") > 0
    text = operate(gateway.operations, "metrics")[2] + operate(gateway.operations, "status")[2]
    assert "customer-" not in text and '"127.0.0.1"' not in text
    status = json.loads(operate(gateway.operations, "status")[2])
    own = {handler["name"]: handler for handler in status["handlers"]}
    assert own["form"]["answered"] == {"2xx": 7} and own["form"]["lastFailure"] is None and own["form"]["mode"] == "oneshot"
    assert own["dies"]["crashes"] == 3 and own["dies"]["lastFailure"]["status"] == 502 and "signal 9" in own["dies"]["lastFailure"]["reason"]
    assert status["pid"] == gateway.process.pid and status["settings"]["concurrency"] == 16


def test_counts_stream_processes_and_open_connections(start):
    gateway = start({"flow": FLOW}, LEADPIPE_PROCESS="oneshot,flow=stream")
    with gateway.connect():
        until(lambda: value(metrics(gateway), "leadpipe_connections") == 1)
    until(lambda: value(metrics(gateway), "leadpipe_connections") == 0)
    assert [gateway.request(path="/flow")[0] for _ in range(5)] == [200] * 5
    samples = metrics(gateway)
    assert value(samples, "leadpipe_processes", handler="flow", state="serving") == 1
    assert value(samples, "leadpipe_process_starts_total", handler="flow") == 1
    assert value(samples, "leadpipe_request_run_seconds_count", handler="flow") == 5


def test_counts_rate_limited_requests_by_class(start):
    gateway = start(RATE_LIMIT_DEFAULT="3/60")
    assert [gateway.request(path="/form/x")[0] for _ in range(8)] == [200] * 3 + [429] * 5
    assert value(metrics(gateway), "leadpipe_rate_limited_total", **{"class": "default"}) == 5


def test_logs_the_phases_of_a_slow_request(start):
    gateway = start({"slow": "sleep 0.4; " + OK, "fast": OK}, LEADPIPE_SLOW_MS="300")
    assert gateway.request(path="/slow")[0] == gateway.request(path="/fast")[0] == 200
    line = until(lambda: next((line for line in gateway.lines if line.startswith("[WARN] Slow: GET /slow 200 took ")), None))
    assert re.search(r"handler=slow queueMs=\d+ startMs=\d+ runMs=[4-9]\d\d$", line.strip())
    assert not any("Slow: GET /fast" in line for line in gateway.lines)


# ── Overload and shutdown ──

def at_once(count, request):
    """The results of `count` concurrent requests."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(request())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_each_503_has_its_reason(start):
    gateway = start({"slow": "sleep 1; " + OK}, LEADPIPE_CONCURRENCY="1", LEADPIPE_QUEUE="1", LEADPIPE_QUEUE_MS="300")
    answers = at_once(4, lambda: gateway.request(path="/slow"))
    assert sorted(status for status, _ in answers) == [200, 503, 503, 503]
    assert all(headers["retry-after"] == "1" for status, headers in answers if status == 503)
    lines = until(lambda: [line for line in gateway.lines if line.startswith("[WARN] 503: ")][2:] and gateway.lines)
    assert sum("503: too many requests wait for this handler" in line for line in lines) == 2
    assert sum("503: no process was free within the longest wait" in line for line in lines) == 1
    samples = metrics(gateway)
    assert {reason: value(samples, "leadpipe_requests_refused_total", handler="slow", reason=reason)
            for reason in ("queue-full", "waited-too-long", "stopping")} == {"queue-full": 2, "waited-too-long": 1, "stopping": 0}


def test_overload_bounds_the_log_and_clears_ready(start):
    gateway = start({"slow": "sleep 0.3; " + OK, "fast": OK}, LEADPIPE_CONCURRENCY="2", LEADPIPE_HANDLER_CONCURRENCY="1",
                    LEADPIPE_QUEUE="1", LEADPIPE_QUEUE_MS="100")
    began = time.monotonic()
    answers = [status for _ in range(8) for status, _ in at_once(40, lambda: gateway.request(path="/slow"))]
    assert operate(gateway.operations, "ready")[0::2] == (503, "overload\n")
    assert operate(gateway.operations, "live")[0] == 200
    # An overloaded handler uses only its own slots.
    assert gateway.request(path="/fast")[0] == 200
    seconds = int(time.monotonic() - began) + 2
    refused = answers.count(503)
    assert set(answers) == {200, 503} and refused > 200

    def counted():
        said = [line for line in gateway.lines if " 503: " in line]
        left_out = sum(int(found[1]) for line in said if (found := re.search(r"503: (\d+) more in the last second", line)))
        own = sum("handler=slow" in line for line in said)
        return said if own + left_out == refused else None
    assert len(until(counted, 5, "all 503s to be counted")) <= 11 * seconds + 1
    until(lambda: operate(gateway.operations, "ready")[0] == 200, 5, "the end of the overload")
    samples = metrics(gateway)
    assert value(samples, "leadpipe_requests_total", route="/slow", method="GET", status="5xx") == refused
    assert value(samples, "leadpipe_requests_waiting", handler="slow") == 0


def test_draining_gateway_is_not_ready_and_loses_no_request(start):
    gateway = start({"slow": "sleep 1.5; " + OK})
    answers = []
    thread = threading.Thread(target=lambda: answers.append(gateway.request(path="/slow")[0]))
    thread.start()
    until(lambda: value(metrics(gateway), "leadpipe_requests_in_flight", handler="slow") == 1)
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: operate(gateway.operations, "ready")[0::2] == (503, "draining\n"), 1, "draining")
    assert operate(gateway.operations, "live")[0] == 200
    thread.join()
    assert answers == [200] and gateway.process.wait(5) == 0
    assert not (gateway.folder / "o").exists()


# ── SIGHUP ──

def reloads(gateway, result="taken"):
    return value(metrics(gateway), "leadpipe_reloads_total", result=result)


def reload(gateway, result="taken"):
    before = reloads(gateway, result)
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: reloads(gateway, result) > before, 10, f"handlers that are {result}")


@pytest.mark.parametrize("mode", ["oneshot", "stream"])
def test_changing_handlers_loses_no_request(start, mode):
    gateway = start({"flow": FLOW if mode == "stream" else OK}, LEADPIPE_PROCESS=f"oneshot,flow={mode}")
    answers = []

    def client():
        for _ in range(50):
            answers.append(gateway.request(path="/flow")[0])
            time.sleep(0.02)
    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    turns = 0
    while turns < 5 or any(thread.is_alive() for thread in clients):
        turns += 1
        place(gateway, "flow", FLOW if mode == "stream" else OK, summary=f"turn {turns}")
        extra = gateway.folder / "handlers" / "extra"
        if turns % 2:
            place(gateway, "extra", OK)
        else:
            extra.unlink()
        reload(gateway)
        assert gateway.request(path="/extra")[0] == (200 if turns % 2 else 404)
    assert answers == [200] * 200, [line for line in gateway.lines if "50" in line][:8]
    if mode == "stream":
        # Processes of earlier handlers end after their last reply.
        until(lambda: len(children(gateway.process.pid)) <= 2, 5, "the end of old processes")


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    if int(file.read().rpartition(")")[2].split()[1]) == pid:
                        found.append(int(entry))
            except OSError:
                pass
    return found


def test_request_in_progress_is_answered_by_its_handler(start):
    gateway = start({"flow": FLOW}, LEADPIPE_PROCESS="oneshot,flow=stream")
    assert gateway.request(path="/flow")[0] == 200
    with gateway.connect() as connection:
        connection.sendall(b"POST /flow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{")
        time.sleep(0.2)
        place(gateway, "flow", FLOW, summary="another")
        reload(gateway)
        connection.sendall(b"}")
        assert b" 200 " in connection.recv(1000)


@pytest.mark.parametrize("spoil, message", [
    (lambda gateway: place(gateway, "broken", "exit", path="/form/{x}"), "the same route"),
    (lambda gateway: (gateway.folder / "handlers" / "form").write_text("#!/bin/sh\nexit 1\n"), "--describe failed"),
], ids=["a-route-twice", "no-description"])
def test_invalid_handlers_change_nothing(start, spoil, message):
    gateway = start({"other": OK})
    spoil(gateway)
    place(gateway, "new", OK)
    reload(gateway, "refused")
    line = until(lambda: next((line for line in gateway.lines if "The handlers were not reloaded" in line), None))
    assert message in line
    assert gateway.request(path="/other")[0] == 200 and gateway.request(path="/new")[0] == 404


def test_rereads_the_trust_file(start, tmp_path):
    trust = tmp_path / "trust.json"
    trust.write_text('{"form": "none"}')
    gateway = start(LEADPIPE_TRUST=str(trust))

    def own_class():
        return json.loads(operate(gateway.operations, "status")[2])["handlers"][0]["class"]
    assert own_class() == "none"
    trust.write_text('{"form": "admin"}')
    reload(gateway)
    assert own_class() == "admin"
    trust.write_text('{"form": "king"}')
    reload(gateway, "refused")
    assert own_class() == "admin"


# ── leadpipe up ──

def test_up_has_an_operations_socket_in_the_state_folder(database):
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false") as instance:
        address = f"unix:{instance.state}/operations.sock"
        assert operate(address, "ready")[0] == 200
        status = json.loads(operate(address, "status")[2])
        assert {handler["name"] for handler in status["handlers"]} >= {"lead-capture", "health-check"}
        text = operate(address, "status")[2] + operate(address, "metrics")[2]
        assert "postgresql://" not in text and instance.state.joinpath("admin-key").read_text().strip() not in text
        assert instance.http("/-/status")[0] == 404
        instance.process.poll()
        os.kill(status["pid"], signal.SIGHUP)
        instance.wait_log("[INFO] Handlers reloaded")
        assert instance.http("/health")[0] == 200
