"""`leadpipe backup` and `leadpipe restore`: captures go on during a backup, every row comes back on another cluster, what
was pending is not sent by itself, and what fails leaves neither a file nor a changed database."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cluster import Cluster, leadpipe
from common import BIN, REPO, clean_environment, is_root, until
from instance import Instance
from ledger import MARK, NAME
from sink import Sink
from supabase_project import LEDGER, ROW, SITE, SITE_VERSIONS, Start, SupabaseCluster, files, run_files
from supabase_project import migrate as migrate_project
from traffic import Traffic

SECRET = "canary-of-the-password"
PATH = clean_environment()["PATH"]


class BareCluster(Cluster):
    """A new cluster: it has none of Leadpipe's roles."""

    def prepare(self):
        (self.home / "data" / "pg_hba.conf").write_text("local all careful scram-sha-256\nlocal all all trust\n")
        self.database("postgres").run(f"select pg_reload_conf(); create role careful login superuser password '{SECRET}'")


@pytest.fixture(scope="module")
def bare():
    cluster = BareCluster()
    yield cluster
    cluster.close()


def command(database, *words, code=0, **more):
    done = leadpipe(*words, **{"DATABASE_URL": getattr(database, "url", database), **more})
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


class Commands:
    """The command lines of all processes, collected while a command runs."""

    def __init__(self):
        self.seen, self.ended = set(), threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.ended.wait(0.005):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class Agency:
    """A database with sent and pending notifications, and two backups: one during captures, one when all was quiet."""

    # Slack has an error of its own for every message.
    BROKEN = {"slack": [{"fail": "refuse", "say": "rollup_error", "percent": 100}]}

    def __init__(self, cluster, folder):
        self.database = cluster.migrated()
        self.live, self.quiet = folder / "live.dump", folder / "quiet.dump"
        with_password = self.database.url.replace("leadpipe@", f"leadpipe:{SECRET}@")
        with Sink(folder) as sink, Instance(DATABASE_URL=self.database.url, **sink.settings) as instance:
            with Traffic(instance, pause=0.05) as traffic:
                traffic.captures_more(20, count=10)
                traffic.wait_until_sent(self.database, 20)
                assert sink.request("PUT", "/behaviour", self.BROKEN)[0] == 200
                traffic.captures_more(20, count=10)
                self.before = dict(traffic.captured)
                with Commands() as commands:
                    self.report = json.loads(command(with_password, "backup", str(self.live), "--json"))
                during = len(traffic.captured) - len(self.before)
                traffic.captures_more(20)
            until(lambda: self.waiting > 0, 10, "a delivery that waits")
        assert during > 0, "nothing was captured during the backup"
        self.commands = {line for line in commands.seen if "pg_dump" in line or "leadpipe backup" in line}
        # An event that no worker has planned, and a row of a table that is append-only.
        self.database.run("""insert into lead_events (event_type, conversation_id, payload)
            select 'lead.created', id, jsonb_build_object('customerName', 'Lead 900001', 'intent', 'buy') from conversations limit 1""")
        command(self.database, "key", "create", "owner", "--rights", "owner")
        self.database.run("""insert into admin_sessions (sha256, key_id) select '\\x01', id from admin_keys limit 1;
            insert into leadpipe.admin_logins (sha256, expires_at) values ('\\x02', now() + interval '1 hour')""")
        self.pending = self.waiting
        command(self.database, "backup", str(self.quiet))

    @property
    def waiting(self):
        return self.database.count("notification_logs", "due_at is not null")


@pytest.fixture(scope="module")
def agency(cluster, tmp_path_factory):
    return Agency(cluster, tmp_path_factory.mktemp("backup"))


def rows(database):
    """A digest of the rows of each table. Transaction ids, which belong to a cluster, and sessions, which end with a restore,
    are left out."""
    tables = database.text("""select c.oid::regclass from pg_class c where c.relkind = 'r'
      and c.relnamespace::regnamespace::text in ('public', 'leadpipe', 'supabase_migrations')
      and c.relname not in ('admin_sessions', 'admin_logins') order by 1""").split()
    queries = " union all ".join(
        f"(select '{table}' as name, count(*), md5(string_agg((to_jsonb(t) - '{{xact,seen}}'::text[])::text, ',' order by t::text)) from {table} t)"
        for table in tables)
    return {row["name"]: row for row in database.rows(queries)}


