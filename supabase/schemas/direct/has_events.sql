-- True if captures can store events. While the migrations make the event tables again, lead_events lacks its newest
-- columns for a moment: the one that captures need and that was added last is looked up.
create or replace function leadpipe.has_events() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from pg_attribute a where a.attrelid = to_regclass('public.lead_events') and a.attname = 'request_id' and not a.attisdropped)
$$;
revoke all on function leadpipe.has_events() from public, anon, authenticated;
