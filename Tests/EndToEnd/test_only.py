"""`gateway --only`: only the named handlers are served."""

import json
import signal
import subprocess

import pytest

from common import BIN, HANDLERS, clean_environment, until
from gateway import DESCRIPTION, GatewayWith, route


def handler(name):
    description = (DESCRIPTION.replace("NAME", name).replace("ROUTES", route("GET", f"/{name}")).replace("ACCESS", "public").replace("CLASS", "default"))
    return f"""#!/bin/sh
if [ "$1" = --describe ]; then echo '{description}'; exit; fi
cat > /dev/null; echo '{{"statusCode":200,"body":"{name}"}}'
"""


ALL = {name: handler(name) for name in ("lead-one", "lead-two", "contact")}


def serving(folder, *arguments, **settings):
    return GatewayWith(folder, ALL, user=lambda words: [*words, *arguments], RATE_LIMIT_DEFAULT="off", **settings)


def statuses(gateway):
    return {name: gateway.request("GET", f"/{name}")[0] for name in ALL}


def paths(gateway):
    body = gateway.answer("GET", "/api/openapi.json").partition(b"\r\n\r\n")[2]
    return set(json.loads(body)["paths"]) & {f"/{name}" for name in ALL}


@pytest.mark.parametrize("arguments", [("--only", "lead-one,contact"), ("--only=contact,lead-one",)])
def test_serves_only_the_named_handlers(tmp_path, arguments):
    # A process mode for a handler that is not served is no error.
    with serving(tmp_path, *arguments, LEADPIPE_PROCESS="oneshot,lead-two=stream") as gateway:
        for _ in range(2):
            assert statuses(gateway) == {"lead-one": 200, "lead-two": 404, "contact": 200}
            assert paths(gateway) == {"/lead-one", "/contact"}
            gateway.process.send_signal(signal.SIGHUP)
            until(lambda: "Handlers reloaded" in gateway.log)
        # A named handler that is missing at a reload: the old set stays.
        (gateway.handlers / "contact").unlink()
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "The handlers were not reloaded: --only names handlers that are not endpoints" in gateway.log)
        assert statuses(gateway)["lead-one"] == 200 and gateway.request("GET", "/lead-two")[0] == 404


def test_serves_all_without_it(tmp_path):
    with serving(tmp_path) as gateway:
        assert set(statuses(gateway).values()) == {200} and len(paths(gateway)) == 3


def check(*arguments, program="gateway", **settings):
    return subprocess.run([BIN / program, *(["gateway"] if program == "leadpipe" else []), *arguments, "--check"], env=clean_environment(**settings),
                          capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("program", ["gateway", "leadpipe"])
def test_an_unknown_name_is_an_error_with_a_similar_name(program):
    settings = {"DATABASE_URL": "postgresql://leadpipe@127.0.0.1:1/x"}
    done = check("--only", "lead-captur,nothing-like-it,contact-capture", program=program, **settings)
    assert done.returncode == 78
    assert f"--only names handlers that are not endpoints in {HANDLERS}: lead-captur; did you mean lead-capture?, nothing-like-it" in done.stderr
    # A step is not an endpoint.
    assert check("--only", "event-claim", program=program, **settings).returncode == 78
    assert check("--only", "lead-capture,contact-capture", program=program, **settings).returncode == 0


@pytest.mark.parametrize("arguments", [("--only",), ("--only", ""), ("--only", "a,,b"), ("--only", "a,a"), ("--only=a", "--only=b"), ("--only=",)])
def test_a_malformed_list_is_a_wrong_argument(arguments):
    done = subprocess.run([BIN / "gateway", *arguments], env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 64 and done.stderr.startswith("usage: gateway [--only NAME,NAME")


def test_leadpipe_requires_the_logins_of_the_named_handlers_only():
    login = "postgresql://x@127.0.0.1:1/x"
    assert check("--only", "lead-capture", program="leadpipe", DATABASE_URL_INTAKE=login).returncode == 0
    assert check("--only", "lead-capture", program="leadpipe", DATABASE_URL_ADMIN=login).returncode == 78
    assert check("--only", "conversation-list", program="leadpipe", DATABASE_URL_ADMIN=login).returncode == 0
    assert check("--only", "lead-capture,conversation-list", program="leadpipe", DATABASE_URL_ADMIN=login).returncode == 78
