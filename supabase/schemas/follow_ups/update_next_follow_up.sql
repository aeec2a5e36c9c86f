-- Sets a conversation's follow_up_date to the time of its next open follow-up.
create or replace function leadpipe.update_next_follow_up(p_conversation uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update public.conversations c set follow_up_date = next.date
  from (select min(f.follow_up_date) as date from public.follow_up_tasks f
        where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue')) next
  where c.id = p_conversation and c.follow_up_date is distinct from next.date
$$;
revoke all on function leadpipe.update_next_follow_up(uuid) from public, anon, authenticated;
