-- Follow-ups that an agent has promised a customer.

create index if not exists follow_up_tasks_conversation_id_idx on public.follow_up_tasks (conversation_id);
create index if not exists follow_up_tasks_assigned_agent_id_idx on public.follow_up_tasks (assigned_agent_id);
create index if not exists follow_up_tasks_open_idx on public.follow_up_tasks (follow_up_date)
  where status in ('scheduled', 'in_progress');
create index if not exists follow_up_tasks_date_idx on public.follow_up_tasks (follow_up_date, id);
comment on table public.follow_up_tasks is 'Follow-ups that an agent has promised a customer.';

-- Schedules a follow-up. Without `assignedAgentId`, it is assigned to the conversation's agent.
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
  insert into public.follow_up_tasks (conversation_id, assigned_agent_id, follow_up_date, reminder_type, reminder_text, priority)
  values (c.id, v_agent, (p ->> 'followUpDate')::timestamptz,
    p ->> 'reminderType', leadpipe.to_nfc(p ->> 'reminderText'), coalesce(p ->> 'priority', 'medium'))
  returning * into f;
  perform leadpipe.update_next_follow_up(c.id);
  perform leadpipe.record_activity(c.id, p ->> 'by', 'follow_up_scheduled', leadpipe.follow_up_title(f.reminder_type, f.follow_up_date), f.reminder_text,
    'lead.follow_up_scheduled', jsonb_build_object('followUpId', f.id, 'followUpDate', leadpipe.iso8601(f.follow_up_date),
      'reminderType', f.reminder_type, 'priority', f.priority));
  return leadpipe.follow_up_document(to_jsonb(f));
end
$$;
revoke all on function public.create_follow_up(jsonb) from public, anon, authenticated;
grant execute on function public.create_follow_up(jsonb) to leadpipe_admin, service_role;

-- Returns the title of a follow-up in the timeline.
create or replace function leadpipe.follow_up_title(p_type text, p_date timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('Follow-up by %s', case p_type when 'call' then 'phone' when 'email' then 'email' when 'sms' then 'SMS' else 'WhatsApp' end)
    || coalesce(' on ' || to_char(p_date at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), '')
$$;
revoke all on function leadpipe.follow_up_title(text, timestamptz) from public, anon, authenticated;

-- Returns a follow-up as shown in the admin interface. Takes the row as jsonb; see delivery_document. An open follow-up
-- whose time has passed is shown as overdue, whatever the status in its row.
create or replace function leadpipe.follow_up_document(f jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', f -> 'id', 'conversationId', f -> 'conversation_id',
    'customerName', (select c.customer_name from public.conversations c where c.id = (f ->> 'conversation_id')::uuid),
    'assignedAgentId', f -> 'assigned_agent_id',
    'assignedAgentName', (select a.name from public.agents a where a.id = (f ->> 'assigned_agent_id')::uuid),
    'followUpDate', leadpipe.iso8601((f ->> 'follow_up_date')::timestamptz), 'reminderType', f -> 'reminder_type',
    'reminderText', f -> 'reminder_text', 'priority', f -> 'priority',
    'status', case when f ->> 'status' in ('scheduled', 'in_progress') and (f ->> 'follow_up_date')::timestamptz < now()
                   then 'overdue' else f ->> 'status' end,
    'notes', f -> 'notes', 'completedAt', leadpipe.iso8601((f ->> 'completed_at')::timestamptz),
    'createdAt', leadpipe.iso8601((f ->> 'created_at')::timestamptz), 'updatedAt', leadpipe.iso8601((f ->> 'updated_at')::timestamptz))
$$;
revoke all on function leadpipe.follow_up_document(jsonb) from public, anon, authenticated;

-- Lists follow-ups, earliest first, filtered by `status`, `assignedAgentId`, `conversationId`, `from` and `to` (the due
-- time).
create or replace function public.list_follow_ups(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_limit integer;
  v_after jsonb;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  v_limit := coalesce((p ->> 'limit')::integer, 50);
  v_after := leadpipe.cursor_position('follow-ups', p ->> 'cursor');
  v_found := array(
    select f.id from public.follow_up_tasks f
    where (p -> 'status' is null
        or case when f.status in ('scheduled', 'in_progress') and f.follow_up_date < now() then 'overdue' else f.status::text end
           in (select jsonb_array_elements_text(p -> 'status')))
      and (p -> 'status' is distinct from '["overdue"]' or f.follow_up_date < now())  -- for the index
      and (p ->> 'assignedAgentId' is null or f.assigned_agent_id = (p ->> 'assignedAgentId')::uuid)
      and (p ->> 'conversationId' is null or f.conversation_id = (p ->> 'conversationId')::uuid)
      and (p ->> 'from' is null or f.follow_up_date >= (p ->> 'from')::timestamptz)
      and (p ->> 'to' is null or f.follow_up_date < (p ->> 'to')::timestamptz)
      and (v_after is null or (f.follow_up_date, f.id) > ((v_after ->> 'at')::timestamptz, (v_after ->> 'id')::uuid))
    order by f.follow_up_date, f.id limit v_limit + 1);
  return jsonb_build_object('limit', v_limit,
    'data', (select coalesce(jsonb_agg(leadpipe.follow_up_document(to_jsonb(f)) order by f.follow_up_date, f.id), '[]')
             from public.follow_up_tasks f where f.id = any (v_found[:v_limit])),
    'nextCursor', (select leadpipe.row_cursor('follow-ups', f.follow_up_date, f.id) from public.follow_up_tasks f
                   where f.id = v_found[v_limit] and cardinality(v_found) > v_limit));
end
$$;
revoke all on function public.list_follow_ups(jsonb) from public, anon, authenticated;
grant execute on function public.list_follow_ups(jsonb) to leadpipe_admin, service_role;

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
    assigned_agent_id = coalesce((p ->> 'assignedAgentId')::uuid, t.assigned_agent_id),
    notes = coalesce(leadpipe.to_nfc(p ->> 'notes'), t.notes)
  where t.id = f.id returning * into n;
  perform leadpipe.update_next_follow_up(v_conversation);
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

-- Sets a conversation's follow_up_date to the time of its next open follow-up.
create or replace function leadpipe.update_next_follow_up(p_conversation uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update public.conversations c set follow_up_date = next.date
  from (select min(f.follow_up_date) as date from public.follow_up_tasks f
        where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue')) next
  where c.id = p_conversation and c.follow_up_date is distinct from next.date
$$;
revoke all on function leadpipe.update_next_follow_up(uuid) from public, anon, authenticated;

-- Marks open follow-ups whose time has passed as overdue, and returns their number.
create or replace function public.update_overdue_follow_ups() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_count integer;
begin
  update public.follow_up_tasks set status = 'overdue'
  where status in ('scheduled', 'in_progress') and follow_up_date < now();
  get diagnostics v_count = row_count;
  return v_count;
end
$$;
revoke all on function public.update_overdue_follow_ups() from public, anon, authenticated;
grant execute on function public.update_overdue_follow_ups() to service_role;
