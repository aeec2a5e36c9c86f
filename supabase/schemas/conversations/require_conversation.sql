-- Returns the conversation `id`. Raises LP404 if it does not exist.
create or replace function leadpipe.require_conversation(p jsonb) returns public.conversations
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  select * into c from public.conversations where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'conversation_not_found';
  end if;
  return c;
end
$$;
revoke all on function leadpipe.require_conversation(jsonb) from public, anon, authenticated;