def schema(database):
    """Every object with its rights. Parentheses are left out, because PostgreSQL nests those of a long condition anew."""
    done = subprocess.run(
        ["pg_dump", "--schema-only", "--no-owner", "-n", "public", "-n", "leadpipe", "-n", "supabase_migrations", database.url],
        env=clean_environment(), capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("--", "\\"))]
    return [line.replace("(", "").replace(")", "") for line in lines]


# ── Backups ──

def test_backup_is_one_moment_of_a_busy_database(agency, bare):
    """Restored by a login that owns the database and may create roles, and is no superuser."""
    bare.database("postgres").run("create role keeper login createrole; create database kept owner keeper")
    report, restored = agency.report, bare.database("kept", "keeper")
    assert oct(agency.live.stat().st_mode & 0o777) == "0o600" and report["bytes"] == agency.live.stat().st_size
    assert not list(agency.live.parent.glob(".*")), "a temporary file is left"
    text = command(restored, "restore", str(agency.live))
    assert f"leads                 {report['leads']}\n" in text and "Passwords of roles" in text
    assert restored.count("conversations") == report["leads"] and restored.count("lead_events") == report["events"]
    stored = set(restored.text("select id from conversations").split())
    assert set(agency.before.values()) <= stored, "leads from before the backup are missing"
    assert restored.count("conversations c", """not exists (select from lead_events e where e.conversation_id = c.id)
      or not exists (select from conversation_timeline t where t.conversation_id = c.id)""") == 0, "half a capture was restored"


def test_password_is_in_no_argument(agency):
    assert len(agency.commands) >= 2, agency.commands
    assert not [line for line in agency.commands if SECRET in line]


def test_every_row_and_right_comes_back_on_a_new_cluster(agency, bare):
    restored = bare.empty()
    command(restored, "restore", str(agency.quiet), "--send-pending")
    assert rows(restored) == rows(agency.database)
    assert schema(restored) == schema(agency.database)
    numbers = "select last_value, is_called from lead_events_seq"
    assert restored.text(numbers) == agency.database.text(numbers)
    assert restored.count("lead_events", "xact is not null") == 0
    # They may have been ended, or used, since.
    assert restored.count("admin_sessions") == restored.count("leadpipe.admin_logins") == 0
    assert restored.text("select count(*) from pg_publication_rel r join pg_publication p on p.oid = r.prpubid where pubname = 'supabase_realtime'") == "3"
    assert restored.count("notification_logs", "due_at is not null") == agency.pending


# ── What was pending ──

