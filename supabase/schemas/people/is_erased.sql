-- True if the payload of an event was erased, so that its notifications cannot be made any more.
create or replace function leadpipe.is_erased(p_event uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as
  $$ select exists (select from public.lead_events e where e.id = p_event and e.payload ? 'erased') $$;
revoke all on function leadpipe.is_erased(uuid) from public, anon, authenticated;
