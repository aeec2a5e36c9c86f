-- A snapshot from a cursor; null where the text is no snapshot.
create or replace function leadpipe.parse_snapshot(p text) returns pg_snapshot
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- The type's own input function accepts blanks and signs.
  return case when p ~ '^[0-9]+:[0-9]+:([0-9]+(,[0-9]+)*)?$' then p::pg_snapshot end;
exception when data_exception then
  return null;
end
$$;
revoke all on function leadpipe.parse_snapshot(text) from public, anon, authenticated;
