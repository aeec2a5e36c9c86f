-- Waits until no other transaction merges or erases persons, and keeps them out until the end of this one. Must be called
-- before any other row is locked.
create or replace function leadpipe.lock_persons() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into leadpipe.person_lock default values on conflict do nothing;
  perform from leadpipe.person_lock for update;
end
$$;
revoke all on function leadpipe.lock_persons() from public, anon, authenticated;
