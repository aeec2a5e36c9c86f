-- A snapshot as it stands in a cursor; null where it is none.
create or replace function leadpipe.parse_snapshot(p text) returns pg_snapshot
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- The type's own reader passes over blanks and signs.
  return case when p ~ '^[0-9]+:[0-9]+:([0-9]+(,[0-9]+)*)?$' then p::pg_snapshot end;
exception when data_exception then
  return null;
end
$$;
revoke all on function leadpipe.parse_snapshot(text) from public;
