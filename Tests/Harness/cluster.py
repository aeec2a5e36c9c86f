"""A PostgreSQL cluster for the tests, with databases cloned from a migrated template."""

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

from common import BIN, as_postgres, clean_environment, is_root, postgres_binaries


class Database:
    """A database by its connection URL."""

    def __init__(self, url, name="leadpipe"):
        self.url = url
        self.name = name

    def psql(self, statement, *options, check=True):
        return subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *options, self.url], input=statement, text=True,
            env=clean_environment(), capture_output=True, timeout=30, check=check)

    def run(self, script):
        self.psql(script)

    def text(self, query):
        """The result of the query: one line for each row, columns separated by `|`."""
        done = self.psql(query, "-A", "-t", check=False)
        if done.returncode:
            raise AssertionError(f"{query}\n{done.stderr}")
        return done.stdout.rstrip("\n")

    def rows(self, query):
        """The rows as dictionaries."""
        return json.loads(self.text(f"select coalesce(json_agg(q), '[]') from ({query}) q"))

    def value(self, query):
        return self.text(query)

    def wipe(self):
        """Deletes all rows, as if the database were fresh. This is quicker than a new clone."""
        self.run("""do $$ declare t regclass; begin
          set local session_replication_role = replica;
          for t in select oid from pg_class where relkind = 'r' and (relnamespace = 'public'::regnamespace
            or relnamespace = 'leadpipe'::regnamespace
              and relname ~ '^(audit_log|admin_logins|assign.*|person_lock|customer_merges|merged_rows|unsent_leads|direct_deliveries)$')
          loop execute format('delete from %s', t); end loop; end $$""")

    def count(self, table, where="true"):
        return int(self.text(f"select count(*) from {table} where {where}"))


class Session:
    """A connection that stays open, for tests with many queries. Used as a context."""

    END = "-- end of the result --"

    def __init__(self, url):
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", url], env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)

    def send(self, statement):
        """Starts a statement without waiting for its result."""
        self.process.stdin.write(f"{statement};\n\\echo '{self.END}'\n")
        self.process.stdin.flush()

    def answer(self):
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n") == self.END:
                text = "".join(lines).rstrip("\n")
                if "ERROR:" in text or "FATAL:" in text:
                    raise AssertionError(text)
                return text
            lines.append(line)
        raise AssertionError(f"the session ended: {''.join(lines)}")

    def text(self, query):
        self.send(query)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Cluster:
    """initdb, start, clone, stop. Durable settings stay on because /health checks them."""

    superuser = "leadpipe"
    options = ""

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="lpt-", dir="/tmp"))
        self.binaries = postgres_binaries()
        self.numbers = count(1)
        try:
            if is_root():
                owner = pwd.getpwnam("postgres")
                os.chown(self.home, owner.pw_uid, owner.pw_gid)
            self.home.chmod(0o755)
            self._run("initdb", "-D", self.data, "-U", self.superuser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
            self.start()
            self.prepare()
        except BaseException:
            self.close()
            raise

    @property
    def data(self):
        return str(self.home / "data")

    def _run(self, program, *words):
        done = subprocess.run(
            as_postgres([str(self.binaries / program), *words]), env=clean_environment(), cwd="/", timeout=90,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise AssertionError(f"{program} failed: {done.stdout}")

    def start(self):
        options = f"-c listen_addresses='' -c unix_socket_directories={self.home} -c max_connections=60 {self.options}"
        self._run("pg_ctl", "start", "-D", self.data, "-l", str(self.home / "log"), "-w", "-t", "60", "-s", "-o", options)

    def stop(self, mode="fast"):
        self._run("pg_ctl", "stop", "-D", self.data, "-m", mode, "-w", "-t", "60", "-s")

    def url(self, name, user=None):
        return f"postgresql://{user or self.superuser}@/{name}?host={self.home}"

    def database(self, name, user=None):
        return Database(self.url(name, user), name)

    def empty(self):
        """A database without tables."""
        name = f"d{next(self.numbers)}"
        self.database("postgres").run(f"create database {name}")
        return self.database(name)

    def migrated(self, template=None):
        """A database as `leadpipe migrate` leaves it, or a clone of the database `template`."""
        name = f"d{next(self.numbers)}"
        self.database("postgres").run(f"create database {name} template {template or self.template}")
        return self.database(name)

    def drop(self, database):
        self.database("postgres").psql(f"drop database if exists {database.name} with (force)", check=False)

    def prepare(self):
        """Prepares the new cluster: creates the migrated database from which others are cloned."""
        database = self.empty()
        migrate(database)
        self.template = database.name

    def close(self):
        with contextlib.suppress(AssertionError):
            self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)


def leadpipe(*words, seconds=60, input=None, **environment):
    """Runs the command and waits until it exits."""
    return subprocess.run(
        [str(BIN / "leadpipe"), *words], env=clean_environment(**environment), cwd="/", timeout=seconds, input=input,
        stdin=None if input is not None else subprocess.DEVNULL, capture_output=True, text=True)


def migrate(database):
    done = leadpipe("migrate", DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    return done.stdout
