"""The database's definition: schemas/ and the migrations make the same database, and every function follows the
rules."""

import re
import shutil
from collections import Counter
from itertools import count

import pytest

import calls
import database as databases
import migration
import statements
from common import REPO

# Functions that the planner has to inline. Each is a single query and qualifies every name with its schema.
INLINED = {
    "event_notifies", "exact_term", "iso8601", "lead_fields", "lead_identifiers", "merge_text", "message_fields",
    "quote_lexeme", "shown", "sla_state", "spam_metadata", "to_nfc", "uuid_v7"}
NUMBERS = count(1)


@pytest.fixture(scope="module")
def make(cluster):
    """Creates a database from files."""
    return lambda files: databases.create(f"schema{next(NUMBERS)}", files, PGHOST=str(cluster.home), PGUSER="leadpipe")


@pytest.fixture(scope="module")
def migrated(make):
    return make(migration.migrations())


def test_migrations_and_schemas_make_the_same_database(make, migrated):
    left = migration.unlike(migrated, make(statements.ordered()))
    assert not left, "`make migration NAME=…` writes what is missing:\n" + "\n".join(left)


def test_adopting_migration_lists_every_table(migrated):
    """A website's function or view over a table that is not listed would keep its access."""
    adopt = next(path for path in migration.migrations() if path.stem.endswith("adopt_existing_database")).read_text()
    known = re.findall(r"create table leadpipe_adopt\.(\w+)", adopt) + re.findall(r"'(\w+)'", re.search(r"unnest\(array\[.*?]\)", adopt, re.S)[0])
    there = migrated.rows("select relname from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace")
    assert sorted(known) == sorted(row["relname"] for row in there)


def test_each_function_is_defined_once(migrated):
    defined = Counter(each.function for each in migration.source() if each.function)
    assert [name for name, times in defined.items() if times > 1] == []
    there = {row["name"] for row in migrated.rows(
        "select format('%s.%s', nspname, proname) as name from pg_proc p join pg_namespace n on n.oid = pronamespace"
        " where nspname in ('public', 'leadpipe')")}
    assert set(defined) == there


def test_every_function_sets_its_search_path(migrated):
    without = {row["proname"] for row in migrated.rows(
        "select proname from pg_proc where pronamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)"
        " and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false)")}
    assert without == INLINED


def test_functions_without_search_path_qualify_every_name(migrated, tmp_path):
    """A schema that the caller puts first in the path must not change what they do. PostgreSQL parses the body of an
    SQL function when it is created."""
    made = migrated.rows(f"select pg_get_functiondef(oid) as text from pg_proc where proname = any ('{{{','.join(INLINED)}}}')")
    assert len(made) == len(INLINED)
    script = tmp_path / "inlined.sql"
    script.write_text("set local search_path = pg_catalog;\n" + "".join(f"{each['text']};\n" for each in made))
    migrated.load([script])


def test_no_index_has_what_finishes_an_event(migrated):
    """An index with such a column, also in its condition, makes that update write new entries into all indexes."""
    columns = migrated.rows("""select distinct attname from pg_depend join pg_index on indexrelid = objid
        join pg_attribute on attrelid = refobjid and attnum = refobjsubid
        where classid = 'pg_class'::regclass and refclassid = 'pg_class'::regclass and refobjid = 'public.lead_events'::regclass""")
    there = {row["attname"] for row in columns}
    assert {"created_at", "planned_at"} <= there
    assert not there & {"processed", "processed_at", "retry_count", "last_error", "updated_at"}


def test_each_function_has_a_comment_and_its_grants():
    for path in statements.SCHEMAS.rglob("*.sql"):
        there = statements.split(path.read_text())
        for number, each in enumerate(there):
            if found := statements.FUNCTION.match(each.text):
                beneath = " ".join(each.text for each in there[number + 1:number + 3])
                assert each.comment, found[1]
                assert f"revoke all on function {found[1]}(" in beneath, found[1]
                assert found[1].startswith("leadpipe.") or f"grant execute on function {found[1]}(" in beneath, found[1]


def unconditional(body):
    """The UPDATE and DELETE statements in a function's body without a WHERE of their own. The safeupdate extension
    rejects them."""
    body = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "''", body)
    for found in re.finditer(r"(?<!for )(?<!no key )(?<!do )\bupdate\s+(?=[\w.]+\s+(?:\w+\s+)?set\b)|\bdelete\s+from\b", body):
        depth, own = 0, ""
        for character in body[found.start():]:
            depth += (character == "(") - (character == ")")
            if depth < 0 or (depth == 0 and character == ";"):
                break
            own += character if depth == 0 else ""
        if not re.search(r"\bwhere\b", own):
            yield own


def test_every_update_and_delete_has_a_condition(migrated):
    assert list(unconditional("begin delete from a; update b set c = (select 1 where true); end")) != []
    assert len(list(unconditional("delete from a; update b set c = (select 1 where true);"))) == 2
    assert list(unconditional("delete from a where b in (select c) returning 1; select d for update; update e f set g = 1 where h;")) == []
    for row in migrated.rows("select proname, prosrc from pg_proc where pronamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)"):
        assert list(unconditional(row["prosrc"])) == [], row["proname"]


@pytest.mark.parametrize("path", migration.migrations(), ids=lambda path: path.stem)
def test_migration_can_run_as_one_transaction(path):
    """The rules of `supabase db push` and of the dashboard's editor. supabase/tests/migrations.sh runs each file
    twice."""
    words = [each.text.lower() for each in statements.split(path.read_text())]
    assert not [text for text in words if re.match(r"begin\b|start transaction\b|commit\b|rollback\b|\\|vacuum\b|set local\b", text) or "concurrently" in text]
    added = {value for text in words for value in re.findall(r"add value if not exists ('[^']+')", text)}
    used = [text for text in words if "add value" not in text and any(value in text for value in added)]
    assert used == []


