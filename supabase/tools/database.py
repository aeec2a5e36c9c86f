"""Databases to compare: one built from the migrations, one built from schemas/."""

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

SUPABASE = Path(__file__).resolve().parent.parent


class Database:
    """A database on the server that PGHOST and the other PG* variables select."""

    def __init__(self, name, **environment):
        self.name = name
        self.environment = {**os.environ, **environment, "PGDATABASE": name, "PGOPTIONS": "-c client_min_messages=error"}

    def _run(self, *words):
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.name}: {done.stderr.strip()}")
        return done.stdout

    def load(self, files):
        """Runs each file in a transaction."""
        steps = [word for path in files for word in ("-c", "begin", "-f", str(path), "-c", "commit")]
        self._run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", *steps)
        return self

    def rows(self, query):
        """Returns the rows of a query. The search path is empty, so that PostgreSQL writes names with their schema."""
        return json.loads(self._run(
            "psql", "-XAtq", "-c", "set search_path = ''", "-c", f"select coalesce(json_agg(q), '[]') from ({query}) q"))

    def dump(self):
        """Returns the lines of each object of the schema."""
        return entries(self._run("pg_dump", "--schema-only", "--no-owner"))


def entries(dump):
    """Parses the output of pg_dump: the lines of each object by its kind, schema and name. Lines of tables and
    privileges are sorted."""
    found = {}
    for name, kind, schema, body in re.findall(
            r"^-- Name: (.*?); Type: (.*?); Schema: (.*?); Owner: .*?\n--\n(.*?)(?=^--\n-- (?:Name|PostgreSQL)|\Z)", dump, re.S | re.M):
        lines = [line.strip().rstrip(",") for line in body.split("\n") if line.strip() and not line.startswith("SET ")]
        found[f"{kind} {schema}.{name}"] = sorted(lines) if kind in ("TABLE", "ACL") else lines
    return found


@contextmanager
def server():
    """Starts a temporary server and yields its settings. The server and its data are removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="leadpipe-schema-", dir="/tmp"))
    owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if owner:
        os.chown(home, pwd.getpwnam("postgres").pw_uid, -1)
    programs = Path(subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip())

    def run(program, *words):
        subprocess.run([*owner, str(programs / program), *words], check=True, cwd="/", stdout=subprocess.DEVNULL)

    data = str(home / "data")
    try:
        run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "start", "-s", "-w", "-D", data, "-l", str(home / "log"), "-o",
            f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off")
        yield {"PGHOST": str(home), "PGUSER": "postgres"}
    finally:
        subprocess.run([*owner, str(programs / "pg_ctl"), "stop", "-s", "-m", "immediate", "-D", data], cwd="/", check=False)
        shutil.rmtree(home, ignore_errors=True)


def create(name, files, **environment):
    """Creates an empty database and loads shim.sql and these files."""
    Database("postgres", **environment)._run("psql", "-Xqc", f"create database {name}")
    return Database(name, **environment).load([SUPABASE / "shim.sql", *files])
