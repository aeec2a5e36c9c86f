#!/bin/bash
# Tests the migrations as a whole, on a separate database: run twice, after the checklist's four DROP TABLEs, after our
# rollback, by an owner that is not a superuser, and twenty times at once. The schema must be the same each time.
# Usage: migrations.sh        (PGHOST, PGUSER as for psql; needs CREATEDB and CREATEROLE)
set -euo pipefail
cd "$(dirname "$0")/.."
db=leadpipe_migrations_$$
owner=leadpipe_owner_$$
trap 'psql -Xqd postgres -c "drop database if exists $db" -c "drop owned by $owner" -c "drop role $owner" >/dev/null 2>&1 || true' EXIT
fail() { echo "not ok - $1"; exit 1; }
sql() { PGOPTIONS='-c client_min_messages=error' psql -Xq -v ON_ERROR_STOP=1 -d "$db" "$@"; }
# Sends each file as one simple query, like the dashboard's SQL editor, as an owner without superuser rights.
run() { for f in "$@"; do sql -c "set role $owner" -c "$(cat "$f")" >/dev/null; done; }
schema() { pg_dump -s -d "$db" --no-comments | grep -v -e '^--' -e '^\\' -e '^GRANT' -e '^REVOKE' | sort; }
rights() { sql -Atc "select relname, a::text from pg_class, unnest(relacl) a where relnamespace = 'public'::regnamespace union all
                     select nspname, a::text from pg_namespace, unnest(nspacl) a where nspname = 'leadpipe' union all
                     select proname, a::text from pg_proc, unnest(proacl) a
                     where pronamespace in ('public'::regnamespace, 'leadpipe'::regnamespace) order by 1, 2"; }
same() { schema | diff "/tmp/$db.schema" - >&2 && rights | diff "/tmp/$db.rights" - >&2 || fail "$1"; echo "ok - $1"; }

psql -Xqd postgres -c "create role $owner createrole" -c "create database $db owner $owner" -c "grant $owner to current_user"
run shim.sql migrations/*.sql
schema > "/tmp/$db.schema"; rights > "/tmp/$db.rights"

run shim.sql migrations/*.sql;                                       same 'run twice'
sql -c "set role $owner" -c 'DROP TABLE IF EXISTS notification_logs; DROP TABLE IF EXISTS follow_up_tasks;
        DROP TABLE IF EXISTS conversation_timeline; DROP TABLE IF EXISTS lead_events;'
run migrations/*.sql;                                                same 'after the four drops'
sql -c "set role $owner; create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text);
        insert into supabase_migrations.schema_migrations values ('20251219000000'), ('20251219000001'), ('20260101000000')"
run rollback/*.sql
[ "$(sql -Atc 'select string_agg(version, $$ $$) from supabase_migrations.schema_migrations')" = '20251219000000 20251219000001 20260101000000' ] || fail 'ledger'
sql -Atc "select capture_lead('{\"route\":\"r\",\"source\":\"s\",\"lead\":{\"customerName\":\"A\"}}') ->> 'outcome'" | grep -qx created || fail 'capture after rollback'
sql -Atc "select health_report() ->> 'workerLastSeen' is null" | grep -qx t || fail 'health after rollback'
run rollback/*.sql
run migrations/*.sql
sql -c 'drop schema supabase_migrations cascade';                    same 'after our rollback, twice'
sql -Atc "select capture_lead('{\"route\":\"r\",\"source\":\"s\",\"lead\":{\"customerName\":\"A\"}}') ->> 'eventId' is not null" | grep -qx t || fail 'events are back'
echo 'ok - events are back'

# With an advisory lock, as `leadpipe migrate` takes it.
for i in $(seq 20); do
  files=(); for f in migrations/*.sql; do files+=(-c "$(cat "$f")"); done
  sql -c 'select pg_advisory_lock(7031)' -c "set role $owner" -c "$(cat shim.sql)" "${files[@]}" >/dev/null &
  pids[i]=$!
done
for p in "${pids[@]}"; do wait "$p" || fail 'twenty at once'; done;  same 'twenty at once'
rm -f "/tmp/$db.schema" "/tmp/$db.rights"
