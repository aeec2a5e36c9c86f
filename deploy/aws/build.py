"""Builds the packages for AWS Lambda: a zip for each handler, and one for the worker. `make lambda` runs it, after
`make lambda-executables` has linked executables that need no shared library into .build/lambda/. Without those it packs
the ones in bin/.

Writes .build/lambda/NAME.zip and deploy/aws/packages.md, which has their sizes and the time from the start of the
process to its first request to the runtime API, against the stand-in of the tests."""

import argparse
import datetime
import hashlib
import json
import os
import re
import stat
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.dont_write_bytecode = True
REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "Tests" / "Harness"))

from common import BIN, HANDLERS, clean_environment, until  # noqa: E402
from lambda_api import RuntimeAPI  # noqa: E402

OUT = REPO / ".build" / "lambda"
PAGE = Path(__file__).with_name("packages.md")
# What provided.al2023 has.
GLIBC = (2, 34)
LIBRARIES = re.compile(r"(ld-linux-.*|libc|libm|libdl|libpthread|librt|libresolv|libgcc_s|libanl)\.so\.\d+")
STEPS = ["data-prune", "delivery-begin", "delivery-record", "event-claim", "follow-up-sweep", "notify-email", "notify-slack", "notify-telegram", "receipt-sweep", "sla-sweep", "wake-listen"]
# Settings that let each program start without a database.
SETTINGS = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "LEADPIPE_CHANNELS": "[]",
            "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/x", "TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_CHAT_ID": "1",
            "RESEND_API_KEY": "re_x", "EMAIL_FROM": "a@example.com"}
WORKER_SETTINGS = {name: SETTINGS[name] for name in ("DATABASE_URL", "SLACK_WEBHOOK_URL")}
STARTS = 11


def description(handler):
    return json.loads(subprocess.run([HANDLERS / handler, "--describe"], env=clean_environment(), capture_output=True, check=True).stdout)


def linked(path):
    """The executable without shared libraries, or else the one in bin/."""
    alone = OUT / path.name
    return alone if alone.exists() else path


def obstacles(executable):
    """What the executable needs and provided.al2023 does not have, as readelf reports it."""
    def readelf(*options):
        return subprocess.run(["readelf", "--wide", *options, str(executable)], env=clean_environment(), capture_output=True,
                              text=True, check=True).stdout
    versions = [tuple(map(int, version.split("."))) for version in re.findall(r"Name: GLIBC_([0-9.]+)", readelf("--version-info"))]
    found = {f"glibc {'.'.join(map(str, max(versions)))}"} if versions and max(versions) > GLIBC else set()
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic"))
    return found | {name for name in needed if not LIBRARIES.fullmatch(name)}


def machine(executable):
    code = int.from_bytes(executable.read_bytes()[18:20], "little")
    return {62: "x86_64", 183: "arm64"}[code]


