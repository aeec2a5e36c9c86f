-- True if nothing has happened to a closed lead since a time: no change, no message, no open follow-up for a later day.
create or replace function leadpipe.is_unused_since(p_id uuid, p_since timestamptz) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (
    select from public.conversations c
    where c.id = p_id and (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam') and c.created_at < p_since and c.updated_at < p_since)
    or exists (select from public.chat_messages m where m.conversation_id = p_id and m.created_at >= p_since) then
    return false;
  end if;
  -- The clean-up drops this table.
  return to_regclass('public.follow_up_tasks') is null or not exists (
    select from public.follow_up_tasks f
    where f.conversation_id = p_id and f.status not in ('completed', 'cancelled') and f.follow_up_date >= p_since);
end
$$;
revoke all on function leadpipe.is_unused_since(uuid, timestamptz) from public, anon, authenticated;
