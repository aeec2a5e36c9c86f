-- Returns the reply to every change: the current conversation and its version.
create or replace function leadpipe.conversation_reply(p_id uuid, p jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('version', leadpipe.conversation_version(c), 'conversation', leadpipe.conversation_document(c, p)
    || jsonb_build_object('metadata', leadpipe.shown(c.metadata)))
  from public.conversations c where c.id = p_id
$$;
revoke all on function leadpipe.conversation_reply(uuid, jsonb) from public, anon, authenticated;
