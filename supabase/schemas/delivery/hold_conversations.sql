-- Returns those of the conversations that still exist and that no other session has locked against new rows that
-- reference them. They are locked so until the transaction ends, as the foreign keys would, but without waiting.
create or replace function leadpipe.hold_conversations(p_ids uuid[]) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select c.id from public.conversations c where c.id = any (p_ids) order by c.id for key share skip locked);
end
$$;
revoke all on function leadpipe.hold_conversations(uuid[]) from public, anon, authenticated;
