"""The states of a database before the first migration: plain PostgreSQL, a new Supabase project, and a project with a
website's tables of the same names. All end with one schema and one set of rights, and no row is lost."""

import re
import subprocess

import pytest

from cluster import leadpipe
from common import REPO, clean_environment
from supabase_project import SITE, SITE_ROUTINES, SITE_TABLES, SITE_VERSIONS, SITE_VIEWS, Start, SupabaseCluster, files, migrate, push, run_files, schema

SHIM = REPO / "supabase" / "shim.sql"
RIGHTS = REPO / "supabase" / "tests" / "rights.sql"
ADOPT = "20261127000000"
LEDGER = tuple(SITE_VERSIONS)
STARTS = [
    Start("a new project"),
    Start("a new project with the default privileges of 2026", new_privileges=True),
    Start("a website that used db push", site=tuple(SITE), ledger=LEDGER),
    Start("a website that used db push, default privileges of 2026", site=tuple(SITE), ledger=LEDGER, new_privileges=True),
    Start("a website that used the SQL editor and has no newsletter",
          site=("site_roles", "site_chat", "site_events", "site_security")),
    Start("a website without events and sessions", site=("site_roles", "site_chat", "site_newsletter"), new_privileges=True),
]
# The ids of the website's rows begin like this. The last two digits differ.
OLD = "00000000-0000-4000-8000-0000000000"
ADMIN, USER = f"{OLD}f1", f"{OLD}f2"


@pytest.fixture(scope="module")
def supabase():
    cluster = SupabaseCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def expected(cluster):
    """The schema on plain PostgreSQL."""
    return schema(cluster.migrated())


@pytest.fixture(scope="module", params=STARTS, ids=lambda start: start.name)
def start(request):
    return request.param


@pytest.fixture(scope="module")
def before(supabase, start):
    return supabase.project(start)


@pytest.fixture(scope="module")
def pushed(supabase, before):
    """The database after `supabase db push`."""
    database = supabase.copy(before)
    push(database)
    return database


def as_superuser(supabase, database):
    return supabase.database(database.name)


def as_user(role, statement, user=""):
    """The statement as PostgREST would run it for this role."""
    return f"set request.jwt.claims = '{{\"sub\": \"{user}\", \"role\": \"{role}\"}}'; set role {role}; {statement}"


def test_db_push_on_plain_postgresql_makes_the_same_schema(cluster, expected):
    database = cluster.empty()
    database.run(SHIM.read_text())
    assert push(database) == list(files())
    assert schema(database) == expected


def test_third_migration_adds_only_the_columns_of_the_budget_after_the_first_two(cluster):
    """An adopted table can have columns of these names already, so the third migration adds them with their types."""
    database = cluster.empty()
    database.run(SHIM.read_text())
    scripts = [path.read_text() for path in files().values()][:3]
    run_files(database, scripts[:2])
    database.run("alter table conversations add budget_amount double precision, add budget_min double precision, "
                 "add budget_max double precision, add budget_currency text, add budget_period text")
    two = schema(database)
    run_files(database, scripts[2:])
    assert schema(database) == two


def test_db_push_makes_the_same_schema(supabase, pushed, expected):
    assert schema(as_superuser(supabase, pushed)) == expected


def test_leadpipe_migrate_makes_the_same_schema(supabase, start, before, expected):
    database = supabase.copy(before)
    foreign = [version for version in start.ledger if version not in files()]
    note = f"the migration table also lists migrations of another project: {', '.join(foreign)}\n" if foreign else ""
    assert migrate(database) == f"applied {', '.join(files())}\n{note}"
    assert schema(as_superuser(supabase, database)) == expected
    assert migrate(database) == f"nothing to migrate\n{note}"
    assert push(database) == []


def test_migrating_again_changes_nothing(supabase, pushed, expected):
    login = supabase.database(pushed.name, "cli_login_postgres")
    assert push(login, role="postgres") == []
    run_files(login, [path.read_text() for path in files().values()], role="postgres")
    assert schema(as_superuser(supabase, pushed)) == expected


def test_rollback_and_db_push_make_the_same_schema(supabase, start, pushed, expected):
    database = supabase.copy(pushed)
    assert roll_back(database) == list(files())[2:]
    assert push(database) == list(files())[2:]
    assert schema(as_superuser(supabase, database)) == expected
    roll_back(database)
    assert f"applied {', '.join(list(files())[1:])}\n" in migrate(database)
    assert schema(as_superuser(supabase, database)) == expected


def test_rollback_and_db_push_on_plain_postgresql_make_the_same_schema(cluster, expected):
    database = cluster.migrated()
    assert roll_back(database) == push(database) == list(files())[2:]
    assert schema(database) == expected


def roll_back(database):
    """Rolls back. Returns the versions that are no longer in the ledger."""
    ledger = "select version from supabase_migrations.schema_migrations order by 1"
    before = database.text(ledger).split()
    done = leadpipe("rollback", "--yes", DATABASE_URL=database.url)
    assert done.returncode == 0 and database.text("select to_regclass('lead_events')") == "", done.stderr
    after = database.text(ledger).split()
    return [version for version in before if version not in after]


