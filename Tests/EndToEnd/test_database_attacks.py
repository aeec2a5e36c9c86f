"""Sessions of the roles that strangers and handlers use, with hostile SQL: nothing shows a lead, changes one, or makes a
function work on other tables than its own."""

import re
import subprocess

import pytest

from common import clean_environment

CANARY = "canary"
CUSTOMER, LEAD, AGENT = "8a6e0804-2bd0-4672-b79d-d97027f9071a", "5f0c6a54-5b1c-4a8e-9b53-0a4c1a3d7e11", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
STRANGERS = ["anon", "authenticated"]
HANDLERS = ["leadpipe_intake", "leadpipe_worker", "leadpipe_admin"]
ROLES = STRANGERS + HANDLERS
NOBODY = '{"sub": "00000000-0000-4000-8000-00000000000b", "role": "authenticated"}'
CAPTURE = f"""{{"route": "lead-capture", "source": "chatbot", "conversationId": "{LEAD}", "idempotency": {{"key": "{CANARY}-key", "content": {{}}}},
  "lead": {{"customerName": "{CANARY} name", "customerPhone": "+971500000001", "customerEmail": "{CANARY}@example.org", "notes": "{CANARY} note"}},
  "messages": [{{"id": "m1", "text": "{CANARY} message"}}]}}"""


@pytest.fixture(scope="module")
def database(cluster):
    """A database with a lead in every table that can have one."""
    database = cluster.migrated()
    database.run(f"""
      select public.capture_lead('{CAPTURE}');
      select public.claim_deliveries('{{"worker": "{CANARY}", "channels": [{{"channel": "slack"}}], "leaseSeconds": 3600}}');
      insert into public.agents (id, name) values ('{AGENT}', '{CANARY} agent');
      insert into public.newsletter_subscribers (email) values ('{CANARY}@example.org');
      insert into public.user_roles (user_id, role) values ('{CUSTOMER}', 'admin');
      insert into public.follow_up_tasks (conversation_id, follow_up_date, notes) values ('{LEAD}', now(), '{CANARY}');
      insert into public.admin_keys (name, rights, sha256) values ('{CANARY}', 'owner', '{CANARY}');
      select public.index_words('{{}}');
      alter role anon login; alter role authenticated login;""")
    database.run("analyze")
    yield database
    database.run("alter role anon nologin; alter role authenticated nologin")
    cluster.drop(database)


def run(cluster, database, role, *statements):
    """Runs each statement in one session, after those before, whether they fail or not. Returns everything that the server
    says."""
    done = subprocess.run(["psql", "-X", "-A", "-t", "-v", "VERBOSITY=terse", cluster.url(database.name, role)], input=";\n".join(statements) + ";\n",
                          env=clean_environment(), capture_output=True, text=True, timeout=50)
    return done.stdout + done.stderr


def outcomes(cluster, database, role, statements, before=()):
    """The result of each statement, each in a transaction that is rolled back."""
    script = list(before)
    for number, statement in enumerate(statements):
        script += [f"\\echo '-- {number}'", "begin", statement, "rollback"]
    script = [f"{line}\n" if line.startswith("\\") else f"{line};\n" for line in script]
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "VERBOSITY=verbose", cluster.url(database.name, role)], input="".join(script),
                          env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=55)
    parts = re.split(r"^-- \d+\n", done.stdout, flags=re.MULTILINE)
    assert len(parts) == len(statements) + 1, done.stdout[-2000:]
    return parts[0], parts[1:]


@pytest.fixture(scope="module")
def relations(database):
    """Every table, view and sequence with its columns."""
    return database.rows("""
      select c.oid::regclass::text as name, c.relkind as kind, array_agg(quote_ident(a.attname) order by attnum) filter (where attnum > 0) as columns
      from pg_class c join pg_attribute a on a.attrelid = c.oid and not attisdropped
      where relnamespace::regnamespace::text in ('public', 'leadpipe', 'supabase_migrations') and relkind in ('r', 'v', 'm', 'S', 'p', 'f') group by c.oid""")


def test_strangers_and_handlers_see_no_row_and_no_column(cluster, database, relations):
    assert len(relations) > 20
    for role in ROLES:
        statements = ["set request.jwt.claims = '{NOBODY}'"]
        for each in relations:
            name = each["name"]
            statements += [f"select * from {name}", f"select t from {name} t", f"table {name}", f"copy {name} to stdout", f"copy (table {name}) to stdout",
                           f"select to_jsonb(t) from {name} t", f"insert into {name} select * from {name} returning *", f"delete from {name} returning *",
                           f"select * from {name} for update", f"select query_to_xml('select * from {name}', true, false, '')"]
            statements += [f"select {column} from {name}" for column in each["columns"]]
            statements += [f"update {name} set {column} = {column} returning *" for column in each["columns"]]
        said = run(cluster, database, role, *statements)
        assert CANARY not in said and LEAD not in said, [line for line in said.splitlines() if CANARY in line or LEAD in line][:5]


