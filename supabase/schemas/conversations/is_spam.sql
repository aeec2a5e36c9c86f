-- True if a conversation is kept aside as spam: nothing is sent about it.
create or replace function leadpipe.is_spam(p_conversation uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from public.conversations c where c.id = p_conversation and c.status = 'spam')
$$;
revoke all on function leadpipe.is_spam(uuid) from public, anon, authenticated;