def test_drops_an_operators_policy_with_a_notice_and_restores_its_own(supabase):
    database = supabase.project(Start("a new project"))
    push(database)
    database.run("""create policy "Everybody reads" on conversations for select using (true);
      drop policy admin_reads on conversations; create policy admin_reads on conversations for select to leadpipe_worker using (true)""")
    said = database.psql(files()[ADOPT].read_text()).stderr
    assert 'dropped policy "Everybody reads" on conversations' in said and said.count("dropped policy") == 1
    assert database.text("select polname, polroles::regrole[] from pg_policy where polrelid = 'conversations'::regclass order by 1") \
        == "admin_reads|{authenticated}\nservice_role_all|{service_role}"


def test_rights_tests_pass(supabase, start, pushed, tmp_path):
    # Moves the website's objects out of schema public during the test, and inserts the administrator that the test
    # uses.
    away = f"""
      begin; set client_min_messages = warning; create schema site;
      do $$ declare what text; begin
        for what in
          select format('alter table %s set schema site', oid::regclass) from pg_class
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
            and (relname = any ('{{{",".join(SITE_TABLES + SITE_VIEWS)}}}') or relname like '%before_leadpipe')
          union all
          select format('alter function %s set schema site', oid::regprocedure) from pg_proc
            where pronamespace = 'public'::regnamespace and proname = any ('{{{",".join(SITE_ROUTINES)}}}')
        loop execute what; end loop;
      end $$;
      insert into auth.users values ('{OLD}0a', 'rights@example.com');
      {"revoke execute on function public.has_role(uuid, public.app_role) from anon;" if start.site else ""}
      """
    script = tmp_path / "rights.sql"
    script.write_text(away + RIGHTS.read_text())
    done = subprocess.run(
        ["pg_prove", str(script)], cwd="/", capture_output=True, text=True, timeout=50,
        env=clean_environment(PGHOST=str(supabase.home), PGUSER="supabase_admin", PGDATABASE=pushed.name))
    assert done.returncode == 0 and "Result: PASS" in done.stdout, done.stdout + done.stderr


def test_anon_reads_nothing_and_calls_only_the_websites_functions(start, pushed):
    may_call = {role: set(pushed.text(f"""select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = pronamespace
      where nspname in ('public', 'leadpipe') and (prosecdef or prorettype <> 'trigger'::regtype)
      and has_schema_privilege('{role}', n.oid, 'usage') and has_function_privilege('{role}', p.oid, 'execute')""").split())
      for role in ["anon", "authenticated"]}
    if start.site:
        # Policies of blog_posts call has_role for both roles and is_editor for users. latest_lead runs with its
        # caller's rights.
        both = {"has_role(uuid,app_role)", "latest_lead()", "may_edit()"}
        assert may_call == {"anon": both, "authenticated": {*both, "is_editor()"}}
    else:
        assert may_call == {"anon": set(), "authenticated": {"has_role(uuid,app_role)"}}
    may_use = pushed.text("""select relname from pg_class
      where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p')
      and has_table_privilege('anon', oid, 'select, insert, update, delete, truncate, references, trigger')""")
    assert set(may_use.split()) <= set(SITE_TABLES)


def test_visitor_reads_the_websites_pages_and_no_lead(start, pushed):
    if not start.site:
        pytest.skip("there is no website")
    assert pushed.text(as_user("anon", "select title from blog_posts")) == "Moving to the Marina"
    publish = "update blog_posts set published = published returning title"
    assert pushed.text(as_user("authenticated", publish, ADMIN)) == "Moving to the Marina\nA draft"
    assert pushed.text(as_user("authenticated", publish, USER)) == ""
    for statement, is_denied in [
            ("select fetch_conversation_analytics()", True), ("select leads_report()", True), ("select greet_latest_lead()", True),
            ("select * from open_leads", True), ("select * from lead_names", True), ("select * from conversations", True),
            *([("select purge_sessions()", True), ("select * from live_sessions", True)] if "site_security" in start.site else []),
            (f"select add_timeline_entry('{OLD}d1'::uuid, 'note_added', 'a stranger was here')", True),
            ("insert into newsletter_subscribers (email) values ('a@example.com')", True), ("select 1", False)]:
        for role in "anon", "authenticated":
            said = pushed.psql(as_user(role, statement, USER), check=False).stderr
            # A logged-in user may select from conversations, and gets no rows.
            if (role, statement) != ("authenticated", "select * from conversations"):
                assert ("permission denied" in said) == is_denied, (role, statement, said)


def test_user_reads_no_lead_and_administrator_reads_all(start, pushed):
    for table in ["conversations", "chat_messages", "lead_tags", "follow_up_tasks", "lead_events", "newsletter_subscribers",
                  "user_roles"]:
        count = f"select count(*) from {table}"
        assert pushed.text(as_user("authenticated", count, USER)) == "0", table
        if start.site:
            assert pushed.text(as_user("authenticated", count, ADMIN)) == pushed.text(count), table


