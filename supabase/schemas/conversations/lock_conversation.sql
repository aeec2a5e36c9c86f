-- Returns the conversation `id`, locked until the transaction ends. Raises LP404 if it does not exist, LP412 if it has
-- changed since the client read one of `versions`.
create or replace function leadpipe.lock_conversation(p jsonb) returns public.conversations
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  select * into c from public.conversations where id = (p ->> 'id')::uuid for no key update;
  if not found then
    raise exception using errcode = 'LP404', message = 'conversation_not_found';
  elsif not (p -> 'versions') ? leadpipe.conversation_version(c) then
    raise exception using errcode = 'LP412', message = 'conversation_changed';
  end if;
  return c;
end
$$;
revoke all on function leadpipe.lock_conversation(jsonb) from public, anon, authenticated;