def test_strangers_cannot_go_around_row_level_security(cluster, database):
    leak = "create function pg_temp.leak(anyelement) returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '%', $1; return true; end $$"
    operator = "create operator pg_temp.<~~ (function = pg_temp.leak, rightarg = anyelement)"
    for role in STRANGERS:
        said = run(
            cluster, database, role, f"set request.jwt.claims = '{NOBODY}'", leak, operator,
            "select 1 from public.conversations where pg_temp.leak(customer_name)", "select 1 from public.conversations c where pg_temp.leak(c)",
            "select 1 from public.conversations where operator(pg_temp.<~~) customer_name", "explain (analyze, verbose) select * from public.conversations",
            "select 1 from public.conversations order by pg_temp.leak(customer_name)",
            "select 1 from public.conversations group by pg_temp.leak(customer_name)",
            "create temp view v with (security_invoker = false) as select * from public.conversations", "table v",
            "create temp view b with (security_barrier = false) as select * from public.conversations where pg_temp.leak(customer_name)", "table b",
            "create temp table copy as table public.conversations", "table copy", "prepare p as table public.conversations", "execute p",
            "begin", "declare c scroll cursor with hold for table public.conversations", "fetch all in c", "commit", "fetch all in c",
            "do $$ declare r record; begin for r in table public.conversations loop raise notice '%', r; end loop; end $$",
            "merge into public.conversations c using public.conversations d on c.id = d.id when matched then update set notes = d.notes",
            "with recursive r as (table public.conversations) table r", "select * from public.conversations tablesample system (100)",
            "select * from public.conversations c join lateral (select pg_temp.leak(c.customer_email)) l on true",
            "set row_security = off", "table public.conversations", "reset row_security",
            "alter table public.conversations disable row level security", "drop policy admin_reads on public.conversations",
            "create policy p on public.conversations using (true)", "grant select on public.conversations to public", "table public.conversations",
            "select * from pg_stats where tablename in ('conversations', 'agents', 'customer_identities', 'conversation_words')",
            "select stavalues1 from pg_statistic", "select * from pg_stats_ext", "select query from pg_stat_activity", "select * from pg_prepared_statements",
            "select * from pg_largeobject", "select lo_import('/etc/passwd')", "select lo_export(1, '/tmp/leadpipe-lo')", "select pg_read_file('PG_VERSION')",
            "select pg_ls_dir('.')", "copy public.conversations to program 'cat'", "copy (select 1) to '/tmp/leadpipe-copy'", "load 'plpgsql'",
            "select database_to_xml(true, false, '')", "select schema_to_xml('public', true, false, '')",
            "select table_to_xml('public.conversations', true, false, '')",
            "select cursor_to_xml('c', 1, true, false, '')", "select * from pg_logical_slot_peek_changes('x', null, null)",
            "create publication p for table public.conversations", "create cast (public.conversations as text) with inout",
            "create trigger t after insert on public.conversations for each row execute function public.update_updated_at_column()",
            "create rule r as on insert to public.conversations do nothing", "create index on public.conversations (id)",
            "create table public.mine (like public.conversations)", "create function public.mine() returns int language sql as 'select 1'",
            "create schema mine",
            "create extension dblink", "create foreign data wrapper f", "create event trigger e on ddl_command_start execute function x()",
            "listen leadpipe", f"select '{CANARY[:3]}' || 'x'")
        assert CANARY not in said and LEAD not in said, [line for line in said.splitlines() if CANARY in line or LEAD in line][:5]
        assert "could not" not in said.replace("could not open extension", "")
        assert "no such" not in said


def test_no_role_becomes_another(cluster, database):
    others = [*ROLES, "service_role", "leadpipe", "postgres", "pg_read_all_data", "pg_execute_server_program", "pg_read_server_files"]
    for role in ROLES:
        said = run(cluster, database, role, *[f"{verb} {other}" + "; select 'now ' || current_user; reset role" for other in others if other != role
                                              for verb in ("set role", "set session authorization")],
                   *[f"grant {other} to {role}" for other in others], f"alter role {role} superuser", f"alter role {role} bypassrls")
        became = {line for line in said.splitlines() if line.startswith("now ")}
        assert became <= {f"now {role}"}, (role, became)
        kind = database.text(f"select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication from pg_roles where rolname = '{role}'")
        assert kind == "f"
        assert database.text(f"select count(*) from pg_auth_members where member = '{role}'::regrole") == "0"


