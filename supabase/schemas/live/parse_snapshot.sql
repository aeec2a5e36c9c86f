-- Parses a snapshot from a cursor. Returns null if the string is not a snapshot.
create or replace function leadpipe.parse_snapshot(p text) returns pg_snapshot
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- The input function of the type accepts spaces and signs.
  return case when p ~ '^[0-9]+:[0-9]+:([0-9]+(,[0-9]+)*)?$' then p::pg_snapshot end;
exception when data_exception then
  return null;
end
$$;
revoke all on function leadpipe.parse_snapshot(text) from public, anon, authenticated;
