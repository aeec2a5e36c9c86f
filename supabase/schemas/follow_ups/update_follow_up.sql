-- Updates, completes or cancels a follow-up. Raises LP404 if it does not exist, LP409 if it is already completed or
-- cancelled.
create or replace function public.update_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_conversation uuid;
  f record;  -- before
  n record;  -- after
begin
  p := leadpipe.authorize(p, 'write');
  if p ? 'assignedAgentId' then
    perform leadpipe.lock_agent((p ->> 'assignedAgentId')::uuid);
  end if;
  select conversation_id into v_conversation from public.follow_up_tasks where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'follow_up_not_found';
  end if;
  perform leadpipe.lock_conversation(jsonb_build_object('id', v_conversation));
  select * into f from public.follow_up_tasks where id = (p ->> 'id')::uuid for no key update;
  if f.status in ('completed', 'cancelled') then
    raise exception using errcode = 'LP409', message = 'follow_up_closed', detail = jsonb_build_object('status', f.status);
  end if;
  update public.follow_up_tasks t set
    status = case
      when p ? 'status' then (p ->> 'status')::public.follow_up_status
      when t.status = 'overdue' and p ? 'followUpDate' then 'scheduled' else t.status end,
    completed_at = case when p ->> 'status' = 'completed' then clock_timestamp() end,
    follow_up_date = coalesce((p ->> 'followUpDate')::timestamptz, t.follow_up_date),
    reminder_type = coalesce(p ->> 'reminderType', t.reminder_type),
    reminder_text = coalesce(leadpipe.to_nfc(p ->> 'reminderText'), t.reminder_text),
    priority = coalesce(p ->> 'priority', t.priority),
    notify_customer = coalesce((p ->> 'notifyCustomer')::boolean, t.notify_customer),
    assigned_agent_id = coalesce((p ->> 'assignedAgentId')::uuid, t.assigned_agent_id),
    notes = coalesce(leadpipe.to_nfc(p ->> 'notes'), t.notes)
  where t.id = f.id returning * into n;
  -- A reminder that still waits would be false.
  if n.status in ('completed', 'cancelled') or n.follow_up_date <> f.follow_up_date or n.assigned_agent_id is distinct from f.assigned_agent_id then
    perform leadpipe.cancel_reminders(v_conversation, n.id, case when n.status in ('completed', 'cancelled')
      then 'cancelled: the follow-up was ' || n.status when n.follow_up_date <> f.follow_up_date then 'cancelled: the follow-up was moved'
      else 'cancelled: the follow-up has another agent' end);
  end if;
  if n.status = 'completed' then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'follow_up_completed',
      leadpipe.follow_up_title(n.reminder_type, null) || ' completed', n.notes,
      'lead.follow_up_completed', jsonb_build_object('followUpId', n.id));
  elsif n.status = 'cancelled' then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'note_added',
      leadpipe.follow_up_title(n.reminder_type, null) || ' cancelled', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id));
  elsif n.follow_up_date <> f.follow_up_date then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'follow_up_scheduled', 'Rescheduled: ' || leadpipe.follow_up_title(n.reminder_type, n.follow_up_date),
      n.notes, 'lead.follow_up_scheduled', jsonb_build_object('followUpId', n.id, 'followUpDate', leadpipe.iso8601(n.follow_up_date),
        'before', leadpipe.iso8601(f.follow_up_date)));
  elsif (n.status, n.reminder_type, n.reminder_text, n.priority, n.assigned_agent_id, n.notes)
    is distinct from (f.status, f.reminder_type, f.reminder_text, f.priority, f.assigned_agent_id, f.notes) then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'note_added',
      leadpipe.follow_up_title(n.reminder_type, n.follow_up_date) || ' changed', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id, 'status', n.status, 'priority', n.priority, 'assignedAgentId', n.assigned_agent_id));
  end if;
  return leadpipe.follow_up_document(to_jsonb(n));
end
$$;
revoke all on function public.update_follow_up(jsonb) from public, anon, authenticated;
grant execute on function public.update_follow_up(jsonb) to leadpipe_admin, service_role;
