-- Gives the open follow-ups of a locked conversation that were its agent's to another agent, who is locked too, or to none.
-- Reminders that have not been sent go to the new agent.
create or replace function leadpipe.move_follow_ups(c public.conversations, p_agent uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[];
  v_id uuid;
begin
  -- The clean-up drops this table.
  if c.assigned_agent_id is null or c.assigned_agent_id = p_agent or to_regclass('public.follow_up_tasks') is null then
    return;
  end if;
  v_ids := array(
    select f.id from public.follow_up_tasks f
    where f.conversation_id = c.id and f.assigned_agent_id = c.assigned_agent_id
      and f.status in ('scheduled', 'in_progress', 'overdue')
    order by f.id for no key update);
  update public.follow_up_tasks f set assigned_agent_id = p_agent where f.id = any (v_ids);
  foreach v_id in array v_ids loop
    perform leadpipe.cancel_reminders(c.id, v_id, 'cancelled: the follow-up has another agent');
  end loop;
end
$$;
revoke all on function leadpipe.move_follow_ups(public.conversations, uuid) from public, anon, authenticated;
