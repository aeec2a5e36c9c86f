-- Formats a time as in the API: UTC, with milliseconds. Null for a time that ISO 8601 cannot express: infinity, a year
-- before 1 or after 9999.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.iso8601(p_time timestamptz) returns text language sql stable as
  $$ select case when p_time >= '0001-01-01 00:00Z' and p_time < '9999-12-31 24:00Z' then
    pg_catalog.to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end $$;
revoke all on function leadpipe.iso8601(timestamptz) from public, anon, authenticated;
