-- What people do with leads: change, answer, assign, follow up; and the agents who do it. Each change, its event and its entry in the
-- timeline are one transaction. Additive, and may be run again as a whole at any time.
-- Locks are taken in one order: the agent, then conversations by id, then follow-ups.

-- ── Small parts ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- Writes what happened to a conversation into its timeline, and emits the event where there is one.
create or replace function public.tell(
  p_conversation uuid, p_by text, p_entry text, p_title text, p_description text default null, p_event text default null,
  p_facts jsonb default '{}') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform public.add_timeline_entry(p_conversation, p_entry::public.timeline_event_type, p_title, nullif(p_description, ''),
    'agent', null, p_by, p_facts);
  if p_event is not null then
    perform public.emit_lead_event(p_event::public.lead_event_type, p_conversation, p_facts || jsonb_build_object('by', p_by));
  end if;
end
$$;

-- The agent `p_id`, held until the transaction ends; LP404 where there is none.
create or replace function public.held_agent(p_id uuid) returns public.agents
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  select * into a from public.agents where id = p_id for no key update;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no such agent';
  end if;
  return a;
end
$$;

-- The same for the conversation `id` of the argument. `version` is what the client has seen: where it has changed since, LP412.
create or replace function public.held_conversation(p jsonb) returns public.conversations
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  select * into c from public.conversations where id = (p ->> 'id')::uuid for no key update;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no such conversation';
  elsif p ->> 'version' <> public.conversation_version(c) then
    raise exception using errcode = 'LP412', message = 'somebody else has changed this conversation meanwhile';
  end if;
  return c;
end
$$;

-- How many conversations an agent has open.
create or replace function public.agent_load(p_id uuid) returns bigint language sql stable as $$
  select count(*) from public.conversations c where c.assigned_agent_id = p_id and c.status in ('new', 'in-progress')
$$;

create or replace function public.agent_document(a public.agents) returns jsonb language sql stable as $$
  select jsonb_build_object('id', a.id, 'name', a.name, 'email', a.email, 'phone', a.phone, 'department', a.department,
    'status', a.status, 'maxCapacity', a.max_capacity, 'openConversations', public.agent_load(a.id),
    'createdAt', public.iso8601(a.created_at), 'updatedAt', public.iso8601(a.updated_at))
$$;