@pytest.mark.skipif("LEADPIPE_POSTGRES" in os.environ, reason="`leadpipe up` starts Debian's PostgreSQL, which may be older than the backup")
def test_pending_notifications_wait_for_the_operator(agency, tmp_path):
    """The database of `leadpipe up`, whose gateway and worker run during the restore."""
    with Sink(tmp_path) as sink, Instance(WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        database = instance.database
        text = command(database, "restore", str(agency.quiet), seconds=60)
        assert f"{agency.pending + 1}; `leadpipe restore --send-held` sends them" in text
        new = instance.capture({"customerName": "Lead 800000", "customerPhone": "+971502345678", "intent": "buy"})
        until(lambda: database.count("notification_logs", f"conversation_id = '{new}' and status = 'sent'") == 3, 20, "the new lead")
        time.sleep(2)
        assert {name for message in sink.messages for name in NAME.findall(json.dumps(message))} == {"Lead 800000"}
        assert command(database, "delivery", "list", "--status", "parked", "--json", "--limit", "1000").count("Held by a restore") == agency.pending
        assert database.count("lead_events", "not processed") == 0

        assert f"{agency.pending} notifications and 1 lead without notifications will be sent" in command(database, "restore", "--send-held")
        until(lambda: database.count("lead_events", "not processed") == 0 and database.count("notification_logs", "due_at is not null") == 0, 30, "the rest")
        sent = [(message["channel"], *sorted(set(NAME.findall(json.dumps(message)))), MARK in json.dumps(message)) for message in sink.messages]
        # The event without deliveries goes to three channels, and so does the new lead.
        assert len(sent) == len(set(sent)) == agency.pending + 6
        assert not [message for message in sent if message[1] not in ("Lead 800000", "Lead 900001") and not message[2]]
        assert "0 notifications and 0 leads" in command(database, "restore", "--send-held")


def test_leads_of_the_time_without_events_are_held_too(cluster, tmp_path):
    """The event tables were dropped, as the roll-back does, when the backup was made."""
    source, restored = cluster.migrated(), cluster.empty()
    lead = '{"customerName": "Dropped", "customerPhone": "+971501234567"}'
    assert leadpipe("rollback", "--yes", DATABASE_URL=source.url).returncode == 0
    subprocess.run([BIN / "handlers" / "lead-capture"], input=lead, env=clean_environment(DATABASE_URL=source.url), text=True, check=True,
                   capture_output=True)
    assert source.count("leadpipe.unsent_leads", "planned_at is null") == 1
    assert json.loads(command(source, "backup", str(tmp_path / "a.dump"), "--json"))["events"] == 0
    assert "notifications held    1;" in command(restored, "restore", str(tmp_path / "a.dump"))
    assert restored.count("leadpipe.unsent_leads", "planned_at is null") == 0
    command(restored, "restore", "--send-held")
    assert restored.count("leadpipe.unsent_leads", "planned_at is null") == 1


# ── A backup of an earlier release ──

def test_older_backup_is_migrated(cluster, tmp_path):
    """The database ends as one that was migrated, with the lead of then."""
    older, restored = cluster.empty(), cluster.empty()
    run_files(older, [(REPO / "supabase" / "shim.sql").read_text(), LEDGER])
    past = {version: path for version, path in files().items() if version <= "20261129065428"}
    run_files(older, [f"{path.read_text()}\n{ROW.format(version, path.stem)}" for version, path in past.items()])
    older.run("insert into conversations (customer_name) values ('Then')")
    command(older, "backup", str(tmp_path / "older.dump"))
    assert f"migrated              {list(files())[len(past)]}, " in command(restored, "restore", str(tmp_path / "older.dump"))
    assert restored.text("select customer_name from conversations") == "Then"
    assert sorted(schema(restored)) == sorted(schema(cluster.database(cluster.template)))


def test_later_client_programs(agency, bare, tmp_path):
    """pg_restore sets a parameter since 17 that earlier servers do not have."""
    later = stand_in(tmp_path / "later", "pg_restore", f'PATH={PATH}\ncase "$*" in *section=*) pg_restore "$@" '
                     r"| sed '1,40s/^SET lock_timeout = 0;/&\nSET transaction_timeout = 0;/';; " '*) exec pg_restore "$@";; esac')
    script = subprocess.run([tmp_path / "later" / "pg_restore", "--section=post-data", "--file=-", agency.quiet], capture_output=True, text=True, check=True)
    assert "\nSET transaction_timeout = 0;\n" in script.stdout[:4096]
    restored = bare.empty()
    command(restored, "restore", str(agency.quiet), "--send-pending", **later)
    assert rows(restored) == rows(agency.database)


# ── A database with tables of its own ──

# Who may do what with which table, sequence and function.
RIGHTS = """select o.name, a.grantee::regrole, a.privilege_type from (
    select oid::regclass::text, coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)), relnamespace
    from pg_class where relkind in ('r', 'v', 'S')
    union all select oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)), pronamespace from pg_proc) o (name, acl, space)
  cross join lateral aclexplode(o.acl) a where o.space::regnamespace::text in ('public', 'leadpipe') order by 1, 2, 3"""

DEFAULTS = """select d.defaclobjtype, d.defaclnamespace::regnamespace, a.grantee::regrole, a.privilege_type
  from pg_default_acl d cross join lateral aclexplode(d.defaclacl) a order by 1, 2, 3, 4"""


def test_website_of_a_supabase_project(tmp_path):
    """From a project with a website's tables into a new one, whose defaults grant everything to anon, and execution of
    functions not to PUBLIC."""
    projects = SupabaseCluster()
    try:
        site = projects.project(Start("site", site=tuple(SITE), ledger=tuple(SITE_VERSIONS)))
        migrate_project(site)
        site.run("""alter table conversations add column website_mood text; update conversations set website_mood = 'sunny';
            create function website_greeting() returns text language sql as 'select ''Welcome''; ';
            create table website_visits (visitor uuid constraint website_visits_visitor_fkey references auth.users (id), day date) partition by range (day)""")
        command(site, "backup", str(tmp_path / "site.dump"))
        new = projects.project(Start("new"))
        new.run("alter default privileges revoke execute on functions from public")
        defaults = new.text(DEFAULTS)
        text = command(new, "restore", str(tmp_path / "site.dump"), "--send-pending")
        assert "ALTER TABLE public.user_roles ADD CONSTRAINT user_roles_user_id_fkey FOREIGN KEY" in text
        assert "ALTER TABLE public.website_visits ADD CONSTRAINT website_visits_visitor_fkey FOREIGN KEY" in text
        assert new.count("pg_constraint", "conname = 'website_visits_visitor_fkey'") == 0
        assert rows(new) == rows(site)
        assert new.text(RIGHTS) == site.text(RIGHTS)
        assert new.text(DEFAULTS) == defaults
    finally:
        projects.close()


# ── What goes wrong ──

def stand_in(folder, name, script):
    """A folder for the beginning of PATH, with a program of this name."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{PATH}"}


def test_failed_backups_leave_no_file(agency, bare, tmp_path):
    target = tmp_path / "folder" / "a.dump"
    target.parent.mkdir()

    def fails(*words, database=agency.database, **more):
        said = command(database, "backup", str(target), *words, code=1, **more)
        assert not list(target.parent.iterdir()), "a file is left"
        assert SECRET not in said
        return said
    old = stand_in(tmp_path / "old", "pg_dump", "echo 'pg_dump (PostgreSQL) 12.22'")
    assert re.search(r"is of PostgreSQL 12, but the server is (\d+): put pg_dump \1 or later first in PATH", fails(**old))
    broken = stand_in(tmp_path / "broken", "pg_dump", 'case $1 in --version) echo "pg_dump (PostgreSQL) 99.1";; *) echo ruined >&2; exit 1;; esac')
    assert "pg_dump failed (exit status 1): ruined" in fails(**broken)
    empty = stand_in(tmp_path / "empty", "pg_dump", 'case $1 in --version) echo "pg_dump (PostgreSQL) 99.1";; esac')
    assert "pg_restore failed" in fails(**empty)
    assert "pg_dump is not in PATH: install PostgreSQL's client programs" in fails(PATH=str(tmp_path))
    wrong = bare.url("postgres", f"careful:{SECRET}-not")
    assert "the database is unavailable" in fails(database=wrong)
    assert "run `leadpipe migrate`" in fails(database=bare.empty())
    assert "use the login of the database's owner" in fails(database=agency.database.url.replace("leadpipe@", "leadpipe_admin@"))
    slow = stand_in(tmp_path / "slow", "pg_dump", 'case $1 in --version) echo "pg_dump (PostgreSQL) 99.1";; *) exec sleep 60;; esac')
    assert "was not done within the time limit" in fails("--time-limit", "1s", **slow)
    missing = command(agency.database, "backup", str(tmp_path / "missing" / "a.dump"), code=1)
    assert "cannot write in the folder of" in missing


def test_existing_file_is_replaced_on_request_only(agency, tmp_path):
    target = tmp_path / "a.dump"
    target.write_text("precious")
    assert "use --overwrite to replace it" in command(agency.database, "backup", str(target), code=1)
    assert target.read_text() == "precious"
    command(agency.database, "backup", str(target), "--overwrite")
    assert "complete" in command("", "restore", "--check", str(target)) and oct(target.stat().st_mode & 0o777) == "0o600"


def test_file_systems_without_links_and_odd_names(agency, tmp_path):
    """A file that appeared meanwhile is not replaced there either. A name that looks like an option is read as a name."""
    def backup():
        return subprocess.run(
            ["strace", "-f", "-qq", "-o", tmp_path / "calls", "-e", "inject=link,linkat:error=EPERM", BIN / "leadpipe", "backup", "--", "-x.dump"],
            env=clean_environment(DATABASE_URL=agency.database.url), cwd=tmp_path, capture_output=True, text=True, timeout=60)

    done = backup()
    assert done.returncode == 0 and "EPERM" in (tmp_path / "calls").read_text(), done.stderr
    checked = subprocess.run([BIN / "leadpipe", "restore", "--check", "--", "-x.dump"], env=clean_environment(), cwd=tmp_path,
                             capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    (tmp_path / "-x.dump").write_text("another program's")
    assert "exists" in backup().stderr and (tmp_path / "-x.dump").read_text() == "another program's"
    assert not list(tmp_path.glob(".*"))


def test_secrets_without_a_variable_are_refused(agency, tmp_path):
    """Arguments could be read by others."""
    text = command(f"{agency.database.url}{'&' if '?' in agency.database.url else '?'}sslpassword=hidden-word", "backup", str(tmp_path / "a.dump"), code=1)
    assert "sslpassword" in text and "hidden-word" not in text


@pytest.mark.skipif(not is_root(), reason="mounting needs root")
def test_full_disk(agency, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], check=True)
    try:
        assert "No space left on device" in command(agency.database, "backup", str(small / "a.dump"), code=1)
        assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_backup_leaves_no_file(agency, tmp_path, number):
    target = tmp_path / "folder" / "a.dump"
    target.parent.mkdir()
    started = tmp_path / "started"
    slow = stand_in(tmp_path / "slow", "pg_dump", f'case $1 in --version) echo "pg_dump (PostgreSQL) 99.1";; *) echo $$ > {started}; exec sleep 60;; esac')
    with subprocess.Popen([BIN / "leadpipe", "backup", target], env=clean_environment(DATABASE_URL=agency.database.url, **slow),
                          stderr=subprocess.PIPE, text=True) as backup:
        pid = int(until(lambda: started.exists() and started.read_text(), 10, "pg_dump"))
        backup.send_signal(number)
        assert "interrupted" in backup.communicate(timeout=10)[1] and backup.returncode == 1
    assert not list(target.parent.iterdir())
    assert not Path(f"/proc/{pid}").exists(), "pg_dump still runs"


def test_interrupted_restore_changes_nothing(agency, bare, tmp_path):
    """While rows are loaded."""
    target, started = bare.empty(), tmp_path / "started"
    slow = stand_in(tmp_path / "slow", "pg_restore", f'case "$*" in *section=data*) echo $$ > {started}; exec sleep 60;;'
                    f' *) exec env PATH={PATH} pg_restore "$@";; esac')
    with subprocess.Popen([BIN / "leadpipe", "restore", agency.quiet], env=clean_environment(DATABASE_URL=target.url, **slow),
                          stderr=subprocess.PIPE, text=True) as restore:
        pid = int(until(lambda: started.exists() and started.read_text(), 20, "the rows"))
        restore.send_signal(signal.SIGTERM)
        assert "interrupted; the database is as before" in restore.communicate(timeout=15)[1] and restore.returncode == 1
    assert not Path(f"/proc/{pid}").exists(), "pg_restore still runs"
    until(lambda: target.count("pg_stat_activity", "datname = current_database() and pid <> pg_backend_pid()") == 0, 10, "the end of the session")
    assert target.text("select to_regnamespace('leadpipe') is null and to_regclass('public.conversations') is null") == "t"


def test_lost_reply_to_the_commit(agency, bare, tmp_path):
    """The connection ends when the transaction is committed: nobody can say that the database is as before."""
    target = bare.empty()
    lost = stand_in(tmp_path / "lost", "psql", f'PATH={PATH} psql "$@"\nexit 2')
    said = command(target, "restore", str(agency.quiet), code=1, **lost)
    assert "psql failed (exit status 2); the backup may be restored nevertheless" in said and "as before" not in said
    assert target.count("conversations") == agency.database.count("conversations")


def test_refuses_files_that_cannot_be_restored(agency, bare, tmp_path):
    """Nothing is changed: the database is migrated and has an agent's work, but no lead."""
    target = bare.empty()
    command(target, "migrate")
    target.run("insert into workers (name) values ('here before')")
    before = rows(target), schema(target)

    def fails(file, **more):
        return command(target, "restore", str(file), code=1, **more)
    text = tmp_path / "text"
    text.write_text("a letter")
    assert "pg_restore failed" in fails(text)
    assert "cannot read" in fails(tmp_path / "missing")
    whole = agency.quiet.read_bytes()
    for share in (0.2, 0.97):
        cut = tmp_path / f"cut-{share}"
        cut.write_bytes(whole[:int(len(whole) * share)])
        assert "pg_restore failed" in fails(cut)
        assert "pg_restore failed" in command("", "restore", "--check", str(cut), code=1)
    other = tmp_path / "other.dump"
    bare.database("postgres").run("create table if not exists letters (id int)")
    subprocess.run(["pg_dump", "-Fc", "-f", other, bare.url("postgres")], env=clean_environment(), check=True)
    assert "it is not a backup of Leadpipe" in fails(other)
    assert "psql is not in PATH" in fails(agency.quiet, **stand_in_without_psql(tmp_path / "few"))
    # The last statements fail: everything before them is taken back.
    ending = stand_in(tmp_path / "ending", "pg_restore", 'case "$*" in *post-data*list*) cat >/dev/null; echo "select 1/0;";;'
                      f' *) exec env PATH={PATH} pg_restore "$@";; esac')
    said = fails(agency.quiet, **ending)
    assert "division by zero" in said and "the database is as before" in said
    assert (rows(target), schema(target)) == before


def stand_in_without_psql(folder):
    """A PATH with pg_restore and without psql."""
    folder.mkdir()
    (folder / "pg_restore").write_text(f'#!/bin/sh\nPATH={PATH} exec pg_restore "$@"\n')
    (folder / "pg_restore").chmod(0o755)
    return {"PATH": str(folder)}


def test_refuses_databases_that_would_lose_something(agency, cluster, bare):
    used = cluster.migrated()
    used.run("insert into conversations (customer_name) values ('A'), ('B'); insert into agents (name, email) values ('C', 'c@example.com')")
    assert "already holds 2 leads, 1 agent: restore into an empty one" in command(used, "restore", str(agency.quiet), code=1)
    site = bare.empty()
    site.run("create table blog_posts (id int)")
    assert "schema public already has other tables: blog_posts" in command(site, "restore", str(agency.quiet), code=1)
    assert used.count("conversations") == 2


# What a website may have beside schema public, and what of ours each depends on.
DEPENDENT = """
  create schema site;
  create view site.open_leads as select customer_name from public.conversations;
  create table site.notes (lead uuid constraint notes_lead_fkey references public.conversations (id), state public.follow_up_status, updated_at timestamptz);
  create policy notes_admin on site.notes using (public.has_role(null, 'admin'));
  create trigger notes_changed before update on site.notes for each row execute function public.update_updated_at_column();
  create function public.site_lead(c public.conversations) returns text language sql as 'select ''Lead''; ';
  insert into site.notes (state) values ('scheduled')"""


def test_refuses_to_drop_what_others_have_made(agency, bare):
    """Their objects depend on tables, types and functions that a restore replaces."""
    site = bare.empty()
    command(site, "migrate")
    site.run(DEPENDENT)
    said = command(site, "restore", str(agency.quiet), code=1)
    assert ("column state of table site.notes, constraint notes_lead_fkey on table site.notes, function site_lead(conversations), "
            "policy notes_admin on table site.notes, trigger notes_changed on table site.notes, view site.open_leads\n") in said
    assert site.text("select state from site.notes") == "scheduled" and site.count("site.open_leads") == 0
    site.run("""drop view site.open_leads; drop table site.notes; drop function site_lead;
      insert into user_roles (user_id, role) values (gen_random_uuid(), 'admin')""")
    assert "already holds 1 user with a role" in command(site, "restore", str(agency.quiet), code=1)
    site.run("delete from user_roles; create table site.pages (id int primary key, title text default 'New' check (title <> ''))")
    command(site, "restore", str(agency.quiet))
    assert site.count("pg_constraint", "conrelid = 'site.pages'::regclass") >= 2


def test_refuses_a_backup_of_a_later_release(cluster, tmp_path):
    later, empty = cluster.migrated(), cluster.empty()
    later.run("""insert into supabase_migrations.schema_migrations (version, statements) values
      ('20990101000000', '{alter table leadpipe.audit_log add}'), ('20990101000001', '{a website''s own}')""")
    command(later, "backup", str(tmp_path / "later.dump"))
    assert "it has the migration 20990101000000, which this one does not know" in command(empty, "restore", str(tmp_path / "later.dump"), code=1)
    assert "schema_migrations" not in schema(empty)


def test_pooler_in_transaction_mode_is_refused(pooled, agency, tmp_path):
    said = command(pooled, "backup", str(tmp_path / "a.dump"), code=1)
    assert "a backup needs a direct or session connection" in said and "DATABASE_URL_DIRECT" in said
    assert not list(tmp_path.iterdir())
    direct = json.loads(command(pooled, "backup", str(tmp_path / "a.dump"), "--json", DATABASE_URL_DIRECT=agency.database.url))
    assert direct["leads"] == agency.database.count("conversations")


def test_arguments(agency):
    for words, said in ((["--send-held", "a"], "Give either FILE or --send-held"), ([], "Give either FILE"),
                        (["a", "--check", "--send-pending"], "--check goes with FILE alone")):
        assert said in command(agency.database, "restore", *words, code=64)