def add(package, name, data, mode=0o100644):
    """Adds a file with a fixed time, so that the same content makes the same zip."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    package.writestr(info, data)


def add_zones(package):
    """Adds the time zones. Whether the image has them is not promised."""
    folder = Path("/usr/share/zoneinfo")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] not in ("posix", "right") and path.is_file() and path.read_bytes()[:4] == b"TZif":
            add(package, f"zoneinfo/{name}", path.read_bytes())


def pack(name, files, zones):
    """A file that equals an earlier one becomes a symbolic link to it."""
    path, names = OUT / f"{name}.zip", {}
    with zipfile.ZipFile(path, "w", compresslevel=6) as package:
        for inside, data in files.items():
            first = names.setdefault(hashlib.sha256(data).digest(), inside)
            if first == inside:
                add(package, inside, data, 0o100755)
            else:
                add(package, inside, os.path.relpath(first, os.path.dirname(inside)).encode(), 0o120777)
        if zones:
            add_zones(package)
    return path


def unpack(package, folder):
    """zipfile restores neither modes nor symbolic links."""
    with zipfile.ZipFile(package) as archive:
        for info in archive.infolist():
            path, mode = Path(folder, info.filename), info.external_attr >> 16
            path.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(mode):
                path.symlink_to(archive.read(info).decode())
            else:
                path.write_bytes(archive.read(info))
                path.chmod(mode & 0o777)


def start_milliseconds(package, settings):
    """The median time from the start of the unpacked bootstrap to its first request."""
    times = []
    with tempfile.TemporaryDirectory(prefix="lpl-", dir="/tmp") as folder:
        unpack(package, folder)
        for _ in range(STARTS):
            api = RuntimeAPI()
            begun = time.monotonic()
            process = subprocess.Popen(
                [f"{folder}/bootstrap"], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=clean_environment(AWS_LAMBDA_RUNTIME_API=api.address, LAMBDA_TASK_ROOT=folder, _HANDLER=package.stem, LOG_LEVEL="error", **settings))
            try:
                until(lambda api=api, process=process: api.asked or process.poll() is not None, 20, "the first GET next")
                if not api.asked:
                    raise SystemExit(f"{package.name} does not start: {process.stderr.read().decode()}")
                times.append((api.asked_at - begun) * 1000)
            finally:
                process.kill()
                process.communicate()
                api.close()
    return statistics.median(times)


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("names", nargs="*", help="handlers, or worker; all if none is named")
    words.add_argument("--no-page", action="store_true", help="do not write packages.md")
    arguments = words.parse_args()
    everything = sorted(path.name for path in HANDLERS.iterdir() if os.access(path, os.X_OK))
    OUT.mkdir(parents=True, exist_ok=True)
    rows, stopped = [], {}
    for name in arguments.names or [*everything, "worker"]:
        if name == "worker":
            # The command finds its handlers beside itself.
            files = {"bootstrap": b'#!/bin/sh\nexec "${0%/*}/leadpipe" worker\n', "leadpipe": linked(BIN / "leadpipe").read_bytes(),
                     "confine": (BIN / "confine").read_bytes()}
            files.update({f"handlers/{step}": linked(HANDLERS / step).read_bytes() for step in STEPS})
            programs, zones, settings = [linked(BIN / "leadpipe"), *(linked(HANDLERS / step) for step in STEPS)], True, WORKER_SETTINGS
        else:
            read = {setting["name"] for setting in description(name)["environment"]}
            files, programs, zones = {"bootstrap": linked(HANDLERS / name).read_bytes()}, [linked(HANDLERS / name)], "TIME_ZONE" in read
            settings = {key: value for key, value in SETTINGS.items() if key in read}
        package = pack(name, files, zones)
        reasons = set().union(*map(obstacles, programs))
        if reasons:
            stopped.setdefault(", ".join(sorted(reasons)), []).append(name)
        unpacked = sum(info.file_size for info in zipfile.ZipFile(package).infolist())
        rows.append((name, package.stat().st_size / 1e6, unpacked / 1e6, start_milliseconds(package, settings),
                     "no" if reasons else "yes"))
        print(f"lambda    {name}.zip: {rows[-1][1]:.1f} MB, first request after {rows[-1][3]:.1f} ms", flush=True)
    built = {machine(HANDLERS / name) for name in everything}
    for reasons, names in stopped.items():
        which = "all packages" if len(names) == len(rows) else ", ".join(names)
        print(f"lambda    WARNING: these do not start on provided.al2023 (they need {reasons}; it has glibc {'.'.join(map(str, GLIBC))}): {which}", flush=True)
    if not arguments.names and not arguments.no_page:
        PAGE.write_text(page(rows, stopped, built))
    print(f"lambda    done: {OUT.relative_to(REPO)}/ for {', '.join(sorted(built))}")


def page(rows, stopped, built):
    lacks = sorted({reason for reasons in stopped for reason in reasons.split(", ")})
    verdict = ("All of these executables start with what provided.al2023 has, as far as readelf shows it." if not lacks else
               "**Packages marked `no` do not start on provided.al2023.** As readelf shows, they need " + ", ".join(lacks)
               + f";\nthe image has glibc {'.'.join(map(str, GLIBC))} and none of these libraries.")
    busy = f"the load average was {os.getloadavg()[1]:.1f}"
    table = "".join(f"| {name} | {packed:.1f} | {unpacked:.1f} | {ms:.1f} | {starts} |\n" for name, packed, unpacked, ms, starts in rows)
    return f"""# Packages for AWS Lambda

Written by `make lambda` on {datetime.date.today().isoformat()}, on {os.cpu_count()} cores, for {', '.join(sorted(built))}; {busy}.
The start is the median of {STARTS}: from the start of the process to its first request to the runtime API, against the
stand-in of the tests. On AWS the sandbox, the login at the database and a slower processor come on top; that was not
measured.

{verdict}

| package | zip in MB | unpacked in MB | start in ms | starts on provided.al2023 |
|---|---|---|---|---|
{table}"""


if __name__ == "__main__":
    main()