NEW_TABLE = """
-- A table of the test's.
create table public.visits (
  id uuid constraint visits_pkey primary key default gen_random_uuid(),
  agent_id uuid constraint visits_agent_id_fkey references public.agents (id),
  updated_at timestamptz not null default now()
);
create index visits_agent_id_idx on public.visits (agent_id);
create or replace trigger visits_updated_at before update on public.visits
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.visits');
comment on table public.visits is 'It''s new.';
comment on column public.visits.agent_id is 'Whose.';
"""
NEW_FUNCTION = """
create or replace function public.visit_count(p jsonb) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('count', count(*)) from public.visits
$$;
revoke all on function public.visit_count(jsonb) from public, anon, authenticated;
grant execute on function public.visit_count(jsonb) to leadpipe_admin, service_role;
"""


def versions(folder):
    return [path.name.split("_")[0] for path in migration.migrations(folder)]


def rolled_back(path):
    return re.findall(r"'(\d{14})'", path.read_text())


@pytest.fixture
def edited(tmp_path):
    """Copies of schemas/ and migrations/, and a function that replaces text in a file of schemas/."""
    schemas, folder = tmp_path / "schemas", tmp_path / "migrations"
    shutil.copytree(statements.SCHEMAS, schemas)
    shutil.copytree(REPO / "supabase" / "migrations", folder)
    shutil.copytree(REPO / "supabase" / "rollback", tmp_path / "rollback")

    def edit(name, old, new):
        text = (schemas / name).read_text()
        assert old in text
        (schemas / name).write_text(text.replace(old, new, 1))

    return schemas, folder, edit


def test_make_migration_writes_all_changes(make, edited):
    schemas, folder, edit = edited
    edit("types.sql", "'lead.receipt'", "'lead.receipt', 'agent.visited'")
    edit("agents/tables.sql", "photo_url text,", "photo_url text,\n  rank integer not null default 1\n    constraint agents_rank_check check (rank > 0),")
    edit("agents/tables.sql", "create or replace trigger", "create index agents_rank_idx on public.agents (rank) where rank > 1;\ncreate or replace trigger")
    edit("agents/tables.sql", "max_capacity integer not null default 15", "max_capacity integer default 20")
    edit("agents/agent_document.sql", "'name', a.name,", "'name', a.name, 'rank', a.rank,")
    edit("follow_ups/tables.sql", "create index follow_up_tasks_date_idx on public.follow_up_tasks (follow_up_date, id);\n", "")
    edit("follow_ups/tables.sql", "('high', 'medium', 'low')", "('high', 'medium', 'low', 'none')")
    edit("operations/prune.sql", "to leadpipe_worker,", "to leadpipe_worker, leadpipe_admin,")
    edit("access/tables.sql", "once a minute", "once an hour")
    (schemas / "delivery" / "retry_delivery.sql").unlink()
    (schemas / "agents" / "visits.sql").write_text(NEW_TABLE + NEW_FUNCTION)

    now = make(migration.migrations(folder))
    paths, left = migration.write("visits", now, make(statements.ordered(schemas)), folder, schemas)
    assert left == []
    assert [path.name.split("_", 1)[1] for path in paths] == ["visits_values.sql", "visits.sql"]
    text = paths[1].read_text()
    assert "drop function if exists public.retry_delivery(jsonb);" in text and "capture_lead" not in text
    assert rolled_back(next((folder.parent / "rollback").iterdir())) == versions(folder)[2:]
    # The new migrations after the earlier ones make the same database from the beginning.
    assert migration.unlike(make(migration.migrations(folder)), make(statements.ordered(schemas))) == []


@pytest.mark.parametrize("name, old, new, named", [
    ("agents/tables.sql", "  photo_url text,\n", "", "photo_url"),
    ("agents/tables.sql", "phone text,", "phone varchar(20),", "phone"),
    ("types.sql", "'whatsapp', ", "", "whatsapp")])
def test_make_migration_names_what_it_cannot_write(make, migrated, edited, name, old, new, named):
    schemas, folder, edit = edited
    edit(name, old, new)
    _, left = migration.write("by_hand", make(migration.migrations(folder)), make(statements.ordered(schemas)), folder, schemas)
    assert named in "\n".join(left)


def test_make_migration_writes_nothing_without_changes(make, migrated, edited):
    schemas, folder, _ = edited
    assert migration.write("nothing", migrated, make(statements.ordered(schemas)), folder, schemas) == ([], [])


def test_the_executables_of_each_recorded_release_can_make_their_calls(migrated):
    """With the arguments, results and roles of then; new functions, and new roles for an old one, do no harm."""
    there = {call.rsplit(" ", 1)[0]: set(call.rsplit(" ", 1)[1].split(",")) for call in calls.calls(migrated.rows)}
    releases = sorted((REPO / "supabase" / "releases").glob("*.txt"))
    assert releases
    for release in releases:
        lines = release.read_text().splitlines()
        assert len(lines) > 50
        for line in lines:
            call, roles = line.rsplit(" ", 1)
            assert set(roles.split(",")) <= there.get(call, set()), f"{release.stem} needs {line}"


def test_rollback_names_every_migration_of_the_event_system():
    """It leaves the ledger rows of other projects' migrations alone; 20251219000001 may be one of them."""
    rollback = REPO / "supabase" / "rollback" / "20251219000001_event_driven_lead_architecture.sql"
    assert rolled_back(rollback) == versions(REPO / "supabase" / "migrations")[2:]
