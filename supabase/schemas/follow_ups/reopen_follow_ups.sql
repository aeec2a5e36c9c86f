-- Lets the agent of a locked conversation that is reopened be reminded of the follow-ups whose time has passed while it was
-- closed. Those that the agent has been reminded of before are not repeated: their events exist.
create or replace function leadpipe.reopen_follow_ups(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops this table.
  if to_regclass('public.follow_up_tasks') is not null then
    update public.follow_up_tasks f set reminded_for = null
    where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is not null;
  end if;
end
$$;
revoke all on function leadpipe.reopen_follow_ups(uuid) from public, anon, authenticated;
