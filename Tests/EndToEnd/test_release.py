"""The archives of `make release`: their contents, and that two builds of the same bin/ are identical."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile

import pytest

from common import BIN, REPO, clean_environment

VERSION = "0.1.0"


# The compiler is asked for its version.
SETTINGS = {"SOURCE_DATE_EPOCH": "1764374400", "SWIFT": shutil.which("swift") or "swift"}


def release(folder):
    settings = clean_environment(**SETTINGS, HOME=str(folder))
    done = subprocess.run([REPO / "tools/release/build", folder], env=settings, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


# The archives are made from bin/ and what the build left in .build/, so they cannot be tested with other executables.
pytestmark = [pytest.mark.skipif(BIN != REPO / "bin", reason="LEADPIPE_BIN: a release is made from bin/"), pytest.mark.seconds(400)]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def package(archives):
    return next(archives.glob("*.deb"))


def show(package, field):
    return subprocess.run(["dpkg-deb", "-f", package, field], capture_output=True, text=True, check=True, timeout=30).stdout.strip()


@pytest.fixture(scope="module")
def listing(package):
    """{path: (mode, owner)} of the package's files."""
    lines = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    parts = [line.split(None, 5) for line in lines]
    return {part[5].partition(" link to ")[0].partition(" -> ")[0].removeprefix("."): (part[0], part[1]) for part in parts}


def test_two_builds_are_equal(archives, tmp_path_factory):
    """At another time, in another zone and language, with another umask and another folder for temporary files."""
    tmp_path = tmp_path_factory.mktemp("second")
    command = f"umask 077; cd /; exec {REPO}/tools/release/build {tmp_path}"
    settings = clean_environment(**SETTINGS, TZ="Asia/Dubai", LANG="de_DE.UTF-8", TMPDIR=str(tmp_path_factory.mktemp("temporary")))
    done = subprocess.run(["bash", "-c", command], env=settings, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in archives.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir()) and len(names) == 4
    for name in names:
        first, second = (hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in (archives, tmp_path))
        assert first == second, name


def test_the_sums_are_right(archives):
    assert subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=archives, capture_output=True, timeout=60).returncode == 0
    assert len((archives / "SHA256SUMS").read_text().splitlines()) == 3


def test_the_tarball_has_the_programs_and_what_they_need(archives):
    with tarfile.open(next(archives.glob("*.tar.gz"))) as tar:
        members = {member.name.partition("/")[2]: member for member in tar.getmembers()}
    assert list(members) == sorted(members, key=lambda name: name.split("/")), "sorted names"
    assert all((member.uid, member.gid, member.mtime) == (0, 0, 1764374400) for member in members.values())
    assert all(member.mode & 0o022 == 0 for member in members.values())
    handlers = {path.name for path in (BIN / "handlers").iterdir()}
    assert {name.rpartition("/")[2] for name in members if re.fullmatch(r"bin/handlers/[^/]+", name)} == handlers
    # The handlers are hard links to five executables, as in bin/.
    assert sum(member.isfile() for name, member in members.items() if name.startswith("bin/handlers/")) <= 6
    migrations = {path.name for path in (REPO / "supabase/migrations").glob("*.sql")}
    assert {name.rpartition("/")[2] for name in members if name.startswith("bin/supabase/migrations/2")} == migrations
    assert {"bin/web/panel/index.html", "docs/README.md", "deploy/systemd/leadpipe-gateway.service", "sbom.json", "CHANGELOG.md"} <= set(members)
    assert not [name for name in members if "/.git" in name or name.endswith((".o", ".pyc")) or name.startswith(("Sources", ".build"))]
    assert any(name.startswith("licenses/swift-nio-LICENSE") for name in members) and any("licenses/debian-libssl" in name for name in members)


