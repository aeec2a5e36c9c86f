"""The executables of `make lambda-executables`: they need no library at all, and find hosts, certificates and time zones
like the others."""

import json
import os
import subprocess

import pytest

from common import REPO, TEST_USER, clean_environment

PRODUCTS = REPO / ".build" / "release"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Links two of them, from the objects of the last release build."""
    folder = tmp_path_factory.mktemp("static")
    swift = subprocess.run(["sh", "-c", "readlink -f $(command -v swift)"], capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    done = subprocess.run(
        ["tools/archives/link-static", folder, PRODUCTS, REPO / ".build/linked", os.path.join(os.path.dirname(swift), "swiftc"), "handlers-intake",
         "handlers-notifiers"], cwd=REPO, env=os.environ, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def run(path, document, **environment):
    return subprocess.run([path], env=clean_environment(**environment), input=json.dumps(document), cwd="/", capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("name", ["lead-capture", "health-check", "notify-slack"])
def test_nothing_is_loaded(folder, name):
    headers = subprocess.run(["readelf", "-lWd", folder / name], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "LOAD" in headers and "INTERP" not in headers and "(NEEDED)" not in headers
    described = subprocess.run([folder / name, "--describe"], env=clean_environment(), capture_output=True, text=True, timeout=20)
    assert json.loads(described.stdout)["name"] == name


def test_lead_is_stored_over_verified_tls(folder, tls_server):
    """The host is resolved by its name, from /etc/hosts."""
    url = f"postgresql://leadpipe@localhost:{tls_server.port}/{tls_server.leads.name}?sslmode=verify-full&sslrootcert={tls_server.authority}"
    before = tls_server.leads.count("conversations")
    done = run(folder / "lead-capture", TEST_USER, DATABASE_URL=url, BUSINESS_HOURS="Mon-Fri 09:00-18:00", TIME_ZONE="Asia/Dubai")
    assert done.returncode == 0, done.stderr
    assert tls_server.leads.count("conversations") == before + 1
    done = run(folder / "lead-capture", TEST_USER, DATABASE_URL=url.replace("@localhost", "@no-such-host.invalid"))
    assert done.returncode == 75 and "could not translate host name" in done.stderr
