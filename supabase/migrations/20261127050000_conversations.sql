-- Conversations with their messages, tags, summaries and timelines.

alter table public.conversations
  add column if not exists budget_amount double precision,
  add column if not exists budget_min double precision,
  add column if not exists budget_max double precision,
  add column if not exists budget_currency text,
  add column if not exists budget_period text;
create index if not exists conversations_created_at_idx on public.conversations (created_at desc);
create index if not exists conversations_customer_id_idx on public.conversations (customer_id);
create index if not exists conversations_assigned_agent_id_idx on public.conversations (assigned_agent_id)
  where assigned_agent_id is not null;
create index if not exists conversations_sla_open_idx on public.conversations (sla_response_deadline)
  where first_response_at is null and status not in ('completed', 'lost', 'converted');
create index if not exists conversations_sla_breached_idx on public.conversations (created_at desc) where sla_breached;
-- The index by score is for the sort orders hot, warm and cold. The one by follow-up date is partial, because few
-- conversations have a follow-up.
create index if not exists conversations_lead_score_idx on public.conversations (lead_score, created_at);
create index if not exists conversations_follow_up_date_idx on public.conversations (follow_up_date) where follow_up_date is not null;
comment on column public.conversations.budget_amount is
  'The amount by which the budget is scored and sorted, in dirhams, for a year if a period is written; null if the budget contains none.';
comment on column public.conversations.idempotency_key is 'route:key of the request that created the row.';

alter table public.chat_messages
  add column if not exists client_id text;
-- If a browser sends its whole history again, only new messages are added.
create unique index if not exists chat_messages_conversation_id_client_id_key
  on public.chat_messages (conversation_id, client_id);
create index if not exists chat_messages_conversation_id_timestamp_idx
  on public.chat_messages (conversation_id, "timestamp", created_at);
comment on column public.chat_messages.client_id is
  'The id that the client gave the message, unique within its conversation; null if the server created the message.';
create index if not exists conversation_summaries_conversation_id_idx on public.conversation_summaries (conversation_id);
create index if not exists conversation_timeline_conversation_id_idx
  on public.conversation_timeline (conversation_id, created_at desc);
comment on table public.conversation_timeline is 'The history of each conversation in human-readable form.';

-- Adds an entry to a conversation's timeline, and returns its id.
create or replace function public.add_timeline_entry(
  p_conversation_id uuid, p_event_type public.timeline_event_type, p_title text, p_description text default null,
  p_actor_type text default 'system', p_actor_id uuid default null, p_actor_name text default null, p_metadata jsonb default '{}')
returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.conversation_timeline
    (conversation_id, event_type, title, description, actor_type, actor_id, actor_name, metadata)
  values (p_conversation_id, p_event_type, p_title, p_description, p_actor_type, p_actor_id, p_actor_name, coalesce(p_metadata, '{}'))
  returning id into v_id;
  return v_id;
end
$$;
revoke all on function public.add_timeline_entry(uuid, public.timeline_event_type, text, text, text, uuid, text, jsonb) from public, anon, authenticated;
grant execute on function public.add_timeline_entry(uuid, public.timeline_event_type, text, text, text, uuid, text, jsonb) to service_role;

