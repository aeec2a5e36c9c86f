-- Sets a conversation's follow_up_date to the time of its earliest open follow-up, or to null. Locks the conversation
-- first: of two changes at once, the second sees the follow-ups of the first.
create or replace function leadpipe.update_next_follow_up(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform from public.conversations c where c.id = p_conversation for no key update;
  update public.conversations c set follow_up_date = next.date
  from (select min(f.follow_up_date) as date from public.follow_up_tasks f
        where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue')) next
  where c.id = p_conversation and c.follow_up_date is distinct from next.date;
end
$$;
revoke all on function leadpipe.update_next_follow_up(uuid) from public, anon, authenticated;

-- Keeps the follow_up_date of conversations true, whoever changes their follow-ups. Has its owner's privileges, because
-- a client of the REST interface may write follow-ups and may not call functions of schema leadpipe.
create or replace function leadpipe.follow_up_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'DELETE' then
    perform leadpipe.update_next_follow_up(new.conversation_id);
  end if;
  if tg_op = 'DELETE' or tg_op = 'UPDATE' and old.conversation_id <> new.conversation_id then
    perform leadpipe.update_next_follow_up(old.conversation_id);
  end if;
  return null;
end
$$;
revoke all on function leadpipe.follow_up_changed() from public, anon, authenticated;

create or replace trigger follow_up_tasks_next after insert or delete on public.follow_up_tasks
  for each row execute function leadpipe.follow_up_changed();
create or replace trigger follow_up_tasks_next_changed after update on public.follow_up_tasks
  for each row when (
    old.conversation_id is distinct from new.conversation_id or old.follow_up_date is distinct from new.follow_up_date
    or (old.status in ('completed', 'cancelled')) is distinct from (new.status in ('completed', 'cancelled')))
  execute function leadpipe.follow_up_changed();
