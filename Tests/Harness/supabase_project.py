"""A cluster prepared like Supabase's, projects in it with and without a website's tables, and `supabase db push`.

The website's tables have the shapes of the project that the deployment checklist was written for. Not imitated:
supautils and safeupdate. `make postgresql` runs it on versions with PostgreSQL 16's rules for roles."""

import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import database as databases
from cluster import Cluster, leadpipe
from common import REPO, clean_environment

SCRIPTS = Path(__file__).parent / "supabase_project"
MIGRATIONS = REPO / "supabase" / "migrations"

# The versions in the website's ledger. Two of them are also Leadpipe's, with other contents.
SITE_VERSIONS = ["20251122083039", "20251122090000", "202512100001", "20251218000000", "20251219000000", "20251219000001",
                 "20251222000000", "20260307000001"]
# The website's files in the order in which they ran, and the rows for their tables.
SITE = {"site_roles": None, "site_chat": "site_data", "site_events": "site_event_data", "site_security": "site_security_data",
        "site_newsletter": "site_newsletter_data"}

# Objects of the website that stay as they are. Objects that were in the way are renamed to NAME_before_leadpipe.
SITE_TABLES = ["admin_users", "blog_posts"]
SITE_VIEWS = ["lead_names", "live_sessions", "open_leads"]
SITE_ROUTINES = ["fetch_conversation_analytics", "greet_latest_lead", "is_editor", "latest_lead", "leads_report", "may_edit",
                 "purge_sessions", "update_newsletter_subscribers_updated_at"]
SITE_CONSTRAINTS = ["user_roles_user_id_fkey"]
SITE_COLUMNS = {
    "user_roles": ["created_at"],
    "conversation_summaries": ["summary_text", "total_messages", "actions_taken", "generated_at"],
    "conversation_timeline": ["actor_id_before_leadpipe"],
}
# A policy of blog_posts calls the function as anon.
SITE_GRANT = "GRANT ALL ON FUNCTION public.has_role(_user_id uuid, _role public.app_role) TO anon;"


@dataclass(frozen=True)
class Start:
    """A database before Leadpipe's first migration."""

    name: str
    new_privileges: bool = False
    site: tuple = ()
    ledger: tuple = ()


class SupabaseCluster(Cluster):
    superuser = "supabase_admin"
    options = "-c fsync=off"

    def prepare(self):
        self.database("postgres").run((SCRIPTS / "roles.sql").read_text())
        self.databases = count(1)

    @cached_property
    def has_contributed_extensions(self):
        """False for PostgreSQL from PyPI. Leadpipe's migrations use none of them; a project has them installed."""
        return self.database("postgres").count("pg_available_extensions", "name = 'pgcrypto'") == 1

    def project(self, start):
        """A database prepared as `start` describes, for the role postgres."""
        name = f"project{next(self.databases)}"
        self.database("postgres").run(f"create database {name} owner postgres")
        # A database setting applies to connections made from now on.
        self.database("postgres").run(f"alter database {name} set statement_timeout = '2min'")
        script = (SCRIPTS / "database.sql").read_text()
        if not self.has_contributed_extensions:
            script = re.sub(r"^create extension .*;\n", "", script, flags=re.MULTILINE)
            # All that the website uses of them.
            script += "create function extensions.uuid_generate_v4() returns uuid language sql as 'select gen_random_uuid()';"
        self.database(name).run(script)
        project = self.database(name, "postgres")
        if start.new_privileges:
            project.run((SCRIPTS / "new_privileges.sql").read_text())
        for script in [*start.site, *(rows for file, rows in SITE.items() if rows and file in start.site)]:
            project.run((SCRIPTS / f"{script}.sql").read_text())
        if start.ledger:
            project.run(LEDGER + "".join(f"{ROW.format(v, 'site')};" for v in start.ledger))
        return project

    def copy(self, database, user="postgres"):
        name = f"project{next(self.databases)}"
        self.database("postgres").run(f"create database {name} template {database.name} owner postgres")
        self.database("postgres").run(f"alter database {name} set statement_timeout = '2min'")
        return self.database(name, user)


LEDGER = """create schema if not exists supabase_migrations;
  create table if not exists supabase_migrations.schema_migrations (version text primary key);
  alter table supabase_migrations.schema_migrations add column if not exists statements text[], add column if not exists name text;
"""

ROW = "insert into supabase_migrations.schema_migrations values ('{}', '{{}}', '{}')"


def files():
    """Leadpipe's migrations by version, in the order in which both tools run them."""
    return {path.name.split("_")[0]: path for path in sorted(MIGRATIONS.glob("*.sql"))}


def run_files(database, scripts, role=None):
    """Runs each file as one implicit transaction, as `supabase db push` and the dashboard's editor do: psql -c sends
    the whole text of a file at once. `role` is set first, as by a login of db push without a password."""
    before = [f"set session role {role}"] if role else []
    words = [word for script in [*before, *scripts] for word in ("-c", script)]
    done = subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *words, database.url], env=clean_environment(), capture_output=True, text=True,
        timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr)


def push(database, role=None):
    """Does what `supabase db push` does from a folder with the website's files and Leadpipe's. Returns the versions
    that it ran. For the two versions that are in the website's ledger too, the folder has the website's own files."""
    run_files(database, [LEDGER], role)
    before = f"set session role {role};" if role else ""
    known = set(database.text(f"{before} select version from supabase_migrations.schema_migrations").split())
    pending = {version: path for version, path in files().items() if version not in known}
    assert all(version > max(known, default="") for version in pending), "a file is older than the newest migration of the ledger"
    run_files(database, [f"{path.read_text()}\n{ROW.format(version, path.stem)}" for version, path in pending.items()], role)
    return list(pending)


def migrate(database):
    """Runs `leadpipe migrate` as the role in the database's URL."""
    done = leadpipe("migrate", DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


PUBLISHED = """select prrelid::regclass || ' ' || concat_ws(' ', prattrs, prqual) from pg_publication_rel
  join pg_publication p on p.oid = prpubid where pubname = 'supabase_realtime' order by 1"""


def schema(database):
    """The schema from pg_dump without the website's part, and the tables published to Supabase's Realtime."""
    done = subprocess.run(
        ["pg_dump", "--schema-only", "--no-owner", "-n", "public", "-n", "leadpipe", database.url], env=clean_environment(),
        capture_output=True, text=True, timeout=60, check=True)
    found = {key: _ours(key, lines) for key, lines in databases.entries(done.stdout).items() if not _is_site(key)}
    return {**found, "supabase_realtime": database.text(PUBLISHED).split("\n")}


def _ours(key, lines):
    """The lines of an object without those that the website added. From version 18 on, NOT NULL has a name, which an
    older column keeps; pg_dump writes the unusual ones."""
    site = SITE_COLUMNS.get(key.removeprefix("TABLE public."), ())
    return [re.sub(r" CONSTRAINT \S+ NOT NULL", " NOT NULL", line) for line in lines if line != SITE_GRANT and line.split()[0].strip('"') not in site]


def _is_site(key):
    """True if an entry of pg_dump belongs to the website, or is the project's setting of schema public."""
    if key.endswith("-.public") or "SCHEMA public" in key or key.startswith("DEFAULT ACL"):
        return True
    words = re.split(r"[ .(]+", key)
    return any(w.endswith("_before_leadpipe") or w in {*SITE_TABLES, *SITE_VIEWS, *SITE_ROUTINES, *SITE_CONSTRAINTS} for w in words)