-- Updates a locked conversation. Returns true if anything changed. `p_change` can contain `status`, `leadScore`,
-- `leadQuality`, `tags`, `notes` (appended if `notesMode` is append), `outcome` and `conversionValue`. `clear` lists
-- the fields to set to null.
create or replace function leadpipe.apply_changes(c public.conversations, p_change jsonb, p_by text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n public.conversations := c;  -- the new state
  v_clear text[] := array(select jsonb_array_elements_text(p_change -> 'clear'));
  v_note text := leadpipe.to_nfc(p_change ->> 'notes');
  v_ranks constant text[] := '{cold,warm,hot}';
  v_closed constant text[] := '{completed,lost,converted}';
  v_event text;
  v_worth text;  -- describes the changes of outcome and value
begin
  n.status := coalesce(p_change ->> 'status', c.status);
  n.lead_score := coalesce((p_change ->> 'leadScore')::integer, c.lead_score);
  n.lead_quality := coalesce(p_change ->> 'leadQuality', c.lead_quality);
  if p_change ? 'tags' then
    n.tags := array(select tag from (
      select leadpipe.to_nfc(t) as tag, min(i) as first from jsonb_array_elements_text(p_change -> 'tags') with ordinality as sent (t, i)
      group by 1) tags order by first);
  end if;
  n.notes := case
    when 'notes' = any (v_clear) then null
    when v_note is null then c.notes
    when p_change ->> 'notesMode' = 'append' then concat_ws(E'\n', nullif(c.notes, ''), v_note)
    else v_note end;
  if length(n.notes) > 20000 then
    raise exception using errcode = 'LP400', message = 'notes_too_long', detail = '{"field": "notes", "max": 20000}';
  end if;
  n.outcome := case when 'outcome' = any (v_clear) then null else coalesce(leadpipe.to_nfc(p_change ->> 'outcome'), c.outcome) end;
  n.conversion_value := case when 'conversionValue' = any (v_clear) then null
    else coalesce((p_change ->> 'conversionValue')::numeric, c.conversion_value) end;
  if n.lead_score <> c.lead_score then
    n.lead_score_breakdown := jsonb_build_object('source', 'agent', 'by', p_by, 'before',
      coalesce(c.lead_score_breakdown -> 'before', c.lead_score_breakdown));
  end if;
  -- Closed without a first response, after its deadline.
  n.sla_breached := c.sla_breached
    or (n.status = any (v_closed) and c.first_response_at is null and coalesce(c.sla_response_deadline <= now(), false));
  if n is not distinct from c then
    return false;
  end if;

  v_worth := nullif(concat_ws('; ',
    case when n.outcome is distinct from c.outcome then coalesce(n.outcome, 'outcome removed') end,
    case when n.conversion_value is distinct from c.conversion_value then
      coalesce('value ' || trim_scale(n.conversion_value), 'value removed') || coalesce(' (was ' || trim_scale(c.conversion_value) || ')', '')
    end), '');

  update public.conversations s set
    status = n.status, lead_score = n.lead_score, lead_quality = n.lead_quality, lead_score_breakdown = n.lead_score_breakdown,
    tags = n.tags, notes = n.notes, outcome = n.outcome, conversion_value = n.conversion_value, sla_breached = n.sla_breached
  where s.id = c.id;

  if n.status <> c.status then
    v_event := case n.status when 'converted' then 'lead.converted' when 'lost' then 'lead.lost' else 'lead.updated' end;
    perform leadpipe.record_activity(c.id, p_by, 'status_changed',
      case n.status when 'converted' then 'Lead converted' when 'lost' then 'Lead lost'
        else format('Status changed from %s to %s', c.status, n.status) end,
      -- Describes this change only, not an earlier outcome.
      v_worth, v_event, jsonb_build_object('from', c.status, 'to', n.status)
        || jsonb_strip_nulls(jsonb_build_object('conversionValue', n.conversion_value)));
  end if;
  if n.lead_quality <> c.lead_quality or n.lead_score <> c.lead_score then
    perform leadpipe.record_activity(c.id, p_by, 'status_changed',
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'Lead qualified as ' || n.lead_quality
        when n.lead_quality <> c.lead_quality then 'Lead quality lowered to ' || n.lead_quality
        else 'Lead score changed' end,
      format('Score %s (%s), was %s (%s)', n.lead_score, n.lead_quality, c.lead_score, c.lead_quality),
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'lead.qualified' else 'lead.updated' end,
      jsonb_build_object('score', n.lead_score, 'quality', n.lead_quality, 'scoreBefore', c.lead_score, 'qualityBefore', c.lead_quality));
    v_event := 'lead.updated';
  end if;
  if n.notes is distinct from c.notes then
    perform leadpipe.record_activity(c.id, p_by, 'note_added',
      case when n.notes is null then 'Notes removed' when p_change ->> 'notesMode' = 'append' then 'Note added' else 'Notes changed' end, v_note);
  end if;
  if n.tags <> c.tags then
    perform leadpipe.record_activity(c.id, p_by, 'note_added', 'Tags changed', concat_ws('; ',
      'added: ' || nullif(array_to_string(array(select t from unnest(n.tags) t where t <> all (c.tags)), ', '), ''),
      'removed: ' || nullif(array_to_string(array(select t from unnest(c.tags) t where t <> all (n.tags)), ', '), '')));
  end if;
  if (n.outcome, n.conversion_value) is distinct from (c.outcome, c.conversion_value) and n.status = c.status then
    perform leadpipe.record_activity(c.id, p_by, 'note_added',
      case when num_nonnulls(n.outcome, n.conversion_value) = 0 then 'Outcome removed'
        when n.outcome is distinct from c.outcome then 'Outcome recorded' else 'Value changed' end,
      v_worth, null, jsonb_strip_nulls(jsonb_build_object('conversionValue', n.conversion_value, 'conversionValueBefore', c.conversion_value)));
  end if;
  -- Every change emits an event for the listeners of the live feed.
  if v_event is null then
    perform public.emit_lead_event('lead.updated', c.id, jsonb_build_object('by', p_by));
  end if;
  return true;
end
$$;
revoke all on function leadpipe.apply_changes(public.conversations, jsonb, text) from public, anon, authenticated;

-- Assigns a locked conversation to a locked agent. Returns true if anything changed. Raises LP409 if the conversation
-- is open and the agent is at capacity, unless `p_force` is true.
create or replace function leadpipe.assign_to_agent(
  c public.conversations, a public.agents, p_by text, p_force boolean, p_notes text default null, p_priority text default null) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_is_open boolean := c.status in ('new', 'in-progress');
begin
  if c.assigned_agent_id = a.id and p_notes is null and p_priority is null then
    return false;
  elsif v_is_open and c.assigned_agent_id is distinct from a.id and not p_force and leadpipe.open_conversation_count(a.id) >= a.max_capacity then
    raise exception using errcode = 'LP409', message = 'agent_at_capacity', detail = jsonb_build_object('count', leadpipe.open_conversation_count(a.id));
  end if;
  update public.conversations s set assigned_agent_id = a.id where s.id = c.id;
  perform leadpipe.record_activity(c.id, p_by, 'assigned', 'Assigned to ' || a.name, p_notes, 'lead.assigned', jsonb_strip_nulls(jsonb_build_object(
    'agentId', a.id, 'agentName', a.name, 'agentIdBefore', c.assigned_agent_id, 'priority', p_priority)));
  return true;
end
$$;
revoke all on function leadpipe.assign_to_agent(public.conversations, public.agents, text, boolean, text, text) from public, anon, authenticated;

-- Assigns a conversation to an agent.
create or replace function public.assign_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := leadpipe.authorize(p, 'write');
  a := leadpipe.lock_agent((p ->> 'agentId')::uuid);
  perform leadpipe.assign_to_agent(leadpipe.lock_conversation(p), a, p ->> 'by', coalesce((p ->> 'force')::boolean, false),
    leadpipe.to_nfc(p ->> 'notes'), p ->> 'priority');
  return jsonb_build_object('status', 'assigned', 'agentId', a.id, 'agentName', a.name)
    || leadpipe.conversation_reply((p ->> 'id')::uuid, p);
end
$$;
revoke all on function public.assign_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.assign_conversation(jsonb) to leadpipe_admin, service_role;

-- Applies `change` to the conversations in `ids`. `change` has the fields of update_conversation and can also have
-- `agentId` and `force`. A failure for one conversation is reported in its result and does not stop the others.
create or replace function public.change_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_change jsonb;
  a public.agents;
  c public.conversations;
  v_id uuid;
  v_changed boolean;
  v_arguments text;
  v_results jsonb := '{}';
begin
  p := leadpipe.authorize(p, 'write');
  v_change := p -> 'change';
  if v_change ? 'agentId' then
    a := leadpipe.lock_agent((v_change ->> 'agentId')::uuid);
  end if;
  for v_id in select distinct value::uuid as id from jsonb_array_elements_text(p -> 'ids') order by id loop
    begin
      c := leadpipe.lock_conversation(jsonb_build_object('id', v_id));
      v_changed := leadpipe.apply_changes(c, v_change, p ->> 'by');
      if a.id is not null then
        v_changed := leadpipe.assign_to_agent(leadpipe.lock_conversation(jsonb_build_object('id', v_id)), a, p ->> 'by',
          coalesce((v_change ->> 'force')::boolean, false)) or v_changed;
      end if;
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object('id', v_id, 'status', 200, 'changed', v_changed));
    exception when sqlstate 'LP404' or sqlstate 'LP409' or sqlstate 'LP400' then
      get stacked diagnostics v_arguments = pg_exception_detail;
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object('id', v_id, 'status', right(sqlstate, 3)::integer,
        'changed', false, 'code', sqlerrm, 'arguments', coalesce(nullif(v_arguments, ''), '{}')::jsonb));
    end;
  end loop;
  return jsonb_build_object(
    'changed', (select count(*) from jsonb_each(v_results) r where (r.value ->> 'changed')::boolean),
    'failed', (select count(*) from jsonb_each(v_results) r where r.value ->> 'status' <> '200'),
    -- In the order of the request.
    'results', (select jsonb_agg(v_results -> value order by first)
                from (select value, min(i) as first from jsonb_array_elements_text(p -> 'ids') with ordinality as asked (value, i)
                      group by value) asked));