-- A follow-up as it is shown, of its row as jsonb: an argument of the table's own type would hold on to the table. What is open and
-- past is overdue, whether or not somebody has written that down.
create or replace function public.follow_up_document(f jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('id', f -> 'id', 'conversationId', f -> 'conversation_id',
    'customerName', (select c.customer_name from public.conversations c where c.id = (f ->> 'conversation_id')::uuid),
    'assignedAgentId', f -> 'assigned_agent_id',
    'assignedAgentName', (select a.name from public.agents a where a.id = (f ->> 'assigned_agent_id')::uuid),
    'followUpDate', public.iso8601((f ->> 'follow_up_date')::timestamptz), 'reminderType', f -> 'reminder_type',
    'reminderText', f -> 'reminder_text', 'priority', f -> 'priority',
    'status', case when f ->> 'status' in ('scheduled', 'in_progress') and (f ->> 'follow_up_date')::timestamptz < now()
                   then 'overdue' else f ->> 'status' end,
    'notes', f -> 'notes', 'completedAt', public.iso8601((f ->> 'completed_at')::timestamptz),
    'createdAt', public.iso8601((f ->> 'created_at')::timestamptz), 'updatedAt', public.iso8601((f ->> 'updated_at')::timestamptz))
$$;

-- What every change answers: the conversation as it is now, and its version.
create or replace function public.conversation_answer(p_id uuid, p jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('version', public.conversation_version(c), 'conversation', public.conversation_document(c, p))
  from public.conversations c where c.id = p_id
$$;

-- ── Conversations ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- Changes a conversation that is held: `status`, `leadScore`, `leadQuality`, `tags`, `notes` (appended where `notesMode` says so),
-- `outcome`, `conversionValue`; what `clear` names becomes empty. Whether anything is other than before.
create or replace function public.change_conversation(c public.conversations, p_change jsonb, p_by text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n public.conversations := c;  -- as it shall be
  v_clear text[] := array(select jsonb_array_elements_text(p_change -> 'clear'));
  v_note text := public.nfc(p_change ->> 'notes');
  v_ranks constant text[] := '{cold,warm,hot}';
  v_closed constant text[] := '{completed,lost,converted}';
  v_event text;
begin
  n.status := coalesce(p_change ->> 'status', c.status);
  n.lead_score := coalesce((p_change ->> 'leadScore')::integer, c.lead_score);
  n.lead_quality := coalesce(p_change ->> 'leadQuality', c.lead_quality);
  if p_change ? 'tags' then
    n.tags := array(select tag from (
      select public.nfc(t) as tag, min(i) as first from jsonb_array_elements_text(p_change -> 'tags') with ordinality as sent (t, i)
      group by 1) tags order by first);
  end if;
  n.notes := case
    when 'notes' = any (v_clear) then null
    when v_note is null then c.notes
    when p_change ->> 'notesMode' = 'append' then concat_ws(E'\n', nullif(c.notes, ''), v_note)
    else v_note end;
  if length(n.notes) > 20000 then
    raise exception using errcode = 'LP400', column = 'notes', message = 'would have more than 20000 characters with this';
  end if;
  n.outcome := case when 'outcome' = any (v_clear) then null else coalesce(public.nfc(p_change ->> 'outcome'), c.outcome) end;
  n.conversion_value := case when 'conversionValue' = any (v_clear) then null
    else coalesce((p_change ->> 'conversionValue')::numeric, c.conversion_value) end;
  if n.lead_score <> c.lead_score then
    n.lead_score_breakdown := jsonb_build_object('source', 'agent', 'by', p_by, 'before',
      coalesce(c.lead_score_breakdown -> 'before', c.lead_score_breakdown));
  end if;
  -- Closed without an answer, after one was due.
  n.sla_breached := c.sla_breached
    or (n.status = any (v_closed) and c.first_response_at is null and coalesce(c.sla_response_deadline <= now(), false));
  if n is not distinct from c then
    return false;
  end if;

  update public.conversations s set
    status = n.status, lead_score = n.lead_score, lead_quality = n.lead_quality, lead_score_breakdown = n.lead_score_breakdown,
    tags = n.tags, notes = n.notes, outcome = n.outcome, conversion_value = n.conversion_value, sla_breached = n.sla_breached
  where s.id = c.id;

  if n.status <> c.status then
    v_event := case n.status when 'converted' then 'lead.converted' when 'lost' then 'lead.lost' else 'lead.updated' end;
    perform public.tell(c.id, p_by, 'status_changed',
      case n.status when 'converted' then 'Lead converted' when 'lost' then 'Lead lost'
        else format('Status changed from %s to %s', c.status, n.status) end,
      n.outcome, v_event, jsonb_build_object('from', c.status, 'to', n.status));
  end if;
  if n.lead_quality <> c.lead_quality or n.lead_score <> c.lead_score then
    perform public.tell(c.id, p_by, 'status_changed',
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'Lead qualified as ' || n.lead_quality
        when n.lead_quality <> c.lead_quality then 'Lead rated ' || n.lead_quality
        else 'Lead score changed' end,
      format('%s (%s) before, %s (%s) now', c.lead_score, c.lead_quality, n.lead_score, n.lead_quality),
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'lead.qualified' else 'lead.updated' end,
      jsonb_build_object('score', n.lead_score, 'quality', n.lead_quality, 'scoreBefore', c.lead_score, 'qualityBefore', c.lead_quality));
    v_event := 'lead.updated';
  end if;
  if n.notes is distinct from c.notes then
    perform public.tell(c.id, p_by, 'note_added',
      case when n.notes is null then 'Notes removed' when p_change ->> 'notesMode' = 'append' then 'Note added' else 'Notes changed' end, v_note);
  end if;
  if n.tags <> c.tags then
    perform public.tell(c.id, p_by, 'note_added', 'Tags changed', concat_ws('; ',
      'added: ' || nullif(array_to_string(array(select t from unnest(n.tags) t where t <> all (c.tags)), ', '), ''),
      'removed: ' || nullif(array_to_string(array(select t from unnest(c.tags) t where t <> all (n.tags)), ', '), '')));
  end if;
  if (n.outcome, n.conversion_value) is distinct from (c.outcome, c.conversion_value) and n.status = c.status then
    perform public.tell(c.id, p_by, 'note_added', 'Outcome recorded', n.outcome, null,
      jsonb_strip_nulls(jsonb_build_object('conversionValue', n.conversion_value)));
  end if;
  -- Whatever it was, whoever watches is to know.
  if v_event is null then
    perform public.emit_lead_event('lead.updated', c.id, jsonb_build_object('by', p_by));
  end if;
  return true;
end
$$;

create or replace function public.update_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := public.admitted(p, 'write');
  perform public.change_conversation(public.held_conversation(p), p, p ->> 'by');
  return public.conversation_answer((p ->> 'id')::uuid, p);
end
$$;

-- Gives a conversation that is held to an agent who is held. LP409 where the agent is full, unless `p_force`.
create or replace function public.give_conversation(
  c public.conversations, a public.agents, p_by text, p_force boolean, p_notes text default null, p_priority text default null) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_is_open boolean := c.status in ('new', 'in-progress');
begin
  if c.assigned_agent_id = a.id and p_notes is null and p_priority is null then
    return false;
  elsif v_is_open and c.assigned_agent_id is distinct from a.id and not p_force and public.agent_load(a.id) >= a.max_capacity then
    raise exception using errcode = 'LP409', message = format('%s has %s open conversations already', a.name, public.agent_load(a.id));
  end if;
  update public.conversations s set assigned_agent_id = a.id where s.id = c.id;
  perform public.tell(c.id, p_by, 'assigned', 'Assigned to ' || a.name, p_notes, 'lead.assigned', jsonb_strip_nulls(jsonb_build_object(
    'agentId', a.id, 'agentName', a.name, 'agentIdBefore', c.assigned_agent_id, 'priority', p_priority)));
  return true;
end
$$;

create or replace function public.assign_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := public.admitted(p, 'write');
  a := public.held_agent((p ->> 'agentId')::uuid);
  perform public.give_conversation(public.held_conversation(p), a, p ->> 'by', coalesce((p ->> 'force')::boolean, false),
    public.nfc(p ->> 'notes'), p ->> 'priority');
  return jsonb_build_object('status', 'assigned', 'agentId', a.id, 'agentName', a.name)
    || public.conversation_answer((p ->> 'id')::uuid, p);
end
$$;

-- One change to many: `ids`, `change` as update_conversation takes it, and `agentId` in it. What cannot be done to one is said of it, and
-- done to the others.
create or replace function public.change_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_change jsonb;
  a public.agents;
  c public.conversations;
  v_id uuid;
  v_changed boolean;
  v_results jsonb := '{}';
begin
  p := public.admitted(p, 'write');
  v_change := p -> 'change';
  if v_change ? 'agentId' then
    a := public.held_agent((v_change ->> 'agentId')::uuid);
  end if;
  for v_id in select distinct value::uuid as id from jsonb_array_elements_text(p -> 'ids') order by id loop
    begin
      c := public.held_conversation(jsonb_build_object('id', v_id));
      v_changed := public.change_conversation(c, v_change, p ->> 'by');
      if a.id is not null then
        v_changed := public.give_conversation(public.held_conversation(jsonb_build_object('id', v_id)), a, p ->> 'by',
          coalesce((v_change ->> 'force')::boolean, false)) or v_changed;
      end if;
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object('id', v_id, 'status', 200, 'changed', v_changed));
    exception when sqlstate 'LP404' or sqlstate 'LP409' or sqlstate 'LP400' then
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object(
        'id', v_id, 'status', right(sqlstate, 3)::integer, 'changed', false, 'error', sqlerrm));
    end;
  end loop;
  return jsonb_build_object(
    'changed', (select count(*) from jsonb_each(v_results) r where (r.value ->> 'changed')::boolean),
    'failed', (select count(*) from jsonb_each(v_results) r where r.value ->> 'status' <> '200'),
    -- In the order in which they were asked for.
    'results', (select jsonb_agg(v_results -> value order by first)
                from (select value, min(i) as first from jsonb_array_elements_text(p -> 'ids') with ordinality as asked (value, i)
                      group by value) asked));
end
$$;

-- An agent has answered the customer: `channel`, `message` (kept as the agent's), `agentId`. The first answer decides about the promise.
create or replace function public.respond_to_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  a public.agents;
  v_now timestamptz;
  v_is_first boolean;
  v_is_met boolean;
  v_channel text;
begin
  p := public.admitted(p, 'write');
  if p ? 'agentId' then
    a := public.held_agent((p ->> 'agentId')::uuid);
  end if;
  c := public.held_conversation(p);
  v_now := clock_timestamp();
  v_is_first := c.first_response_at is null;
  v_channel := p ->> 'channel';
  update public.conversations s set
    first_response_at = coalesce(s.first_response_at, v_now),
    sla_breached = s.sla_breached or coalesce(v_is_first and v_now > s.sla_response_deadline, false),
    status = case s.status when 'new' then 'in-progress' else s.status end
  where s.id = c.id
  returning coalesce(s.first_response_at <= s.sla_response_deadline, true) into v_is_met;
  update public.chat_messages m set is_read = true
  where m.conversation_id = c.id and m.sender = 'customer' and not m.is_read;
  if p ? 'message' then
    insert into public.chat_messages (conversation_id, sender, message_text, "timestamp", metadata)
    values (c.id, 'agent', public.nfc(p ->> 'message'), v_now,
      jsonb_strip_nulls(jsonb_build_object('channel', v_channel, 'by', p ->> 'by', 'agentId', a.id)));
  end if;
  perform public.tell(c.id, p ->> 'by',
    case v_channel when 'call' then 'call_logged' when 'email' then 'email_sent' else 'customer_contacted' end,
    case v_channel when 'call' then 'Customer called' when 'email' then 'Customer answered by e-mail'
      when 'whatsapp' then 'Customer answered by WhatsApp' when 'sms' then 'Customer answered by SMS' else 'Customer contacted' end
      || coalesce(': ' || a.name, ''),
    concat_ws(' ', p ->> 'message', case when v_is_first and c.sla_response_deadline is not null then
      case when v_is_met then '(first answer, in time)' else '(first answer, late)' end end),
    'lead.contacted', jsonb_strip_nulls(jsonb_build_object(
      'channel', v_channel, 'agentId', a.id, 'isFirst', v_is_first, 'isInTime', case when v_is_first then v_is_met end)));
  if c.status = 'new' then
    perform public.tell(c.id, p ->> 'by', 'status_changed', 'Status changed from new to in-progress', null, null,
      '{"from": "new", "to": "in-progress"}');
  end if;
  return jsonb_build_object('status', 'contacted', 'isFirst', v_is_first) || public.conversation_answer(c.id, p);
end
$$;

-- ── Follow-ups ────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The conversation shows when its next open follow-up is due.
create or replace function public.note_next_follow_up(p_conversation uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update public.conversations c set follow_up_date = next.date
  from (select min(f.follow_up_date) as date from public.follow_up_tasks f
        where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue')) next
  where c.id = p_conversation and c.follow_up_date is distinct from next.date
$$;

-- How the timeline calls a follow-up.
create or replace function public.follow_up_words(p_type text, p_date timestamptz) returns text language sql stable as $$
  select format('Follow-up by %s', case p_type when 'call' then 'telephone' when 'email' then 'e-mail' when 'sms' then 'SMS' else 'WhatsApp' end)
    || coalesce(' on ' || to_char(p_date at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), '')
$$;

create or replace function public.create_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  f record;
begin
  p := public.admitted(p, 'write');
  if p ? 'assignedAgentId' then
    perform public.held_agent((p ->> 'assignedAgentId')::uuid);
  end if;
  c := public.held_conversation(p);
  insert into public.follow_up_tasks (conversation_id, assigned_agent_id, follow_up_date, reminder_type, reminder_text, priority)
  values (c.id, coalesce((p ->> 'assignedAgentId')::uuid, c.assigned_agent_id), (p ->> 'followUpDate')::timestamptz,
    p ->> 'reminderType', public.nfc(p ->> 'reminderText'), coalesce(p ->> 'priority', 'medium'))
  returning * into f;
  perform public.note_next_follow_up(c.id);
  perform public.tell(c.id, p ->> 'by', 'follow_up_scheduled', public.follow_up_words(f.reminder_type, f.follow_up_date), f.reminder_text,
    'lead.follow_up_scheduled', jsonb_build_object('followUpId', f.id, 'followUpDate', public.iso8601(f.follow_up_date),
      'reminderType', f.reminder_type, 'priority', f.priority));
  return public.follow_up_document(to_jsonb(f));
end
$$;

create or replace function public.update_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_conversation uuid;
  f record;  -- before
  n record;  -- after
begin
  p := public.admitted(p, 'write');
  if p ? 'assignedAgentId' then
    perform public.held_agent((p ->> 'assignedAgentId')::uuid);
  end if;
  select conversation_id into v_conversation from public.follow_up_tasks where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no such follow-up';
  end if;
  perform public.held_conversation(jsonb_build_object('id', v_conversation));
  select * into f from public.follow_up_tasks where id = (p ->> 'id')::uuid for no key update;
  if f.status in ('completed', 'cancelled') then
    raise exception using errcode = 'LP409', message = 'this follow-up is ' || f.status || ' already';
  end if;
  update public.follow_up_tasks t set
    status = case
      when p ? 'status' then (p ->> 'status')::public.follow_up_status
      when t.status = 'overdue' and p ? 'followUpDate' then 'scheduled' else t.status end,
    completed_at = case when p ->> 'status' = 'completed' then clock_timestamp() end,
    follow_up_date = coalesce((p ->> 'followUpDate')::timestamptz, t.follow_up_date),
    reminder_type = coalesce(p ->> 'reminderType', t.reminder_type),
    reminder_text = coalesce(public.nfc(p ->> 'reminderText'), t.reminder_text),
    priority = coalesce(p ->> 'priority', t.priority),
    assigned_agent_id = coalesce((p ->> 'assignedAgentId')::uuid, t.assigned_agent_id),
    notes = coalesce(public.nfc(p ->> 'notes'), t.notes)
  where t.id = f.id returning * into n;
  perform public.note_next_follow_up(v_conversation);
  if n.status = 'completed' then
    perform public.tell(v_conversation, p ->> 'by', 'follow_up_completed', public.follow_up_words(n.reminder_type, null) || ' completed', n.notes,
      'lead.follow_up_completed', jsonb_build_object('followUpId', n.id));
  elsif n.status = 'cancelled' then
    perform public.tell(v_conversation, p ->> 'by', 'note_added', public.follow_up_words(n.reminder_type, null) || ' cancelled', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id));
  elsif n.follow_up_date <> f.follow_up_date then
    perform public.tell(v_conversation, p ->> 'by', 'follow_up_scheduled', 'Moved: ' || public.follow_up_words(n.reminder_type, n.follow_up_date),
      n.notes, 'lead.follow_up_scheduled', jsonb_build_object('followUpId', n.id, 'followUpDate', public.iso8601(n.follow_up_date),
        'before', public.iso8601(f.follow_up_date)));
  elsif (n.status, n.reminder_type, n.reminder_text, n.priority, n.assigned_agent_id, n.notes)
    is distinct from (f.status, f.reminder_type, f.reminder_text, f.priority, f.assigned_agent_id, f.notes) then
    perform public.tell(v_conversation, p ->> 'by', 'note_added', public.follow_up_words(n.reminder_type, n.follow_up_date) || ' changed', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id, 'status', n.status, 'priority', n.priority, 'assignedAgentId', n.assigned_agent_id));
  end if;
  return public.follow_up_document(to_jsonb(n));
end
$$;

-- Soonest first: `status`, `assignedAgentId`, `conversationId`, `from` and `to` (when it is due), `cursor`, `limit`.
create or replace function public.list_follow_ups(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_limit integer;
  v_after jsonb;
  v_found uuid[];
begin
  p := public.admitted(p, 'read');
  v_limit := coalesce((p ->> 'limit')::integer, 50);
  v_after := public.cursor_place('follow-ups', p ->> 'cursor');
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
    'data', (select coalesce(jsonb_agg(public.follow_up_document(to_jsonb(f)) order by f.follow_up_date, f.id), '[]')
             from public.follow_up_tasks f where f.id = any (v_found[:v_limit])),
    'nextCursor', (select public.cursor_at('follow-ups', f.follow_up_date, f.id) from public.follow_up_tasks f
                   where f.id = v_found[v_limit] and cardinality(v_found) > v_limit));
end
$$;
create index if not exists follow_up_tasks_date_idx on public.follow_up_tasks (follow_up_date, id);

-- ── Agents ────────────────────────────────────────────────────────────────────────────────────────────────────────────

create or replace function public.list_agents(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := public.admitted(p, 'read');
  return (
    select jsonb_build_object('data', coalesce(jsonb_agg(public.agent_document(a) order by lower(a.name), a.id), '[]'), 'total', count(*))
    from public.agents a where p -> 'status' is null or a.status in (select jsonb_array_elements_text(p -> 'status')));
end
$$;

create or replace function public.create_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := public.admitted(p, 'owner');
  insert into public.agents (name, email, phone, department, status, max_capacity)
  values (public.nfc(p ->> 'name'), lower(p ->> 'email'), p ->> 'phone', public.nfc(p ->> 'department'),
    coalesce(p ->> 'status', 'available'), coalesce((p ->> 'maxCapacity')::integer, 15))
  returning * into a;
  return public.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'there is an agent with this mail address';
end
$$;

create or replace function public.update_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  -- Who is busy changes all day; who there is at all is the owner's.
  p := public.admitted(p, case when p ?| array['name', 'email', 'phone', 'department', 'maxCapacity', 'clear'] then 'owner' else 'write' end);
  a := public.held_agent((p ->> 'id')::uuid);
  update public.agents s set
    name = coalesce(public.nfc(p ->> 'name'), s.name), email = coalesce(lower(p ->> 'email'), s.email),
    phone = case when p -> 'clear' ? 'phone' then null else coalesce(p ->> 'phone', s.phone) end,
    department = case when p -> 'clear' ? 'department' then null else coalesce(public.nfc(p ->> 'department'), s.department) end,
    status = coalesce(p ->> 'status', s.status), max_capacity = coalesce((p ->> 'maxCapacity')::integer, s.max_capacity)
  where s.id = a.id returning * into a;
  return public.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'there is an agent with this mail address';
end
$$;

-- With open conversations only on `force`: they are nobody's then, and their timeline says so.
create or replace function public.delete_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_open uuid[];
begin
  p := public.admitted(p, 'owner');
  select * into a from public.agents where id = (p ->> 'id')::uuid for update;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no such agent';
  end if;
  select array_agg(id) into v_open from (
    select c.id from public.conversations c where c.assigned_agent_id = a.id and c.status in ('new', 'in-progress')
    order by c.id for no key update) held;
  if v_open is not null and not coalesce((p ->> 'force')::boolean, false) then
    raise exception using errcode = 'LP409', message = format('%s has %s open conversations: assign them to others first, or force it', a.name, cardinality(v_open));
  end if;
  delete from public.agents where id = a.id;
  perform public.tell(id, p ->> 'by', 'assigned', 'Assigned to nobody', a.name || ' is no agent any more', 'lead.updated',
    jsonb_build_object('agentIdBefore', a.id))
  from unnest(v_open) as id;
  return '{}';
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.tell(uuid, text, text, text, text, text, jsonb)');
  perform public.protect_function('public.held_agent(uuid)');
  perform public.protect_function('public.held_conversation(jsonb)');
  perform public.protect_function('public.agent_load(uuid)');
  perform public.protect_function('public.agent_document(public.agents)');
  perform public.protect_function('public.follow_up_document(jsonb)');
  perform public.protect_function('public.conversation_answer(uuid, jsonb)');
  perform public.protect_function('public.change_conversation(public.conversations, jsonb, text)');
  perform public.protect_function('public.give_conversation(public.conversations, public.agents, text, boolean, text, text)');
  perform public.protect_function('public.note_next_follow_up(uuid)');
  perform public.protect_function('public.follow_up_words(text, timestamptz)');
  perform public.protect_function('public.update_conversation(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.assign_conversation(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.change_conversations(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.respond_to_conversation(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.create_follow_up(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.update_follow_up(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_follow_ups(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_agents(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.create_agent(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.update_agent(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.delete_agent(jsonb)', 'leadpipe_admin');
end
$$;