def test_the_package_has_users_units_and_settings(package, listing, tmp_path):
    assert show(package, "Package") == "leadpipe" and show(package, "Version") == VERSION
    assert {owner for _, owner in listing.values()} == {"root/root"}
    for unit in REPO.glob("deploy/systemd/*"):
        assert f"/lib/systemd/system/{unit.name}" in listing
    assert listing["/etc/leadpipe/gateway.env"][0] == listing["/etc/leadpipe/worker.env"][0] == "-rw-------"
    assert listing["/usr/bin/leadpipe"][0][0] == "l"
    assert not [name for name, (mode, _) in listing.items() if mode[0] != "l" and (mode[8] == "w" or "s" in mode)], "nothing is writable for all"
    subprocess.run(["dpkg-deb", "-e", package, tmp_path / "control"], check=True, timeout=30)
    assert (tmp_path / "control/conffiles").read_text() == "/etc/leadpipe/gateway.env\n/etc/leadpipe/worker.env\n"
    for script in ("postinst", "prerm", "postrm"):
        assert subprocess.run(["sh", "-n", tmp_path / "control" / script], timeout=10).returncode == 0
        assert os.access(tmp_path / "control" / script, os.X_OK)


def test_the_package_depends_on_what_the_executables_load(package):
    depends = show(package, "Depends")
    assert {"libc6 (>= 2.36)", "ca-certificates", "tzdata", "adduser"} <= set(depends.split(", "))
    libraries = subprocess.run(["ldd", BIN / "leadpipe", BIN / "gateway"], capture_output=True, text=True, check=True, timeout=30).stdout
    for library, name in [("libpq.so", "libpq5"), ("libcurl.so", "libcurl4")]:
        assert (library in libraries) == (name in depends)


def test_the_settings_of_the_package_are_settings():
    known = (REPO / "docs/reference/settings.md").read_text()
    for file in REPO.glob("deploy/package/*.env"):
        for name in re.findall(r"^#?([A-Z_]+)=", file.read_text(), re.MULTILINE):
            assert f"`{name}`" in known, name


@pytest.mark.parametrize("service", ["gateway", "worker"])
def test_a_shell_reads_the_settings_of_the_package(service, tmp_path):
    """`leadpipe check` needs them in a shell; systemd reads the same files. Every sample value is set."""
    text = re.sub(r"^#(?=[A-Z_]+=)", "", (REPO / f"deploy/package/{service}.env").read_text(), flags=re.MULTILINE)
    wanted = {name: value.strip("'") for name, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)}
    (tmp_path / "env").write_text(text)
    done = subprocess.run(["sh", "-euc", "set -a; . ./env; env -0"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    assert wanted.items() <= dict(line.split("=", 1) for line in done.stdout.split("\0") if line).items()


def test_the_sbom_names_every_package(archives):
    document = json.loads(next(archives.glob("*.cdx.json")).read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", document["serialNumber"]) and document["metadata"]["component"]["version"] == VERSION
    components = {component["bom-ref"]: component for component in document["components"]}
    assert len(components) == len(document["components"])
    pins = {pin["identity"]: pin["state"] for pin in json.loads((REPO / "Package.resolved").read_text())["pins"]}
    swift = {name.removeprefix("swift:"): component for name, component in components.items() if name.startswith("swift:")}
    assert set(swift) == set(pins) and all(swift[name]["version"] == state["version"] for name, state in pins.items())
    for source, package in [("openssl", "libssl-dev"), ("curl", "libcurl4-openssl-dev"), ("postgresql-15", "libpq-dev")]:
        installed = subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", package], capture_output=True, text=True, check=True, timeout=30).stdout
        assert components[f"deb:{source}"]["version"] == installed
    assert {"deb:zlib", "deb:nghttp2", "deb:libssh2", "deb:libidn2"} <= set(components)
    digest = hashlib.sha256((BIN / "gateway").read_bytes()).hexdigest()
    assert components["file:bin/gateway"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert set(document["dependencies"][0]["dependsOn"]) == {name for name, component in components.items() if component["type"] != "file"}
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", components["swift"]["version"])