end
$$;
revoke all on function public.change_conversations(jsonb) from public, anon, authenticated;
grant execute on function public.change_conversations(jsonb) to leadpipe_admin, service_role;

-- Returns the SLA state of a conversation: met, breached, warning or ok. `p -> warnBefore` has a time for each quality;
-- a deadline at or before this time is in state warning. A conversation that was closed without a response is breached
-- only if its deadline had passed before.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.sla_state(c public.conversations, p jsonb) returns text
language sql stable as $$
  select case
    when c.first_response_at is not null then
      case when c.first_response_at > c.sla_response_deadline then 'breached' else 'met' end
    when c.status in ('completed', 'lost', 'converted') then case when c.sla_breached then 'breached' else 'ok' end
    when c.sla_response_deadline <= now() then 'breached'
    when c.sla_response_deadline <= (p #>> array['warnBefore', c.lead_quality])::timestamptz then 'warning'
    else 'ok' end
$$;
revoke all on function leadpipe.sla_state(public.conversations, jsonb) from public, anon, authenticated;

-- Returns a conversation as shown in the admin interface, without its messages.
create or replace function leadpipe.conversation_document(c public.conversations, p jsonb default '{}') returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
      'id', c.id, 'customerId', c.customer_id, 'customerName', c.customer_name, 'customerPhone', c.customer_phone,
      'customerEmail', c.customer_email, 'startTime', leadpipe.iso8601(c.start_time), 'endTime', leadpipe.iso8601(c.end_time),
      'durationMinutes', c.duration_minutes, 'status', c.status, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
      'budget', c.budget, 'propertyType', c.property_type, 'preferredArea', c.preferred_area, 'intent', c.intent,
      'assignedAgentId', c.assigned_agent_id,
      'assignedAgentName', (select a.name from public.agents a where a.id = c.assigned_agent_id),
      'tags', to_jsonb(c.tags), 'notes', c.notes)
    || jsonb_build_object(
      'followUpDate', leadpipe.iso8601(c.follow_up_date), 'outcome', c.outcome, 'conversionValue', c.conversion_value,
      'leadScoreBreakdown', c.lead_score_breakdown, 'source', c.source, 'metadata', c.metadata,
      'firstResponseAt', leadpipe.iso8601(c.first_response_at),
      'slaResponseDeadline', leadpipe.iso8601(c.sla_response_deadline), 'slaBreached', state = 'breached', 'slaState', state,
      'lastMessageSnippet', left(last.message_text, 120), 'lastMessageAt', leadpipe.iso8601(last."timestamp"),
      'unreadCount', (select count(*) from public.chat_messages m
                      where m.conversation_id = c.id and m.sender = 'customer' and not m.is_read),
      'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at))
  from (select leadpipe.sla_state(c, p)) as sla (state)
  left join lateral (
    select m.message_text, m."timestamp" from public.chat_messages m where m.conversation_id = c.id
    order by m."timestamp" desc, m.created_at desc limit 1) last on true
$$;
revoke all on function leadpipe.conversation_document(public.conversations, jsonb) from public, anon, authenticated;

-- Returns the value of a conversation's ETag. It changes with each change of the row.
create or replace function leadpipe.conversation_version(c public.conversations) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select to_hex((extract(epoch from c.updated_at) * 1000000)::bigint)
$$;
revoke all on function leadpipe.conversation_version(public.conversations) from public, anon, authenticated;

-- Returns the reply to every change: the current conversation and its version.
create or replace function leadpipe.conversation_reply(p_id uuid, p jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('version', leadpipe.conversation_version(c), 'conversation', leadpipe.conversation_document(c, p))
  from public.conversations c where c.id = p_id
$$;
revoke all on function leadpipe.conversation_reply(uuid, jsonb) from public, anon, authenticated;

-- Returns the facts that explain a conversation's state: the conversation, the times of its first 200 lead.updated
-- events, its newest 50 deliveries as returned by show_delivery, and its next follow-up.
create or replace function public.explain_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object(
    'now', leadpipe.iso8601(clock_timestamp()),
    'conversation', leadpipe.conversation_document(c, p),
    'additions', (
      select coalesce(jsonb_agg(leadpipe.iso8601(e.created_at) order by e.created_at), '[]')
      from (select e.created_at from public.lead_events e where e.conversation_id = c.id and e.event_type = 'lead.updated'
            order by e.created_at limit 200) e),
    'deliveries', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', d.id)) order by d.created_at, d.id), '[]')
      from (select d.id, d.created_at from public.notification_logs d where d.conversation_id = c.id
            order by d.created_at desc, d.id desc limit 50) d),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;
revoke all on function public.explain_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.explain_conversation(jsonb) to leadpipe_admin, service_role;

-- Returns open conversations without a first response whose deadline has passed or is near, earliest deadline first.
-- minutes_remaining is negative after the deadline.
create or replace function public.get_sla_breach_candidates(p_warning_minutes integer default 30)
returns table (
  conversation_id uuid, customer_name text, customer_phone text, lead_score integer, lead_quality text,
  assigned_agent_id uuid, sla_response_deadline timestamptz, minutes_remaining integer, is_breached boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.id, c.customer_name, c.customer_phone, c.lead_score, c.lead_quality, c.assigned_agent_id, c.sla_response_deadline,
         floor(extract(epoch from c.sla_response_deadline - now()) / 60)::integer, c.sla_response_deadline <= now()
  from public.conversations c
  where c.first_response_at is null
    and c.status not in ('completed', 'lost', 'converted')
    and c.sla_response_deadline <= now() + make_interval(mins => p_warning_minutes)
  order by c.sla_response_deadline
$$;
revoke all on function public.get_sla_breach_candidates(integer) from public, anon, authenticated;
grant execute on function public.get_sla_breach_candidates(integer) to service_role;

-- Lists the messages of a conversation, oldest first.
create or replace function public.list_messages(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_last public.chat_messages;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('messages ' || c.id, p ->> 'cursor');
  if v_place is not null then
    -- Messages with the same timestamp are ordered by created_at, which the cursor does not contain.
    select * into v_last from public.chat_messages m
    where m.id = (v_place ->> 'id')::uuid and m.conversation_id = c.id and m."timestamp" = (v_place ->> 'at')::timestamptz;
    if not found then
      raise exception using errcode = 'LP400', message = 'invalid_cursor', detail = '{"field": "cursor"}';
    end if;
  end if;
  v_found := array(
    select m.id from public.chat_messages m
    where m.conversation_id = c.id
      and (v_place is null or (m."timestamp", m.created_at, m.id) > (v_last."timestamp", v_last.created_at, v_last.id))
    order by m."timestamp", m.created_at, m.id limit v_page.size + 1 offset v_page.skip);
  return leadpipe.page_info(p,
      case when v_place is null then (select count(*) from public.chat_messages m where m.conversation_id = c.id) end,
      (select leadpipe.row_cursor('messages ' || c.id, m."timestamp", m.id) from public.chat_messages m
       where m.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.message_document(m) order by m."timestamp", m.created_at, m.id), '[]')
      from public.chat_messages m where m.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function public.list_messages(jsonb) from public, anon, authenticated;
grant execute on function public.list_messages(jsonb) to leadpipe_admin, service_role;

-- GET /api/admin/sla: conversations whose first response is late or due soon, earliest deadline first.
create or replace function public.list_sla(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  c_exact constant integer := 10000;
  -- The first conditions match the partial index on open deadlines.
  c_waiting constant text := 'from public.conversations t where t.first_response_at is null '
    'and t.status not in (''completed'', ''lost'', ''converted'') and t.sla_response_deadline <= greatest(($1).now, ($1).warn_hot, ($1).warn_warm, '
    '($1).warn_cold) and (t.sla_response_deadline <= ($1).now or t.sla_response_deadline <= case t.lead_quality when ''hot'' then ($1).warn_hot '
    'when ''warm'' then ($1).warn_warm else ($1).warn_cold end)';
  v_limit integer := coalesce((p ->> 'limit')::integer, 25);
  f leadpipe.conversation_search;
  v_place jsonb;
  v_ids uuid[];
  v_expected double precision;
  v_total bigint;
begin
  p := leadpipe.authorize(p, 'read');
  f.now := now();
  f.warn_hot := (p #>> '{warnBefore,hot}')::timestamptz;
  f.warn_warm := (p #>> '{warnBefore,warm}')::timestamptz;
  f.warn_cold := (p #>> '{warnBefore,cold}')::timestamptz;
  v_place := leadpipe.cursor_position('sla-list', p ->> 'cursor');
  f.after_time := (v_place ->> 'at')::timestamptz;
  f.after_id := (v_place ->> 'id')::uuid;

  execute 'select array(select t.id ' || c_waiting
    || case when v_place is not null then ' and (t.sla_response_deadline, t.id) > (($1).after_time, ($1).after_id)' else '' end
    || ' order by t.sla_response_deadline, t.id limit $2)' into v_ids using f, v_limit + 1;
  v_expected := leadpipe.estimate_rows('select ' || c_waiting, f);
  if v_expected <= 2 * c_exact then
    execute 'select count(*) from (select ' || c_waiting || ' limit $2) counted' into v_total using f, c_exact + 1;
    v_total := nullif(v_total, c_exact + 1);
  end if;
  return jsonb_build_object(
    'data', (select coalesce(jsonb_agg(leadpipe.conversation_document(c, p) || jsonb_build_object(
               'minutesRemaining', floor(extract(epoch from c.sla_response_deadline - f.now) / 60)) order by n), '[]')
             from unnest(v_ids[:v_limit]) with ordinality as found (id, n) join public.conversations c on c.id = found.id),
    'total', coalesce(v_total, greatest(round(v_expected)::bigint, c_exact + 1)), 'totalIsEstimate', v_total is null,
    'limit', v_limit, 'nextCursor', (
      select leadpipe.row_cursor('sla-list', c.sla_response_deadline, c.id) from public.conversations c
      where c.id = v_ids[v_limit] and cardinality(v_ids) > v_limit));
end
$$;
revoke all on function public.list_sla(jsonb) from public, anon, authenticated;
grant execute on function public.list_sla(jsonb) to leadpipe_admin, service_role;

-- Returns a timeline entry as shown in the admin interface. Takes the row as jsonb, because a parameter of the table's
-- row type would prevent the table from being dropped.
create or replace function leadpipe.timeline_document(t jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', t -> 'id', 'type', t -> 'event_type', 'title', t -> 'title', 'description', t -> 'description',
    'actorType', t -> 'actor_type', 'actorName', t -> 'actor_name', 'at', leadpipe.iso8601((t ->> 'created_at')::timestamptz),
    'metadata', t -> 'metadata')
$$;
revoke all on function leadpipe.timeline_document(jsonb) from public, anon, authenticated;

-- Lists the timeline of a conversation, newest first.
create or replace function public.list_timeline(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('timeline ' || c.id, p ->> 'cursor');
  v_found := array(
    select t.id from public.conversation_timeline t
    where t.conversation_id = c.id
      and (v_place is null or (t.created_at, t.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by t.created_at desc, t.id desc limit v_page.size + 1 offset v_page.skip);
  return leadpipe.page_info(p,
      case when v_place is null then (select count(*) from public.conversation_timeline t where t.conversation_id = c.id) end,
      (select leadpipe.row_cursor('timeline ' || c.id, t.created_at, t.id) from public.conversation_timeline t
       where t.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.timeline_document(to_jsonb(t)) order by t.created_at desc, t.id desc), '[]')
      from public.conversation_timeline t where t.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function public.list_timeline(jsonb) from public, anon, authenticated;
grant execute on function public.list_timeline(jsonb) to leadpipe_admin, service_role;

-- Returns the conversation `id`, locked until the transaction ends. Raises LP404 if it does not exist, LP412 if it has
-- changed since the client read one of `versions`.
create or replace function leadpipe.lock_conversation(p jsonb) returns public.conversations
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  select * into c from public.conversations where id = (p ->> 'id')::uuid for no key update;
  if not found then
    raise exception using errcode = 'LP404', message = 'conversation_not_found';
  elsif not (p -> 'versions') ? leadpipe.conversation_version(c) then
    raise exception using errcode = 'LP412', message = 'conversation_changed';
  end if;
  return c;
end
$$;
revoke all on function leadpipe.lock_conversation(jsonb) from public, anon, authenticated;

-- Returns a message as shown in the admin interface.
create or replace function leadpipe.message_document(m public.chat_messages) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', m.id, 'sender', m.sender, 'messageText', m.message_text, 'messageType', m.message_type,
    'timestamp', leadpipe.iso8601(m."timestamp"), 'isRead', m.is_read, 'metadata', m.metadata)
$$;
revoke all on function leadpipe.message_document(public.chat_messages) from public, anon, authenticated;

-- Returns the newest messages of a conversation, oldest first: at most `p_most` messages and `p_bytes` bytes.
create or replace function leadpipe.newest_messages(p_conversation uuid, p_most integer, p_bytes integer) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(leadpipe.message_document(m) order by (m)."timestamp", (m).created_at), '[]')
  from (select m, sum(octet_length((m).message_text) + octet_length(coalesce((m).metadata::text, '')))
                  over (order by (m)."timestamp" desc, (m).created_at desc rows unbounded preceding) as bytes
        from (select m from public.chat_messages m where m.conversation_id = p_conversation
              order by m."timestamp" desc, m.created_at desc limit p_most) newest) sized
  where bytes <= p_bytes
$$;
revoke all on function leadpipe.newest_messages(uuid, integer, integer) from public, anon, authenticated;

-- Adds an entry to a conversation's timeline and, if `p_event` is not null, emits this event.
create or replace function leadpipe.record_activity(
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
revoke all on function leadpipe.record_activity(uuid, text, text, text, text, text, jsonb) from public, anon, authenticated;

-- Returns the conversation `id`. Raises LP404 if it does not exist.
create or replace function leadpipe.require_conversation(p jsonb) returns public.conversations
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  select * into c from public.conversations where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'conversation_not_found';
  end if;
  return c;
end
$$;
revoke all on function leadpipe.require_conversation(jsonb) from public, anon, authenticated;

-- Records that an agent has replied to the customer: `channel`, `message` (stored as a message of the agent) and
-- `agentId`. Only the first response determines whether the deadline was met.
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
  p := leadpipe.authorize(p, 'write');
  if p ? 'agentId' then
    a := leadpipe.lock_agent((p ->> 'agentId')::uuid);
  end if;
  c := leadpipe.lock_conversation(p);
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
    values (c.id, 'agent', leadpipe.to_nfc(p ->> 'message'), v_now,
      jsonb_strip_nulls(jsonb_build_object('channel', v_channel, 'by', p ->> 'by', 'agentId', a.id)));
  end if;
  perform leadpipe.record_activity(c.id, p ->> 'by',
    case v_channel when 'call' then 'call_logged' when 'email' then 'email_sent' else 'customer_contacted' end,
    case v_channel when 'call' then 'Called the customer' when 'email' then 'Replied by email'
      when 'whatsapp' then 'Replied by WhatsApp' when 'sms' then 'Replied by SMS' else 'Contacted the customer' end
      || coalesce(': ' || a.name, ''),
    concat_ws(' ', p ->> 'message', case when v_is_first and c.sla_response_deadline is not null then
      case when v_is_met then '(first response, on time)' else '(first response, late)' end end),
    'lead.contacted', jsonb_strip_nulls(jsonb_build_object(
      'channel', v_channel, 'agentId', a.id, 'isFirst', v_is_first, 'isInTime', case when v_is_first then v_is_met end)));
  if c.status = 'new' then
    perform leadpipe.record_activity(c.id, p ->> 'by', 'status_changed', 'Status changed from new to in-progress', null, null,
      '{"from": "new", "to": "in-progress"}');
  end if;
  return jsonb_build_object('status', 'contacted', 'isFirst', v_is_first) || leadpipe.conversation_reply(c.id, p);
end
$$;
revoke all on function public.respond_to_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.respond_to_conversation(jsonb) to leadpipe_admin, service_role;

-- Returns a conversation with its version and its newest messages, at most 1,000 messages and 400 kB.
create or replace function public.show_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object(
    'version', leadpipe.conversation_version(c),
    'conversation', leadpipe.conversation_document(c, p) || jsonb_build_object(
      'messages', leadpipe.newest_messages(c.id, 1000, 400000)));
end
$$;
revoke all on function public.show_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.show_conversation(jsonb) to leadpipe_admin, service_role;

-- Updates a conversation. Raises LP404 if it does not exist, LP412 if `version` is no longer current.
create or replace function public.update_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'write');
  perform leadpipe.apply_changes(leadpipe.lock_conversation(p), p, p ->> 'by');
  return leadpipe.conversation_reply((p ->> 'id')::uuid, p);
end
$$;
revoke all on function public.update_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.update_conversation(jsonb) to leadpipe_admin, service_role;
