-- Returns the value of a conversation's ETag. It changes with each change of the row.
create or replace function leadpipe.conversation_version(c public.conversations) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select to_hex((extract(epoch from c.updated_at) * 1000000)::bigint)
$$;
revoke all on function leadpipe.conversation_version(public.conversations) from public, anon, authenticated;