@pytest.fixture(scope="module")
def functions(database):
    return database.rows("""
      select oid::regprocedure::text as signature, pronamespace::regnamespace::text || '.' || quote_ident(proname) as name,
        prorettype = 'trigger'::regtype as is_trigger, prosecdef as is_definer, coalesce(proconfig::text, '') as settings,
        array(select t.typnamespace::regnamespace::text || '.' || quote_ident(t.typname)
          from unnest(proargtypes) with ordinality a (id, n) join pg_type t on t.oid = a.id order by n) as types
      from pg_proc where pronamespace::regnamespace::text in ('public', 'leadpipe') and oid not in (select objid from pg_depend where deptype = 'e')""")


def test_strangers_execute_no_function(cluster, database, functions):
    callable_ = [each for each in functions if not each["is_trigger"]]
    statements = [f"select {each['name']}({', '.join('null::' + type for type in each['types'])})" for each in callable_]
    for role in STRANGERS:
        _, results = outcomes(cluster, database, role, statements)
        done = [each["signature"] for each, result in zip(callable_, results, strict=True) if "42501" not in result]
        assert done == (["has_role(uuid,app_role)"] if role == "authenticated" else []), done


def test_every_definer_searches_the_temporary_schema_last(functions):
    definers = [each for each in functions if each["is_definer"]]
    assert len(definers) > 50
    assert [each["signature"] for each in definers if '"search_path=pg_catalog, pg_temp"' not in each["settings"]] == []


# One argument for all functions.
ARGUMENT = f"""{{"route": "lead-capture", "source": "chatbot", "id": "{LEAD}", "ids": ["{LEAD}"], "agentId": "{AGENT}", "conversationId": "{LEAD}",
  "lead": {{"customerName": "Ada", "customerPhone": "+971500000001"}}, "messages": [{{"id": "m2", "text": "hello"}}],
  "idempotency": {{"key": "k", "content": {{}}}}, "worker": "w", "channels": [{{"channel": "slack", "limit": 5}}], "deliveries": [], "outcomes": [],
  "days": 1, "most": 10,
  "name": "n",
  "email": "a@example.org", "rights": "read", "sha256": "00", "query": "canary", "limit": 5, "prefix": "5f0c", "from": "2026-01-01", "until": "2026-12-31",
  "changes": {{"notes": "x"}},
  "notes": "x", "channel": "slack", "force": true, "followUpDate": "2030-01-01T00:00:00Z", "status": "in-progress", "maxCapacity": 3, "token": "t"}}"""
# Settings that change how text is read and written, and how a statement is planned and run. Without
# standard_conforming_strings: a session that turns it off only makes its own searches fail.
SETTINGS = ["set datestyle = 'SQL, DMY'", "set intervalstyle = 'sql_standard'", "set timezone = 'Pacific/Apia'", "set bytea_output = 'escape'",
            "set extra_float_digits = -15", "set escape_string_warning = off", "set lc_monetary = 'C'",
            "set transform_null_equals = on", "set default_transaction_isolation = 'serializable'", "set xmloption = 'content'", "set array_nulls = off",
            "set quote_all_identifiers = on", "set check_function_bodies = off", "set enable_indexscan = off", "set default_tablespace = ''",
            "set default_text_search_config = 'english'", "set default_table_access_method = 'heap'", "set row_security = off",
            "set request.jwt.claims = '{}'", "set plan_cache_mode = force_custom_plan"]


