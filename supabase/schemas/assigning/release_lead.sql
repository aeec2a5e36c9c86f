-- Keeps the automation from assigning a locked conversation again that a person has just unassigned after its deadline.
-- It stays so until somebody gets it or its deadline changes. Before the deadline nothing is recorded.
create or replace function leadpipe.release_lead(c public.conversations) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if c.first_response_at is not null or coalesce(c.sla_response_deadline > clock_timestamp(), true) then
    return;
  end if;
  insert into leadpipe.assignment_turns as t (conversation_id, quality, deadline, had_by, is_released)
  values (c.id, c.lead_quality, c.sla_response_deadline, array_remove(array[c.assigned_agent_id], null), true)
  on conflict (conversation_id) do update set
    deadline = excluded.deadline, since = null, queued_at = null, reason = null, is_released = true,
    had_by = case when t.deadline is not distinct from excluded.deadline then t.had_by else excluded.had_by end,
    moves = case when t.deadline is not distinct from excluded.deadline then t.moves else 0 end;
end
$$;
revoke all on function leadpipe.release_lead(public.conversations) from public, anon, authenticated;