def test_keeps_the_websites_rows(start, before, pushed):
    if not start.site:
        pytest.skip("there is no website")
    for query in [
            "select id, customer_name, customer_phone, customer_id, assigned_agent_id from conversations order by id",
            "select created_at, updated_at from conversations order by id",
            "select message_text, sender, timestamp from chat_messages", "select tag_name from lead_tags",
            "select summary_text from conversation_summaries", "select user_id, role, created_at from user_roles",
            "select title from blog_posts order by title", "select id, status, follow_up_date from follow_up_tasks"]:
        assert pushed.text(query) == before.text(query) != "", query
    assert pushed.text("select lead_score, lead_quality, tags from conversations order by id") == "80|cold|{vip}\n0|cold|{}"
    assert pushed.text("select status from agents") == "available"
    if "site_newsletter" in start.site:
        assert pushed.text("select email, status from newsletter_subscribers") == "Reader@Example.com|active"
    if "site_security" in start.site:
        assert pushed.text("select session_token from admin_sessions_before_leadpipe") == "a token of the website"
        assert pushed.count("admin_sessions") == 0
    if "site_events" in start.site:
        timeline = "select title, actor_id, actor_id_before_leadpipe from conversation_timeline order by title"
        assert pushed.text(timeline) == f"A note||admin@example.com\nAssigned|{OLD}b1|{OLD}B1\nLead Created||"
        notified = "select channel, status from notification_logs_before_leadpipe order by 1"
        assert pushed.text(notified) == "slack|sent\nemail|pending"


def test_notifies_only_new_leads_of_the_website(start, pushed):
    if "site_events" not in start.site:
        pytest.skip("the website has no events")
    assert pushed.text("""begin; select id from lead_events where not processed;
      select claim_deliveries('{"worker": "w", "channels": [{"channel": "slack"}]}') is null;
      select lead_event_id from notification_logs; rollback""") == f"{OLD}e4\nf\n{OLD}e4"


def test_capture_works(pushed):
    lead = '{"route": "r", "source": "s", "lead": {"customerName": "New Lead", "customerPhone": "+971500000009"}}'
    assert pushed.text(f"""begin; set local role leadpipe_intake; select capture_lead('{lead}') ->> 'outcome'; reset role;
      select event_type, processed, planned_at is null from lead_events e
      join conversations c on c.id = e.conversation_id where customer_name = 'New Lead'; rollback""") == "created\nlead.created|f|t"


def test_checklists_cleanup_works(pushed):
    pushed.run("""begin; DROP TABLE IF EXISTS notification_logs; DROP TABLE IF EXISTS follow_up_tasks;
      DROP TABLE IF EXISTS conversation_timeline; DROP TABLE IF EXISTS lead_events; rollback""")


@pytest.mark.parametrize("row, said", [
    ("insert into follow_up_tasks (conversation_id, follow_up_date, status) select id, now(), 'some day' from conversations",
     "public.follow_up_tasks.status has 1 values that are not valid as public.follow_up_status. Change them"),
    ("update conversations set lead_score = 140", "Rows of public.conversations violate a constraint of Leadpipe"),
    ("insert into newsletter_subscribers (email) values ('READER@example.com')",
     "Rows of public.newsletter_subscribers violate a constraint of Leadpipe"),
    ("create view workers as select 'a' as name", "public.workers is not a table, and Leadpipe needs the name. Rename it"),
], ids=["a value that the type lacks", "a number out of range", "two rows for one address", "a view of a table's name"])
def test_migration_stops_at_a_row_that_cannot_be_kept(supabase, row, said):
    database = supabase.project(Start("website", site=("site_roles", "site_chat", "site_newsletter")))
    database.run(row)
    before = schema(as_superuser(supabase, database))
    with pytest.raises(AssertionError, match=f"This file changed nothing. {re.escape(said)}"):
        run_files(database, [files()[ADOPT].read_text()])
    assert schema(as_superuser(supabase, database)) == before
    done = leadpipe("migrate", DATABASE_URL=database.url)
    assert done.returncode != 0
    assert f"the database reported error LP409: This file changed nothing. {said}" in done.stderr


def test_no_error_code_has_a_special_meaning_for_postgrest():
    """PostgREST retries 40001 without end, and treats PTnnn and PGRST as instructions."""
    codes = {}
    for path in [*files().values(), *(REPO / "supabase" / "schemas").rglob("*.sql")]:
        for raised in re.findall(r"\braise\s+(?!notice|warning|info|debug|log)[^;]*;", _code(path.read_text()), re.I):
            found = (re.findall(r"(?:errcode\s*=\s*|sqlstate\s+)'?(\w+)'?", raised)
                     or re.findall(r"^raise\s+([a-z_]+)\b", raised))
            codes.update((code, f"{path.name}: {raised}") for code in found if code != "exception")
    assert "LP409" in codes
    asked = "40|PT|PGRST|serialization_failure|deadlock_detected|transaction_rollback|statement_completion_unknown"
    assert not [where for code, where in codes.items() if re.match(asked, code, re.I)]


def _code(script):
    return re.sub(r"--[^\n]*", "", script)