def shadows(database):
    """Statements that make temporary objects with the names of Leadpipe's own and of the system's."""
    tables = database.text("""select string_agg(distinct format('create temp table %I (shadow text default ''shadowed'')', relname), E'\\n') from pg_class
      where relnamespace::regnamespace::text in ('public', 'leadpipe') and relkind in ('r', 'c') or relname in
        ('pg_class', 'pg_proc', 'pg_roles', 'pg_stats', 'pg_database', 'pg_settings', 'pg_stat_activity', 'pg_locks', 'pg_timezone_names', 'pg_inherits')""")
    types = database.text("""select string_agg(format('create type pg_temp.%I as enum (''shadowed'')', typname), E'\\n') from pg_type
      where typnamespace::regnamespace::text in ('public', 'leadpipe') and typtype = 'e' or typname in
        ('text', 'jsonb', 'uuid', 'int4', 'timestamptz', 'bool', 'numeric', 'xid8', 'tsvector', 'tsquery')""")
    functions = database.text("""select string_agg(distinct format('create function pg_temp.%I(%s) returns text language plpgsql as
        $x$ begin raise notice ''shadowed''; return ''shadowed''; end $x$', proname, pg_get_function_identity_arguments(oid)), E'\\n') from pg_proc
      where pronamespace::regnamespace::text in ('public', 'leadpipe') and prokind = 'f' and prorettype <> 'trigger'::regtype
        and not exists (select from unnest(proargtypes) t join pg_type on pg_type.oid = t where typnamespace::regnamespace::text = 'leadpipe')
        and oid not in (select objid from pg_depend where deptype = 'e') or oid in
        ('to_jsonb(anyelement)'::regprocedure, 'now()'::regprocedure, 'clock_timestamp()'::regprocedure, 'lower(text)'::regprocedure,
         'jsonb_array_elements(jsonb)'::regprocedure, 'gen_random_uuid()'::regprocedure, 'current_setting(text)'::regprocedure)""")
    operators = [f"create operator pg_temp.{name} (function = pg_temp.{made}, leftarg = {kinds[0]}, rightarg = {kinds[1]})" for name, made, kinds in
                 [("->>", "op1", ("jsonb", "text")), ("->", "op1", ("jsonb", "text")), ("=", "op2", ("text", "text")), ("||", "op3", ("jsonb", "jsonb"))]]
    makers = [f"create function pg_temp.{name}(a {one}, b {two}) returns {result} language plpgsql as $x$ begin raise notice 'shadowed'; return null; end $x$"
              for name, one, two, result in [("op1", "jsonb", "text", "text"), ("op2", "text", "text", "boolean"), ("op3", "jsonb", "jsonb", "jsonb")]]
    return [re.sub(r"\s+", " ", line) for text in (functions,) for line in re.split(r"\n(?=create)", text)] + makers + operators \
        + tables.splitlines() + types.splitlines()


def normal(text):
    """A result without what differs from call to call."""
    text = next((line for line in text.splitlines() if line.startswith("ERROR")), text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", "TIME", text)
    text = re.sub(r'"(seq|cursor|from|oldestSeconds|xact|elapsedMs|sha256|version)": ?("[^"]*"|\d+)', r'"\1": N', text)
    text = re.sub(r'"(\w*(Seconds|Minutes|IsSilent)\w*)": ?[\w.-]+', r'"\1": N', text)
    return re.sub(r"(?<![\w.])\d{5,}(\.\d+)?", "N", text)


@pytest.mark.parametrize("role", ["authenticated", *HANDLERS])
@pytest.mark.parametrize("how", ["shadows", "settings"])
def test_functions_do_the_same_in_a_hostile_session(cluster, database, functions, role, how):
    mine = [each for each in functions if not each["is_trigger"]
            and database.text(f"select has_function_privilege('{role}', '{each['signature']}', 'execute') and has_schema_privilege('{role}',"
                              f" '{each['name'].split('.')[0]}', 'usage')") == "t"]
    assert mine
    statements = []
    for each in mine:
        if each["types"] == ["pg_catalog.jsonb"]:
            for argument in (ARGUMENT, f"[{ARGUMENT}]" if each["name"].endswith("leads") else "{}"):
                statements.append(f"select {each['name']}('{argument}'::pg_catalog.jsonb)")
        else:
            statements.append(f"select {each['name']}({', '.join('null::' + type for type in each['types'])})")
    _, usual = outcomes(cluster, database, role, statements)
    before = shadows(database) + ["set search_path = pg_temp, public, pg_catalog"] if how == "shadows" else SETTINGS
    made, hostile = outcomes(cluster, database, role, statements, before)
    if how == "settings" and role != "authenticated":
        # The session's own time zone and formats do not reach what is stored and replied.
        assert "ERROR" not in made, made
    for statement, one, other in zip(statements, usual, hostile, strict=True):
        assert "shadowed" not in other and normal(one) == normal(other), (statement[:200], one[:1500], other[:1500])
    done = sum("ERROR" not in result for result in usual)
    assert done >= {"authenticated": 1, "leadpipe_intake": 3, "leadpipe_worker": 5, "leadpipe_admin": 12}[role], done
    if how == "shadows":
        assert len(before) > 100 and made.count("ERROR") <= len(before) // 10, made[:3000]
        tables = [line.split()[3] for line in before if line.startswith("create temp table")]
        _, counts = outcomes(cluster, database, role, [f"select 'rows', count(*) from pg_temp.{tables[0]}"], before)
        assert counts == ["rows|0\n"]
