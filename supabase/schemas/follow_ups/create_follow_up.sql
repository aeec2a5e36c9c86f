-- Schedules a follow-up. Without `assignedAgentId`, it is assigned to the conversation's agent. A trigger keeps the
-- conversation's follow_up_date true.
--
-- All functions that work with leads take locks in one order: the agent, then conversations by id, then follow-ups by
-- id. Writing a row that references an agent also locks the agent's row.
create or replace function public.create_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_agent uuid;
  c public.conversations;
  f record;
begin
  p := leadpipe.authorize(p, 'write');
  if p ? 'assignedAgentId' then
    v_agent := (leadpipe.lock_agent((p ->> 'assignedAgentId')::uuid)).id;
  else
    -- The conversation's current agent; null if the agent is deleted at the same time.
    select a.id into v_agent from public.agents a
    where a.id = (select s.assigned_agent_id from public.conversations s where s.id = (p ->> 'id')::uuid) for key share;
  end if;
  c := leadpipe.lock_conversation(p);
  insert into public.follow_up_tasks (conversation_id, assigned_agent_id, follow_up_date, reminder_type, reminder_text, priority, notify_customer)
  values (c.id, v_agent, (p ->> 'followUpDate')::timestamptz,
    p ->> 'reminderType', leadpipe.to_nfc(p ->> 'reminderText'), coalesce(p ->> 'priority', 'medium'), coalesce((p ->> 'notifyCustomer')::boolean, false))
  returning * into f;
  perform leadpipe.record_activity(c.id, p ->> 'by', 'follow_up_scheduled', leadpipe.follow_up_title(f.reminder_type, f.follow_up_date), f.reminder_text,
    'lead.follow_up_scheduled', jsonb_build_object('followUpId', f.id, 'followUpDate', leadpipe.iso8601(f.follow_up_date),
      'reminderType', f.reminder_type, 'priority', f.priority));
  return leadpipe.follow_up_document(to_jsonb(f));
end
$$;
revoke all on function public.create_follow_up(jsonb) from public, anon, authenticated;
grant execute on function public.create_follow_up(jsonb) to leadpipe_admin, service_role;
