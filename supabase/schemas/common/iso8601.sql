-- Formats a time as in the API: UTC, with milliseconds.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.iso8601(p_time timestamptz) returns text language sql stable as
  $$ select pg_catalog.to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
revoke all on function leadpipe.iso8601(timestamptz) from public, anon, authenticated;
