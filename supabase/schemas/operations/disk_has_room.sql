-- Returns false if the database's disk is full: a set that does not fit into work_mem is written to a temporary file.
create or replace function leadpipe.disk_has_room() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64kB' as $$
begin
  perform count(*) from generate_series(1, 4000);
  return true;
exception when disk_full then
  return false;
end
$$;
revoke all on function leadpipe.disk_has_room() from public, anon, authenticated;
