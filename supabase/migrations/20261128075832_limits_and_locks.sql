-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- One row, added by index_conversations and locked while it runs. An advisory lock could also be held by a login that
-- has no rights on tables.
create table if not exists leadpipe.index_lock (
  only_row boolean constraint index_lock_pkey primary key default true constraint index_lock_only_row check (only_row)
);

revoke all on table leadpipe.index_lock from public, anon, authenticated, service_role;

-- Formats a time as in the API: UTC, with milliseconds. Null for a time that ISO 8601 cannot express: infinity, a year
-- before 1 or after 9999.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.iso8601(p_time timestamptz) returns text language sql stable as
  $$ select case when p_time >= '0001-01-01 00:00Z' and p_time < '9999-12-31 24:00Z' then
    pg_catalog.to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end $$;

revoke all on function leadpipe.iso8601(timestamptz) from public, anon, authenticated;

-- Handles a lead whose idempotency key or conversation exists: repeats the reply to the key's first use, or adds to the
-- conversation. Returns null if neither exists any more; the lead is then new.
create or replace function leadpipe.capture_known_lead(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid := (p ->> 'conversationId')::uuid;
  v_route text := p ->> 'route';
  v_key text := nullif(p #>> '{idempotency,key}', '');
  v_lifetime interval := case when p #>> '{idempotency,client}' is null then '7 days' else '30 seconds' end;
  v_hash bytea := sha256(convert_to(coalesce(p #>> '{idempotency,content}', ''), 'UTF8'));
  v_customer uuid;
  v_proven boolean;
  v_reachable boolean;
  v_rises boolean;
  v_rebudgets boolean;
  v_before record;  -- status, score and quality as stored
  v_closed boolean;
  v_said bigint;  -- the customer's stored messages
  v_reopens boolean;
  v_facts jsonb;
  v_added integer := 0;
  v_unstored jsonb;  -- what an unproven request says about the customer; only the timeline has it
  v_event uuid;
  l record;  -- the lead as sent
  c record;  -- the conversation as stored
begin
  if v_key is not null then
    select k.body_sha256, k.created_at < now() - v_lifetime as expired, s.id, s.status, s.created_at, s.updated_at, s.idempotency_key
    into c
    from public.idempotency_keys k left join public.conversations s on s.id = k.conversation_id
    where k.route = v_route and k.key = v_key;

    if found and (c.expired or c.id is null) then  -- treat the key as unused
      update public.conversations set idempotency_key = null where idempotency_key = v_route || ':' || v_key;
      delete from public.idempotency_keys k
      where k.route = v_route and k.key = v_key
        and (k.created_at < now() - v_lifetime or not exists (select from public.conversations s where s.id = k.conversation_id));
      return null;
    elsif found and c.body_sha256 <> v_hash then
      return jsonb_build_object('outcome', 'mismatch', 'created', false, 'id', null, 'status', null,
        'createdAt', null, 'updatedAt', null, 'eventId', null, 'messagesAdded', 0);
    elsif found then
      return jsonb_build_object('outcome', 'replayed',
        'created', c.idempotency_key is not distinct from v_route || ':' || v_key,
        'id', c.id, 'status', c.status, 'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at),
        'eventId', null, 'messagesAdded', 0);
    end if;
    if not exists (select from public.conversations s where s.id = v_id) then
      return null;  -- the key existed a moment ago
    end if;
    -- A conversation that still has this key got it from a request that has expired.
    update public.conversations set idempotency_key = null where idempotency_key = v_route || ':' || v_key;
    -- Waits for a concurrent copy of this request, and makes later copies wait.
    insert into public.idempotency_keys (route, key, body_sha256, conversation_id) values (v_route, v_key, v_hash, v_id);
  end if;

  select * into l from leadpipe.lead_fields(p -> 'lead');
  -- 'phone' sorts after 'email', so the phone number takes precedence.
  select customer_id into v_customer from public.customer_identities
  where (kind = 'phone' and value = l.phone) or (kind = 'email' and value = lower(l.email))
  order by kind desc limit 1;
  v_customer := coalesce(v_customer, gen_random_uuid());

  -- NO KEY: concurrent inserts of events and timeline entries, which reference the row, need not wait.
  select s.customer_phone, s.customer_email, s.lead_score, s.lead_quality, s.status, s.budget into c
  from public.conversations s where s.id = v_id for no key update;
  if not found then
    raise exception using errcode = 'LPTRY', message = 'write_conflict';
  end if;
  v_proven := coalesce(c.customer_phone = l.phone, false) or coalesce(lower(c.customer_email) = lower(l.email), false);
  v_reachable := nullif(c.customer_phone, '') is not null or nullif(c.customer_email, '') is not null;
  -- What was read in the budget is stored with it.
  v_rebudgets := l.budget is not null and (v_proven or nullif(c.budget, '') is null);
  v_rises := v_proven and l.score is not null and l.score > coalesce(c.lead_score, 0);
  v_closed := c.status in ('completed', 'lost');
  v_before := c;

  update public.conversations s set
    -- A row without a customer gets the customer of its stored phone number or email address, not of an unproven one.
    customer_id = coalesce(s.customer_id, case when v_proven or not v_reachable then v_customer end,
      (select i.customer_id from public.customer_identities i
       where (i.kind = 'phone' and i.value = s.customer_phone) or (i.kind = 'email' and i.value = lower(s.customer_email))
       order by i.kind desc limit 1), gen_random_uuid()),
    customer_name = leadpipe.merge_text(s.customer_name, l.name, v_proven),
    -- An unproven phone number or email address is stored only if the row has neither, because it would prove the next
    -- request.
    customer_phone = leadpipe.merge_text(s.customer_phone, case when v_proven or not v_reachable then l.phone end, v_proven),
    customer_email = leadpipe.merge_text(s.customer_email, case when v_proven or not v_reachable then l.email end, v_proven),
    intent = leadpipe.merge_text(s.intent, l.intent, v_proven),
    budget = leadpipe.merge_text(s.budget, l.budget, v_proven),
    budget_amount = case when v_rebudgets then l.budget_amount else s.budget_amount end,
    budget_min = case when v_rebudgets then l.budget_min else s.budget_min end,
    budget_max = case when v_rebudgets then l.budget_max else s.budget_max end,
    budget_currency = case when v_rebudgets then l.budget_currency else s.budget_currency end,
    budget_period = case when v_rebudgets then l.budget_period else s.budget_period end,
    property_type = leadpipe.merge_text(s.property_type, l.property_type, v_proven),
    preferred_area = leadpipe.merge_text(s.preferred_area, l.preferred_area, v_proven),
    start_time = coalesce(s.start_time, l.start_time),
    end_time = case when v_proven then greatest(s.end_time, l.end_time) else coalesce(s.end_time, l.end_time) end,
    duration_minutes = case when v_proven then greatest(s.duration_minutes, l.duration) else coalesce(s.duration_minutes, l.duration) end,
    device_info = case when v_proven then coalesce(l.device_info, s.device_info) else coalesce(s.device_info, l.device_info) end,
    lead_score = case when v_rises then l.score else s.lead_score end,
    lead_quality = case when v_rises then coalesce(l.quality, s.lead_quality) else s.lead_quality end,
    lead_score_breakdown = case when v_rises then coalesce(l.breakdown, s.lead_score_breakdown) else s.lead_score_breakdown end,
    sla_response_deadline = case when v_proven then least(s.sla_response_deadline, l.deadline) else s.sla_response_deadline end,
    -- At most 50 tags, as in one request; the oldest are kept.
    tags = case when v_proven then (s.tags || array(select t from unnest(l.tags) with ordinality as sent (t, n)
                                                    where t <> all (s.tags) order by n))[:greatest(50, cardinality(s.tags))] else s.tags end,
    notes = case when v_proven then coalesce(l.notes, s.notes) else s.notes end,
    metadata = case when v_proven then leadpipe.merge_metadata(s.metadata, l.metadata) else s.metadata end
  where s.id = v_id
  returning s.customer_id, s.customer_name, s.customer_phone, s.customer_email, s.status, s.lead_score, s.lead_quality,
    s.intent, s.budget, s.property_type, s.preferred_area, s.tags, s.metadata, s.first_response_at, s.created_at, s.updated_at into c;

  perform leadpipe.remember_customer(nullif(c.customer_phone, ''), lower(nullif(c.customer_email, '')), c.customer_id);

  if v_closed then
    select count(*) into v_said from public.chat_messages where conversation_id = v_id and sender = 'customer';
  end if;
  if jsonb_typeof(p -> 'messages') = 'array' then
    v_added := leadpipe.add_messages(v_id, p -> 'messages', coalesce((p ->> 'receivedAt')::timestamptz, now()));
  end if;

  -- The customer writes again with a new message, or with a request without messages. A chat that only repeats its
  -- stored messages, or adds a message of the bot or an agent, does not reopen a conversation.
  v_reopens := v_closed and (coalesce(jsonb_array_length(nullif(p -> 'messages', 'null')), 0) = 0
    or v_added > 0 and v_said < (select count(*) from public.chat_messages where conversation_id = v_id and sender = 'customer'));
  if v_reopens then
    update public.conversations s set
      status = case when s.first_response_at is null then 'new' else 'in-progress' end,
      -- Who has not been answered yet waits from now on, for as long as the stored quality says. The request alone may
      -- have a lower one.
      sla_response_deadline = case when s.first_response_at is null
        then coalesce((p #>> array['lead', 'slaDeadlines', s.lead_quality])::timestamptz, l.deadline) else s.sla_response_deadline end,
      sla_breached = s.first_response_at is not null and s.sla_breached
    where s.id = v_id
    returning s.status, s.updated_at into c.status, c.updated_at;
  end if;

  v_facts := jsonb_build_object('messagesAdded', v_added, 'proven', v_proven)
    || case when v_rises then jsonb_build_object('score', c.lead_score, 'quality', c.lead_quality,
         'scoreBefore', v_before.lead_score, 'qualityBefore', v_before.lead_quality) else '{}' end;
  if to_regclass('public.lead_events') is not null then
    -- The event of a reopened conversation notifies, so it has the facts of a new lead and the customer's latest
    -- message. The customer is the stored one, because an unproven request may name another.
    v_event := public.emit_lead_event('lead.updated', v_id, v_facts || case when v_reopens then
      jsonb_strip_nulls(jsonb_build_object('message', (
        select m.text from leadpipe.message_fields(case when v_added > 0 then p -> 'messages' end, now()) as m
        where m.sender = 'customer' order by m."position" desc limit 1)))
      || coalesce(nullif(p #> '{event,payload}', 'null'), '{}') - '{customerName,customerPhone,customerEmail}'::text[] || jsonb_strip_nulls(jsonb_build_object(
        'reopenedFrom', v_before.status, 'customerName', c.customer_name, 'customerPhone', c.customer_phone,
        'customerEmail', c.customer_email, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality)) else '{}' end);
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    if v_reopens then
      perform public.add_timeline_entry(v_id, 'status_changed', 'Reopened: the customer wrote again',
        format('Status %s, was %s', c.status, v_before.status), 'system', null, null,
        jsonb_build_object('from', v_before.status, 'to', c.status));
    end if;
    if v_rises then
      perform public.add_timeline_entry(v_id, 'status_changed',
        case when c.lead_quality <> v_before.lead_quality then 'Lead qualified as ' || c.lead_quality else 'Lead score rose' end,
        format('Score %s (%s), was %s (%s)', c.lead_score, c.lead_quality, v_before.lead_score, v_before.lead_quality),
        'system', null, null, v_facts - '{messagesAdded,proven}'::text[]);
    end if;
    if not v_proven then
      v_unstored := nullif(jsonb_strip_nulls(jsonb_build_object(
        'customerName', nullif(l.name, c.customer_name), 'customerPhone', nullif(l.phone, c.customer_phone),
        'customerEmail', nullif(lower(l.email), lower(c.customer_email)), 'intent', nullif(l.intent, c.intent),
        'budget', nullif(l.budget, c.budget), 'propertyType', nullif(l.property_type, c.property_type),
        'preferredArea', nullif(l.preferred_area, c.preferred_area), 'notes', l.notes, 'setAside', l.metadata -> 'setAside')), '{}');
    end if;
    -- note_added, because the customer added something. customer_contacted is for contact by an agent.
    perform public.add_timeline_entry(v_id, 'note_added', 'Lead Updated',
      (select E'Not stored, because the sender may be another person:\n' || string_agg(d.key || ': ' || d.value, E'\n')
       from jsonb_each_text(v_unstored) d),
      'customer', null, null, jsonb_build_object('messagesAdded', v_added, 'proven', v_proven)
        || case when v_unstored is null then '{}' else jsonb_build_object('notStored', v_unstored) end);
  end if;

  return jsonb_build_object(
    'outcome', 'continued', 'created', false, 'id', v_id, 'status', c.status,
    'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at),
    'eventId', v_event, 'messagesAdded', v_added)
    || case when v_rises then jsonb_build_object('rise', v_facts - '{messagesAdded,proven}'::text[]) else '{}' end
    || case when v_reopens then jsonb_build_object('reopenedFrom', v_before.status) else '{}' end
    -- The fields whose values were not stored, because the conversation has as many as it can hold.
    || coalesce((select jsonb_build_object('full', jsonb_agg(field)) from unnest(array[
         case when v_proven and not l.tags <@ c.tags then 'tags' end,
         case when v_proven and not coalesce(l.metadata <@ c.metadata, l.metadata is null) then 'metadata' end]) as field
       where field is not null having count(*) > 0), '{}');
end
$$;

revoke all on function leadpipe.capture_known_lead(jsonb) from public, anon, authenticated;

-- Stores a lead (conversation, messages, customer, event and timeline entry) or nothing. Whether the lead is new is
-- checked without a lock. If a concurrent call changes that, it is checked again, up to 5 times.
--
-- The caller has validated the fields and chosen the score, deadline and texts. The functions enforce the invariants:
-- one conversation per idempotency key, one customer per phone number or email address, and a request that only has a
-- conversation's id does not overwrite its values. An existing conversation and its rows are locked in this order: key,
-- conversation, phone number, email address, messages. New rows are written in the order that PostgreSQL chooses.
-- PostgreSQL detects a deadlock, and the caller retries the call.
--
-- Capture still works after the clean-up has dropped the event tables, hence to_regclass in each call. enable_seqscan
-- is off and sub-selects replace joins, because a plan that was cached while a table was small must not scan the table
-- once it has grown. plan_cache_mode: planning costs more than running any of these statements.
create or replace function public.capture_lead(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_reply jsonb;
begin
  perform leadpipe.check_lead(p);
  p := leadpipe.name_repeat(p);
  for attempt in 1 .. 5 loop
    begin
      v_reply := coalesce(leadpipe.capture_new_leads(jsonb_build_array(p), attempt > 1) -> '1', leadpipe.capture_known_lead(p));
    exception when unique_violation then
      -- A concurrent call stored the same lead, or a conversation still has a key that has been pruned.
      v_reply := null;
      update public.conversations set idempotency_key = null
      where idempotency_key = (p ->> 'route') || ':' || (p #>> '{idempotency,key}')
        and not exists (select from public.idempotency_keys k where k.route = p ->> 'route' and k.key = p #>> '{idempotency,key}');
    end;
    if v_reply is not null then
      return v_reply;
    end if;
  end loop;
  raise exception using errcode = 'LPTRY', message = 'write_conflict';
end
$$;

revoke all on function public.capture_lead(jsonb) from public, anon, authenticated;

grant execute on function public.capture_lead(jsonb) to leadpipe_intake, service_role;

-- Stores several leads with the same result as one call of capture_lead for each. If one of them cannot be stored, none
-- is stored, and the caller must retry each lead separately. `p` is an array of arguments of capture_lead; the replies
-- have the same order.
--
-- It first takes advisory locks, in a fixed order, on everything that two calls could both need: keys, conversations,
-- phone numbers and email addresses. capture_lead takes no such locks. A deadlock with it is rare and is detected, and
-- the caller retries the call.
create or replace function public.capture_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_new jsonb := '{}';
  v_replies jsonb[] := '{}';
begin
  perform leadpipe.check_lead(sent.lead) from jsonb_array_elements(p) as sent (lead);
  p := (select coalesce(jsonb_agg(leadpipe.name_repeat(sent.lead) order by n), '[]')
        from jsonb_array_elements(p) with ordinality as sent (lead, n));
  -- In milliseconds. If another transaction holds a lock that one lead needs, the other leads must not wait for it.
  perform set_config('lock_timeout', '250', true);
  perform pg_advisory_xact_lock(wanted.lock)
  from (
    select distinct hashtextextended(name, 11) as lock
    from jsonb_array_elements(p) as sent (lead), lateral leadpipe.lead_identifiers(lead) as name
    order by lock
  ) wanted;

  begin
    v_new := leadpipe.capture_new_leads(p);
  exception when unique_violation then
    null;  -- a concurrent call has just stored one of them, so capture them one by one
  end;

  for n in 1 .. jsonb_array_length(p) loop
    v_replies[n] := coalesce(v_new -> n::text, public.capture_lead(p -> (n - 1)));
  end loop;
  return to_jsonb(v_replies);
end
$$;

revoke all on function public.capture_leads(jsonb) from public, anon, authenticated;

grant execute on function public.capture_leads(jsonb) to leadpipe_intake, service_role;

-- Raises lead_too_large if an argument of capture_lead exceeds what can be shown later. Its handlers have checked it
-- with lower limits; this is for a caller that has only stolen their login. Times must be from 1970 to 9999, numbers at
-- most 1e200, and nesting at most 16 levels.
create or replace function leadpipe.check_lead(p jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_sent constant jsonb := p - 'idempotency';
  v_lead constant jsonb := p -> 'lead';
  v_messages constant jsonb := case when jsonb_typeof(p -> 'messages') = 'array' then p -> 'messages' else '[]' end;
begin
  if octet_length(p::text) > 2097152 or v_sent @? 'strict $.**{17}'
    or v_sent @? '$.** ? (@.type() == "number" && (@ > 1e200 || @ < -1e200))'
    or exists (
      select from jsonb_each(v_lead) as field where octet_length(value::text) > case
        when jsonb_typeof(value) = 'object' or key = 'deviceInfo' then 65536 when key = 'notes' then 80000 when key = 'tags' then 40000 else 4000 end)
    or exists (
      select from jsonb_each(v_lead) as field where key like 'budget_%' and jsonb_typeof(value) not in ('number', 'null')
        and key not in ('budgetCurrency', 'budgetPeriod'))
    or octet_length(coalesce(p -> 'event', '{}')::text) > 65536
    or exists (
      select from jsonb_each(p - '{idempotency,lead,messages,event}'::text[]) as field where octet_length(value::text) > 4000)
    or jsonb_array_length(v_messages) > 1000
    or exists (
      select from jsonb_array_elements(v_messages) as sent (m), jsonb_each(case when jsonb_typeof(m) = 'object' then m else '{}' end) as field
      where octet_length(value::text) > case when key in ('text', 'metadata') then 65536 else 1000 end)
    or exists (
      select from (
        select p ->> 'receivedAt'
        union all select v_lead ->> key from unnest('{slaDeadline,startTime,endTime}'::text[]) as key
        union all select value from jsonb_each_text(coalesce(nullif(v_lead -> 'slaDeadlines', 'null'), '{}'))
        union all select m ->> 'timestamp' from jsonb_array_elements(v_messages) as sent (m)
      ) as sent (at)
      where at::timestamptz not between '1970-01-01 00:00Z' and '9999-12-31 23:59Z')
  then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;

revoke all on function leadpipe.check_lead(jsonb) from public, anon, authenticated;

-- Returns the metadata of a conversation with that of a request added: its members replace stored ones, and the values
-- that were set aside are collected. If the result were larger than 48 KiB, more than one request can send, the stored
-- metadata is kept as it is.
create or replace function leadpipe.merge_metadata(p_stored jsonb, p_sent jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when p_sent is null or octet_length(merged::text) > 49152 then p_stored else merged end
  from (select coalesce(p_stored, '{}') || coalesce(p_sent, '{}')
    || case when p_stored ? 'setAside' and p_sent ? 'setAside'
         then jsonb_build_object('setAside', (p_stored -> 'setAside') || (p_sent -> 'setAside')) else '{}' end) as result (merged)
$$;

revoke all on function leadpipe.merge_metadata(jsonb, jsonb) from public, anon, authenticated;

-- Returns stored JSON as it is put into a reply. A value that readers of the reply could not handle is replaced by
-- {"unreadable": reason}, so that one row never fails a page, a feed or a claim. It may have `p_most` bytes.
create or replace function leadpipe.shown(p jsonb, p_most integer default 65536) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when octet_length(p::text) > p_most then jsonb_build_object('unreadable', format('it is larger than %s KiB', p_most / 1024))
    when p @? 'strict $.**{17}' then '{"unreadable": "it is nested deeper than 16 levels"}'
    else p end
$$;

revoke all on function leadpipe.shown(jsonb, integer) from public, anon, authenticated;

-- Returns a conversation as shown in the admin interface, without its messages and its metadata. Lists show many
-- conversations, and the metadata may be large; show_conversation adds it.
create or replace function leadpipe.conversation_document(c public.conversations, p jsonb default '{}') returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
      'id', c.id, 'customerId', c.customer_id, 'customerName', c.customer_name, 'customerPhone', c.customer_phone,
      'customerEmail', c.customer_email, 'startTime', leadpipe.iso8601(c.start_time), 'endTime', leadpipe.iso8601(c.end_time),
      'durationMinutes', c.duration_minutes, 'status', c.status, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
      'budget', c.budget, 'propertyType', c.property_type, 'preferredArea', c.preferred_area, 'intent', c.intent,
      'assignedAgentId', c.assigned_agent_id,
      'assignedAgentName', (select a.name from public.agents a where a.id = c.assigned_agent_id),
      'tags', to_jsonb(c.tags[:100]), 'notes', c.notes)
    || jsonb_build_object(
      'followUpDate', leadpipe.iso8601(c.follow_up_date), 'outcome', c.outcome, 'conversionValue', c.conversion_value,
      'leadScoreBreakdown', leadpipe.shown(c.lead_score_breakdown), 'source', c.source,
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

-- Returns the reply to every change: the current conversation and its version.
create or replace function leadpipe.conversation_reply(p_id uuid, p jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('version', leadpipe.conversation_version(c), 'conversation', leadpipe.conversation_document(c, p)
    || jsonb_build_object('metadata', leadpipe.shown(c.metadata)))
  from public.conversations c where c.id = p_id
$$;

revoke all on function leadpipe.conversation_reply(uuid, jsonb) from public, anon, authenticated;

-- Returns the facts that explain a conversation's state: the conversation, the times of its first 200 lead.updated
-- events, its newest 50 deliveries and its newest 20 events that have none but should, both as returned by
-- show_delivery, and its next follow-up.
create or replace function public.explain_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object(
    'now', leadpipe.iso8601(clock_timestamp()),
    'conversation', leadpipe.conversation_document(c, p) || jsonb_build_object('metadata', leadpipe.shown(c.metadata)),
    'additions', (
      select coalesce(jsonb_agg(leadpipe.iso8601(e.created_at) order by e.created_at), '[]')
      from (select e.created_at from public.lead_events e where e.conversation_id = c.id and e.event_type = 'lead.updated'
            order by e.created_at limit 200) e),
    'deliveries', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', d.id)) order by d.created_at, d.id), '[]')
      from (select d.id, d.created_at from public.notification_logs d where d.conversation_id = c.id
            order by d.created_at desc, d.id desc limit 50) d),
    'undelivered', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', e.id)) order by e.created_at, e.id), '[]')
      from (select e.id, e.created_at from public.lead_events e
            where e.conversation_id = c.id and leadpipe.event_notifies(e.event_type, e.payload)
              and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
            order by e.created_at desc, e.id desc limit 20) e),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;

revoke all on function public.explain_conversation(jsonb) from public, anon, authenticated;

grant execute on function public.explain_conversation(jsonb) to leadpipe_admin, service_role;

-- Returns a timeline entry as shown in the admin interface. Takes the row as jsonb, because a parameter of the table's
-- row type would prevent the table from being dropped.
create or replace function leadpipe.timeline_document(t jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', t -> 'id', 'type', t -> 'event_type', 'title', t -> 'title', 'description', t -> 'description',
    'actorType', t -> 'actor_type', 'actorName', t -> 'actor_name', 'at', leadpipe.iso8601((t ->> 'created_at')::timestamptz),
    'metadata', leadpipe.shown(t -> 'metadata'))
$$;

revoke all on function leadpipe.timeline_document(jsonb) from public, anon, authenticated;

-- Returns a message as shown in the admin interface.
create or replace function leadpipe.message_document(m public.chat_messages) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', m.id, 'sender', m.sender, 'messageText', m.message_text, 'messageType', m.message_type,
    'timestamp', leadpipe.iso8601(m."timestamp"), 'isRead', m.is_read, 'metadata', leadpipe.shown(m.metadata))
$$;

revoke all on function leadpipe.message_document(public.chat_messages) from public, anon, authenticated;

-- Returns the newest messages of a conversation, oldest first: at most `p_most` messages, and `p_bytes` bytes as they are
-- sent. A reply is a string in the handler's output, so quotes are escaped twice.
create or replace function leadpipe.newest_messages(p_conversation uuid, p_most integer, p_bytes integer) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(document order by "timestamp", created_at), '[]')
  from (select document, "timestamp", created_at, sum(octet_length(to_jsonb(document::text)::text))
                  over (order by "timestamp" desc, created_at desc rows unbounded preceding) as bytes
        from (select leadpipe.message_document(m) as document, m."timestamp", m.created_at
              from public.chat_messages m where m.conversation_id = p_conversation
              order by m."timestamp" desc, m.created_at desc limit p_most) newest) sized
  where bytes <= p_bytes
$$;

revoke all on function leadpipe.newest_messages(uuid, integer, integer) from public, anon, authenticated;

-- Returns a conversation with its version and its newest messages, at most 1,000 messages and 700 kB.
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
      'metadata', leadpipe.shown(c.metadata), 'messages', leadpipe.newest_messages(c.id, 1000, 700000)));
end
$$;

revoke all on function public.show_conversation(jsonb) from public, anon, authenticated;

grant execute on function public.show_conversation(jsonb) to leadpipe_admin, service_role;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel.
--
-- All functions in this folder take locks in one order: events by id, then deliveries, then channels. A claim waits for
-- no row: it skips what another session has locked, so that a session that hangs cannot stop all channels. They select
-- the rows to change by id (`= any`) and disable plans that scan whole tables: a long-lived session keeps a plan that
-- was made while a table was empty until the next analyze. jit is off because the planner cannot estimate how few rows
-- the limits leave, and would spend 25 ms on compiling a query that runs for 1 ms.
create or replace function public.claim_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := 100;
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_planned integer;
  v_unrouted integer;
  v_lapses timestamptz;
  v_deliveries jsonb;
  v_next timestamptz;
  v_horizon constant interval := make_interval(secs => coalesce((p ->> 'horizonSeconds')::double precision, 72 * 3600));
  v_parks constant boolean := coalesce(p ->> 'unknownOutcome' = 'park', false);
  v_probing public.notification_channel[];
  v_worker constant text := coalesce(p ->> 'worker', 'worker');
begin
  -- A claim that is lost in a crash of the server is made again. The next steps of a delivery commit synchronously,
  -- which also flushes the claim.
  perform set_config('synchronous_commit', 'off', true);
  if p -> 'fingerprints' is not null then
    perform leadpipe.update_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

  select planned, unrouted into v_planned, v_unrouted from leadpipe.plan_events(p -> 'channels', v_batch, v_now);
  if (p ->> 'isComplete')::boolean then
    perform leadpipe.reroute_deliveries(p -> 'channels');
  end if;

  v_lapses := leadpipe.expire_leases(v_parks, v_horizon, v_now);

  -- A misconfigured channel gets one delivery at a time, the probe, until an outcome of a class other than config is
  -- recorded. Only the call that locks the channel's row can claim the probe; for all other calls the channel is
  -- closed.
  select array_agg(n.channel) into v_probing from (
    select channel, probe from public.notification_channels
    where fail_streak > 0 and (paused_until is null or paused_until <= v_now)
    order by channel for no key update skip locked) n
  where not exists (select from public.notification_logs d where d.id = n.probe and d.lease_until > v_now);

  with entry as (
    select e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient, coalesce(e."limit", 10) as "limit"
    from jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text, "limit" integer)
    where not exists (
      select from public.notification_channels n where n.channel = e.channel::public.notification_channel
        and (n.paused_until > v_now or (n.fail_streak > 0 and n.channel <> all (coalesce(v_probing, '{}')))))
  ), due as materialized (
    select d.id, entry.channel, d.due_at from entry cross join lateral (
      select d.id, d.due_at from public.notification_logs d
      where d.channel = entry.channel and d.recipient = entry.recipient and d.due_at <= v_now
        and (d.lease_until is null or d.lease_until <= v_now)
      order by d.due_at limit greatest(entry."limit", 0) for no key update skip locked
    ) d
  ), total as materialized (
    select channel, leadpipe.paused_seconds(channel, v_now) as paused from (select distinct channel from entry) e
  ), chosen as (
    select id from due where channel <> all (coalesce(v_probing, '{}'))
    union
    select id from (select distinct on (channel) id from due where channel = any (v_probing) order by channel, due_at, id) probe
  ), claimed as (
    update public.notification_logs d set
      status = 'pending', lease_until = v_now + v_lease, leased_by = p ->> 'worker', fence = d.fence + 1, updated_at = v_now
    where d.id = any (array(select id from chosen))
    returning d.*
  ), probed as (
    update public.notification_channels n set probe = claimed.id
    from claimed where n.channel = any (v_probing) and claimed.channel = n.channel
  )
  select jsonb_agg(jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', e.id, 'eventType', e.event_type, 'eventAt', leadpipe.iso8601(e.created_at),
      'conversationId', d.conversation_id, 'payload', leadpipe.shown(e.payload))
      || case when clock.began > e.created_at then jsonb_build_object('retryFrom', leadpipe.iso8601(clock.began)) else '{}' end
      || case when (d.outcome_class is not null or d.replay_of is not null)
             and leadpipe.is_possible_repeat(d.id, d.lead_event_id, d.channel, d.recipient)
           then '{"possibleRepeat": true}'::jsonb else '{}' end
      || case when e.request_id is not null then jsonb_build_object('requestId', e.request_id) else '{}' end
      order by d.due_at, d.id)
  into v_deliveries
  from claimed d join public.lead_events e on e.id = d.lead_event_id and e.id = any (array(select lead_event_id from claimed))
  join total on total.channel = d.channel
  cross join lateral (
    select coalesce(d.retried_at, e.created_at)
      + make_interval(secs => greatest(total.paused - d.paused_before, 0)) as began
  ) clock;

  if v_planned + v_unrouted = v_batch then
    v_next := v_now;
  else
    v_next := least(v_lapses, leadpipe.next_due_at(p -> 'channels', v_probing, v_now));
  end if;

  -- Workers with the same name do not wait for each other.
  update public.workers w set last_seen = v_now, version = p ->> 'version',
    -- A worker sends the fingerprints with its first claim. In a container, a new worker can have the name of the old one.
    started_at = case when jsonb_typeof(p -> 'fingerprints') = 'object' then v_now else w.started_at end
  where w.name = (select o.name from public.workers o where o.name = v_worker for no key update skip locked);
  if not found then
    insert into public.workers (name, version, started_at, last_seen) select v_worker, p ->> 'version', v_now, v_now
    where not exists (select from public.workers o where o.name = v_worker) on conflict do nothing;
  end if;

  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', leadpipe.iso8601(v_next),
    -- The worker's clock may differ from the database's.
    'nextDueInMs', ceil(extract(epoch from v_next - clock_timestamp()) * 1000));
end
$$;

revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;

-- Ends a channel's pause, whatever its reason. Makes the deliveries due that waited for its end, and returns their
-- number; those that another session has locked keep their time. The paused time is kept, so that it does not count
-- against the time limit of any delivery.
create or replace function leadpipe.end_pause(p_channel public.notification_channel) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  update public.notification_logs d set next_attempt_at = v_now
  where d.id = any (array(
    select w.id from public.notification_logs w
    where w.channel = p_channel and w.due_at > v_now and w.status = 'failed' and w.outcome_class in ('throttled', 'config')
    order by w.id for no key update skip locked));
  get diagnostics v_count = row_count;
  update public.notification_channels n set
    paused_seconds = leadpipe.paused_seconds(n.channel, v_now), paused_since = null, paused_until = null, pause_class = null,
    pause_reason = null, fail_streak = 0, probe = null
  where n.channel = p_channel;
  return v_count;
end
$$;

revoke all on function leadpipe.end_pause(public.notification_channel) from public, anon, authenticated;

-- Reclaims deliveries whose worker stopped while sending. Their outcome is unknown. An attempt is used up, so that a
-- delivery that crashes its worker is not sent forever. The deliveries are sent again until `p_horizon` has passed.
-- With `p_parks`, those of channels other than email are parked instead: a repeated email is recognised by its
-- Message-ID, but a repeated message of another channel is not. Rows that another session has locked are left for a
-- later call. Returns when the next lease of a delivery that is being sent expires.
create or replace function leadpipe.expire_leases(p_parks boolean, p_horizon interval, p_now timestamptz) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_earliest timestamptz;
  v_events uuid[];
begin
  select min(d.lease_until) into v_earliest from public.notification_logs d where d.status = 'sending';
  if v_earliest <= p_now then
    with mine as materialized (
      select e.id, e.created_at from public.lead_events e
      where e.id in (select d.lead_event_id from public.notification_logs d where d.status = 'sending' and d.lease_until <= p_now)
      order by e.id for no key update skip locked
    ), free as materialized (
      select unnest(leadpipe.hold_conversations(array(
        select o.conversation_id from mine join public.notification_logs o on o.lead_event_id = mine.id))) as id
    ), held as materialized (
      select o.id, o.channel, o.paused_before, o.retried_at, mine.created_at
      from mine join public.notification_logs o on o.lead_event_id = mine.id
      where o.status = 'sending' and o.lease_until <= p_now
        and (o.conversation_id is null or o.conversation_id in (select id from free))
      order by o.id for no key update of o skip locked
    ), lapsed as (
      update public.notification_logs d set
        status = 'failed', outcome_class = 'unknown', retry_count = d.retry_count + 1,
        -- 3 seconds, because a live worker that could not record the outcome tries that again every second.
        next_attempt_at = case when not fate.parked and not fate.over then p_now + interval '3 seconds' end,
        lease_until = null, leased_by = null,
        error_message = case
          when fate.parked then 'It is unknown whether this arrived; it is parked: `leadpipe delivery retry ' || d.id || '` sends it again'
          when fate.over then 'The worker stopped while sending. It is unknown whether this arrived. The time limit for attempts has passed.'
          else 'The worker stopped while sending. It is unknown whether this arrived. It will be sent again.' end
      from held o cross join lateral (
        select p_parks and o.channel <> 'email' as parked, p_now > coalesce(o.retried_at, o.created_at) + p_horizon
          + make_interval(secs => greatest(leadpipe.paused_seconds(o.channel, p_now) - o.paused_before, 0)) as over
      ) fate
      where d.id = o.id and d.status = 'sending' and d.lease_until <= p_now
      returning d.id, d.fence, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at, d.error_message
    ), attempt_closed as (
      update public.notification_attempts a set finished_at = p_now, class = 'unknown'
      from lapsed where a.delivery = lapsed.id and a.fence = lapsed.fence and a.finished_at is null
    ), evented as (
      insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
      select 'notification.failed', conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown'),
        true, p_now, p_now
      from lapsed where next_attempt_at is null
    ), logged as (
      insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
      select conversation_id, 'notification_sent',
        case when p_parks and channel <> 'email' then 'Notification parked: ' else 'Notification failed via ' end || channel,
        error_message, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown')
      from lapsed where next_attempt_at is null and conversation_id is not null
    )
    select array_agg(distinct lead_event_id) into v_events from lapsed;
    if v_events is not null then
      perform leadpipe.settle_events(v_events);
    end if;
  end if;
  return case when v_earliest > p_now then v_earliest end;
end
$$;

revoke all on function leadpipe.expire_leases(boolean, interval, timestamptz) from public, anon, authenticated;

-- Returns those of the conversations that still exist and that no other session has locked against new rows that
-- reference them. They are locked so until the transaction ends, as the foreign keys would, but without waiting.
create or replace function leadpipe.hold_conversations(p_ids uuid[]) returns uuid[]
language sql set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(id), '{}') from (
    select c.id from public.conversations c where c.id = any (p_ids) order by c.id for key share skip locked) held
$$;

revoke all on function leadpipe.hold_conversations(uuid[]) from public, anon, authenticated;

-- Creates the deliveries of at most `p_most` new events: one for each entry of `p_channels` that includes the event's
-- type. Returns how many events have deliveries (`planned`), and how many need none and are marked as processed
-- (`unrouted`). Events and conversations that another session has locked are left for a later call.
create or replace function leadpipe.plan_events(
  p_channels jsonb, p_most integer, p_now timestamptz, out planned integer, out unrouted integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events,
      leadpipe.paused_seconds(channel::public.notification_channel, p_now) as paused
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text, events text[])
  ), oldest as materialized (
    select e.id, e.event_type, e.conversation_id from public.lead_events e
    where e.planned_at is null order by e.created_at, e.id limit p_most for no key update skip locked
  ), free as materialized (
    select unnest(leadpipe.hold_conversations(array(select conversation_id from oldest))) as id
  ), fresh as materialized (
    select * from oldest where conversation_id is null or conversation_id in (select id from free)
  ), route as (
    select fresh.id, fresh.conversation_id, entry.channel, entry.recipient, entry.paused
    from fresh join entry on (entry.events is null or fresh.event_type::text = any (entry.events))
      and (fresh.event_type <> 'newsletter.subscribed' or entry.channel = 'slack')
  ), made as (
    insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, paused_before)
    select id, conversation_id, channel, recipient, paused from route
    on conflict (lead_event_id, channel, recipient) where replay_of is null do nothing
  ), planned_events as (
    update public.lead_events e set
      planned_at = p_now, updated_at = p_now,
      processed = e.id <> all (array(select id from route)),
      processed_at = case when e.id <> all (array(select id from route)) then p_now end
    where e.id = any (array(select id from fresh))
    returning e.processed
  )
  select count(*) filter (where not processed), count(*) filter (where processed) into planned, unrouted from planned_events;
end
$$;

revoke all on function leadpipe.plan_events(jsonb, integer, timestamptz) from public, anon, authenticated;

-- Sends the finished notifications of an event once more, as new rows that are linked to the first. Raises LP404 if the
-- event does not exist, LP409 if none of its notifications is finished.
create or replace function public.replay_event(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from public.lead_events e where e.id = (p ->> 'id')::uuid) then
    raise exception using errcode = 'LP404', message = 'event_not_found';
  end if;
  v_done := public.replay_events(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done -> 'deliveries' = '[]' and v_done -> 'events' = '[]' then
    raise exception using errcode = 'LP409', message = case
      when exists (select from public.notification_logs d where d.lead_event_id = (p ->> 'id')::uuid)
      then 'event_not_finished' else 'event_without_notifications' end;
  end if;
  return jsonb_build_object('id', p -> 'id', 'deliveries', v_done -> 'deliveries');
end
$$;

revoke all on function public.replay_event(jsonb) from public, anon, authenticated;

grant execute on function public.replay_event(jsonb) to leadpipe_admin, service_role;

-- Sends finished notifications once more. For the newest delivery of each event, channel and recipient, it creates a
-- new delivery, linked by replay_of, and reopens the event. `ids`, `from` and `to` (the time of the event), `channel`
-- and `class` select the deliveries. Deliveries that are unfinished or were created since `asOf` are skipped, so that
-- two calls do not replay the same delivery. Events that were planned while no channel was configured for them are
-- planned again, unless a channel or class is given; their ids are in `events`. Each call replays at most 1,000
-- deliveries, oldest first; the next call continues at `after`. With `dryRun`, nothing is changed.
create or replace function public.replay_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_as_of timestamptz := coalesce((p ->> 'asOf')::timestamptz, v_now);
  v_is_dry boolean := coalesce((p ->> 'dryRun')::boolean, false);
  v_chosen uuid[];
  v_after jsonb;
  v_unrouted uuid[];
  v_found jsonb;
begin
  if p -> 'ids' is null and p ->> 'from' is null and p ->> 'to' is null and p ->> 'channel' is null and p ->> 'class' is null then
    raise exception 'ids, from, to, channel or class is required' using errcode = '22023';
  end if;
  select array_agg(id order by created_at, id) into v_chosen from (
    select d.id, d.created_at from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
    where (d.status in ('sent', 'delivered') or (d.status = 'failed' and d.next_attempt_at is null))
      and d.created_at < v_as_of
      and (p -> 'after' is null or (d.created_at, d.id) > ((p #>> '{after,at}')::timestamptz, (p #>> '{after,id}')::uuid))
      and (p -> 'ids' is null or d.lead_event_id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
      -- A delivery is never older than its event: the first condition lets the planner use the index.
      and (p ->> 'from' is null or (d.created_at >= (p ->> 'from')::timestamptz and e.created_at >= (p ->> 'from')::timestamptz))
      and (p ->> 'to' is null or e.created_at < (p ->> 'to')::timestamptz)
      and (p ->> 'channel' is null or d.channel = (p ->> 'channel')::public.notification_channel)
      and (p ->> 'class' is null or d.outcome_class = p ->> 'class')
      and not exists (select from public.notification_logs o
        where o.lead_event_id = d.lead_event_id and o.channel = d.channel and o.recipient = d.recipient
          and (o.created_at, o.id) > (d.created_at, d.id))
    order by d.created_at, d.id limit 1000) found;
  if array_length(v_chosen, 1) = 1000 then
    select jsonb_build_object('at', d.created_at::text, 'id', d.id) into v_after
    from public.notification_logs d where d.id = v_chosen[1000];
  end if;
  if not v_is_dry then
    -- Lock events first, as in all functions.
    perform from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (v_chosen)) order by e.id for no key update;
  end if;

  if p -> 'after' is null and p ->> 'channel' is null and p ->> 'class' is null then
    v_unrouted := array(
      select e.id from public.lead_events e
      where e.planned_at is not null and e.created_at < v_as_of and leadpipe.event_notifies(e.event_type, e.payload)
        and (p -> 'ids' is null or e.id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
        and (p ->> 'from' is null or e.created_at >= (p ->> 'from')::timestamptz)
        and (p ->> 'to' is null or e.created_at < (p ->> 'to')::timestamptz)
        and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
      order by e.id limit 10000 for no key update);
    update public.lead_events e set planned_at = null, processed = false, processed_at = null, updated_at = v_now
    where e.id = any (v_unrouted) and not v_is_dry;
  end if;

  with chosen as materialized (
    select d.*, gen_random_uuid() as new_id from public.notification_logs d where d.id = any (v_chosen)
  ), made as (
    insert into public.notification_logs (
      id, lead_event_id, conversation_id, channel, recipient, created_at, replay_of, retried_at, paused_before)
    select new_id, lead_event_id, conversation_id, channel, recipient, v_now, id, v_now, leadpipe.paused_seconds(channel, v_now)
    from chosen where not v_is_dry
  ), logged as (
    insert into public.conversation_timeline (conversation_id, event_type, title, actor_name, metadata)
    select conversation_id, 'notification_sent', 'Notification to be sent once more via ' || channel, p ->> 'by',
      jsonb_build_object('deliveryId', new_id, 'replayOf', id, 'channel', channel, 'by', p ->> 'by')
    from chosen where conversation_id is not null and not v_is_dry
  )
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
      'id', case when not v_is_dry then new_id end, 'replayOf', id, 'eventId', lead_event_id, 'channel', channel,
      'recipient', recipient, 'wasStatus', status, 'wasClass', outcome_class)) order by created_at, id), '[]')
  into v_found from chosen;
  if not v_is_dry then
    perform leadpipe.settle_events((select array_agg(distinct (d ->> 'eventId')::uuid) from jsonb_array_elements(v_found) d));
  end if;
  return jsonb_build_object('deliveries', v_found, 'events', coalesce(to_jsonb(v_unrouted), '[]'), 'asOf', v_as_of, 'after', v_after, 'isComplete', v_after is null);
end
$$;

revoke all on function public.replay_events(jsonb) from public, anon, authenticated;

grant execute on function public.replay_events(jsonb) to leadpipe_admin, service_role;

-- Stores a fingerprint of each channel's settings, which a worker reports when it starts. A changed fingerprint ends a
-- pause that the old settings caused, but not one that a provider requested. A channel that another session has locked
-- keeps its old fingerprint, and its pause, until the next worker starts.
create or replace function leadpipe.update_fingerprints(p_fingerprints jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
  v_held public.notification_channel[];
begin
  select coalesce(array_agg(channel), '{}') into v_held from (
    select n.channel from public.notification_channels n where p_fingerprints ? n.channel::text
    order by n.channel for no key update skip locked) n;
  for v_channel in
    select n.channel from public.notification_channels n join jsonb_each_text(p_fingerprints) f on f.key = n.channel::text
    where n.channel = any (v_held) and n.settings_fingerprint <> f.value and n.fail_streak > 0 order by n.channel
  loop
    perform leadpipe.end_pause(v_channel);
  end loop;
  update public.notification_channels n set settings_fingerprint = f.value from jsonb_each_text(p_fingerprints) f
  where n.channel = any (v_held) and f.key = n.channel::text and n.settings_fingerprint is distinct from f.value;
  insert into public.notification_channels (channel, settings_fingerprint)
  select f.key::public.notification_channel, f.value from jsonb_each_text(p_fingerprints) f
  where not exists (select from public.notification_channels n where n.channel::text = f.key)
  order by 1 on conflict do nothing;
end
$$;

revoke all on function leadpipe.update_fingerprints(jsonb) from public, anon, authenticated;

-- Returns an event with its deliveries, as shown in the admin interface. Takes the row as jsonb; see delivery_document.
create or replace function leadpipe.event_document(e jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', e -> 'id', 'type', e -> 'event_type', 'conversationId', e -> 'conversation_id',
    'payload', leadpipe.shown(e -> 'payload'), 'processed', e -> 'processed', 'retryCount', e -> 'retry_count', 'lastError', e -> 'last_error',
    'createdAt', leadpipe.iso8601((e ->> 'created_at')::timestamptz), 'plannedAt', leadpipe.iso8601((e ->> 'planned_at')::timestamptz),
    'processedAt', leadpipe.iso8601((e ->> 'processed_at')::timestamptz),
    'deliveries', (
      select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'channel', d.channel, 'state', leadpipe.delivery_document(to_jsonb(d)) -> 'state')
        order by d.created_at, d.id), '[]')
      from public.notification_logs d where d.lead_event_id = (e ->> 'id')::uuid))
$$;

revoke all on function leadpipe.event_document(jsonb) from public, anon, authenticated;

-- Returns the events since the cursor `after`, at most 500 events or 512 KiB as the feed sends them. An event that
-- alone is larger has only the id of its conversation. Without `after`, returns no events, only the cursor to start
-- from. The result is {"from", "events": [{"seq", "id", "event", "data"}], "cursor", "isComplete", "isReset"}. The `id`
-- of an event is the cursor that covers this event and all before it; `cursor` covers all events of the result, and
-- `from` none of them. If isComplete is false, more events follow `cursor`. If isReset is true, `after` belongs to
-- another cluster, to another timeline or to the future: events may have been missed, and the feed starts over. With
-- `recent`, the result also has the numbers of the latest events that `cursor` covers, so that a listener can skip
-- those that a slower feed sends again.
--
-- A cursor is `cluster/seen` or `cluster/seen/seeing/number`. It covers all events that are visible in the snapshot
-- `seen` and, of those visible in the snapshot `seeing`, the events up to the number. Event numbers and times are
-- assigned before a transaction commits, so a later event can become visible first. Comparing snapshots misses no
-- event, and a long transaction does not delay others.
create or replace function public.live_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_cluster text;
  v_to pg_snapshot;
  v_cursor text;
  v_recent jsonb;
  v_parts text[];
  v_from pg_snapshot;
  v_seeing pg_snapshot;
  v_number bigint := 0;
  v_event record;
  v_document jsonb;
  v_events jsonb[] := '{}';
  v_most constant integer := 524288;
  v_size integer;
  v_bytes integer := 0;
begin
  p := leadpipe.authorize(p, 'read');
  if to_regclass('public.lead_events') is null then
    raise exception using errcode = 'LP503', message = 'database_not_migrated';
  end if;
  select system_identifier || '.' || timeline_id into v_cluster from pg_control_system(), pg_control_checkpoint();
  v_to := pg_current_snapshot();
  v_cursor := v_cluster || '/' || v_to;
  v_recent := case when p ? 'recent' then jsonb_build_object('recent', (
    select coalesce(jsonb_agg(seq), '[]')
    from (select seq, xact from public.lead_events where xact is not null order by xact desc limit 200) last
    where pg_visible_in_snapshot(xact, v_to))) else '{}' end;
  if p ->> 'after' is null then
    return v_recent || jsonb_build_object('from', v_cursor, 'events', '[]'::jsonb, 'cursor', v_cursor, 'isComplete', true, 'isReset', false);
  end if;

  v_parts := string_to_array(p ->> 'after', '/');
  v_from := leadpipe.parse_snapshot(v_parts[2]);
  if cardinality(v_parts) = 4 and v_parts[4] ~ '^[0-9]{1,18}$' then
    v_seeing := leadpipe.parse_snapshot(v_parts[3]);
    v_number := v_parts[4];
  end if;
  if v_parts[1] !~ '^[0-9]{1,20}[.][0-9]{1,10}$' or v_from is null or cardinality(v_parts) not in (2, 4)
    or (cardinality(v_parts) = 4 and v_seeing is null) then
    raise exception using errcode = 'LP400', message = 'unknown_event_id', detail = '{"field": "lastEventId"}';
  end if;
  if v_parts[1] <> v_cluster or pg_snapshot_xmax(coalesce(v_seeing, v_from)) > pg_snapshot_xmax(v_to) then
    return v_recent || jsonb_build_object('from', v_cursor, 'events', '[]'::jsonb, 'cursor', v_cursor, 'isComplete', true, 'isReset', true);
  end if;

  -- First the rest of the events in `seeing`, then those added since.
  for round in case when v_seeing is null then 2 else 1 end .. 2 loop
    if round = 2 then
      v_from := coalesce(v_seeing, v_from);
      v_seeing := v_to;
      v_number := 0;
    end if;
    -- A snapshot does not cover the transactions in its list and those from its xmax on. An old transaction that is
    -- still open therefore costs one more lookup, not a scan of all events since it began.
    for v_event in
      select e.* from (
        select * from public.lead_events where xact >= pg_snapshot_xmax(v_from) and xact < pg_snapshot_xmax(v_seeing)
        union all
        select * from public.lead_events where xact = any (array(select pg_snapshot_xip(v_from)))
      ) e
      where pg_visible_in_snapshot(e.xact, v_seeing) and e.seq > v_number and e.event_type::text not in ('newsletter.subscribed', 'channel.test')
      order by e.seq limit 501
    loop
      v_document := leadpipe.live_event_document(v_event.event_type::text, v_event.conversation_id, v_event.payload, p);
      -- The feed sends the document as a string within a string, so quotes are escaped twice.
      v_size := octet_length(to_jsonb(to_jsonb(v_document::text)::text)::text);
      if v_size > v_most then
        v_document := jsonb_set(v_document, '{data}', '{"reason": "the conversation is too large for the feed; read it by its id"}');
        v_size := 0;
      end if;
      if cardinality(v_events) = 500 or v_bytes + v_size > v_most then
        return jsonb_build_object(
          'from', p -> 'after', 'events', to_jsonb(v_events), 'cursor', v_events[cardinality(v_events)] -> 'id',
          'isComplete', false, 'isReset', false);
      end if;
      v_bytes := v_bytes + v_size;
      v_events := v_events || jsonb_build_object(
        'seq', v_event.seq, 'id', concat_ws('/', v_cluster, v_from, v_seeing, v_event.seq), 'event', v_document -> 'event',
        'data', jsonb_build_object(
          'id', v_event.id, 'type', v_event.event_type, 'at', leadpipe.iso8601(v_event.created_at),
          'conversationId', v_event.conversation_id) || (v_document -> 'data'));
    end loop;
  end loop;
  return v_recent || jsonb_build_object(
    'from', p -> 'after', 'events', to_jsonb(v_events), 'cursor', v_cursor, 'isComplete', true, 'isReset', false);
end
$$;

revoke all on function public.live_events(jsonb) from public, anon, authenticated;

grant execute on function public.live_events(jsonb) to leadpipe_admin, service_role;

-- Returns false if the database's disk is full: a set that does not fit into work_mem is written to a temporary file.
create or replace function leadpipe.disk_has_room() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64kB' as $$
begin
  perform count(*) from generate_series(1, 4000);
  return true;
exception when disk_full then
  return false;
end
$$;

revoke all on function leadpipe.disk_has_room() from public, anon, authenticated;

-- Returns the data for /health. `mayCapture`: the login may store leads. A value is null if its table does not exist.
-- Reads partial indexes only, and writes a temporary file of 100 kB to see whether the disk is full. With
-- `olderThanSeconds`, counts only rows that are at least that old and rounds the worker's time down to a multiple of
-- it, but not to before the worker's start, so that unauthenticated callers cannot see the effect of their own
-- requests. A worker is silent if it has not claimed for a minute while events wait, or for ten minutes.
create or replace function public.health_report(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_old double precision := coalesce((p ->> 'olderThanSeconds')::double precision, 0);
  v_before timestamptz := clock_timestamp() - make_interval(secs => v_old);
  v_claimed timestamptz;
  v_seen timestamptz;
  v_has_workers boolean := to_regclass('public.workers') is not null;
  v_paused jsonb := '[]';
  v_unprocessed bigint;
  v_oldest timestamptz;
  v_failed bigint;
begin
  if v_has_workers then
    select max(last_seen), max(case when v_old > 0 then greatest(date_bin(make_interval(secs => v_old), last_seen, 'epoch'), started_at)
                               else last_seen end)
    into v_claimed, v_seen from public.workers;
  end if;
  if to_regclass('public.lead_events') is not null then
    select count(*), min(created_at) into v_unprocessed, v_oldest from public.lead_events
    where processed = false and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select count(*) into v_failed from public.notification_logs where status = 'failed' and created_at <= v_before;
  end if;
  if to_regclass('public.notification_channels') is not null then
    select coalesce(jsonb_agg(channel order by channel), '[]') into v_paused from public.notification_channels
    where paused_until > clock_timestamp() and coalesce(paused_since, updated_at) <= v_before;
  end if;
  return jsonb_build_object(
    'mayCapture', has_function_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user), 'public.capture_lead(jsonb)', 'execute'),
    'workerIsSilent', v_has_workers and case when v_unprocessed > 0 then coalesce(v_claimed, '-infinity') < clock_timestamp() - interval '1 minute'
      else v_claimed < clock_timestamp() - interval '10 minutes' end,
    'pausedChannels', v_paused, 'workerLastSeen', leadpipe.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'hasRoom', leadpipe.disk_has_room(),
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;

revoke all on function public.health_report(jsonb) from public, anon, authenticated;

grant execute on function public.health_report(jsonb) to leadpipe_admin, leadpipe_intake, leadpipe_worker, service_role;

-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, and workers that have stopped. Also deletes idempotency keys older than 7 days, and those made
-- from the content after an hour: they no longer have any effect. Without `days`, deletes only these keys. Unfinished
-- rows are kept, however old. Deletes at most about `batch` rows per call (default and maximum 1,000), in statements
-- that take milliseconds. `isComplete` is true when nothing is left. Locked rows are left for another call.
create or replace function public.prune(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch integer := least(greatest(coalesce((p ->> 'batch')::integer, 1000), 10), 1000);
  v_before timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
  v_old uuid[];
  v_gone uuid[];
  v_events integer := 0;
  v_deliveries integer := 0;
  v_attempts integer := 0;
  v_orphans integer := 0;
  v_keys integer;
begin
  with old as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys where created_at < clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1),
  repeats as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys
      where starts_with(key, 'repeat ') and created_at < clock_timestamp() - interval '1 hour'
        and created_at >= clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1)
  select (select count(*) from old) + (select count(*) from repeats) into v_keys;

  if v_before is not null then
    -- An event has about three deliveries with their attempts.
    select array_agg(id) into v_old from (
      select e.id from public.lead_events e
      where e.processed and e.processed_at < v_before
        and not exists (select from public.notification_logs d
                        where d.lead_event_id = e.id and (d.due_at is not null or d.status = 'sending'))
      order by e.processed_at limit v_batch / 10 for update of e skip locked) old;
    if v_old is not null then
      -- By ids: with a join, the planner might scan all attempts.
      select array_agg(d.id) into v_gone from public.notification_logs d where d.lead_event_id = any (v_old);
      delete from public.notification_attempts a where a.delivery = any (v_gone);
      get diagnostics v_attempts = row_count;
      delete from public.notification_logs d where d.lead_event_id = any (v_old);
      get diagnostics v_deliveries = row_count;
      delete from public.lead_events e where e.id = any (v_old);
      get diagnostics v_events = row_count;
    end if;
    -- Attempts whose deliveries were deleted with their conversation.
    delete from public.notification_attempts a where (a.delivery, a.fence) in (
      select o.delivery, o.fence from public.notification_attempts o
      where o.started_at < v_before and not exists (select from public.notification_logs d where d.id = o.delivery)
      order by o.started_at limit v_batch / 4 for update skip locked);
    get diagnostics v_orphans = row_count;
    delete from public.workers where name in (
      select w.name from public.workers w where w.last_seen < v_before order by w.name for update skip locked);
  end if;
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_keys < v_batch / 8);
end
$$;

revoke all on function public.prune(jsonb) from public, anon, authenticated;

grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;

-- Indexes the words of changed conversations, at most about `p_most` of them and for at most about `p_milliseconds`.
-- Returns how many are left, counted up to 100,000. Only one call at a time indexes; a concurrent call skips indexing.
create or replace function leadpipe.index_conversations(p_most integer default 2000, p_milliseconds integer default 300) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c_slice constant integer := 10;
  v_end timestamptz := clock_timestamp() + p_milliseconds * interval '1 millisecond';
  v_changed uuid[];
  v_count integer;
  v_done integer := 0;
  v_is_turn boolean := false;
begin
  if not exists (select from public.conversation_changes) then
    return 0;
  end if;
  if not current_setting('transaction_read_only')::boolean then
    insert into leadpipe.index_lock default values on conflict do nothing;
    perform from leadpipe.index_lock for update skip locked;
    v_is_turn := found;
  end if;
  if v_is_turn then
    loop
      with taken as (
        delete from public.conversation_changes
        where ctid = any (array(select ctid from public.conversation_changes limit c_slice))
        returning conversation_id
      )
      select array_agg(distinct conversation_id), count(*) into v_changed, v_count from taken;
      v_done := v_done + v_count;

      -- The lock keeps the conversations from being deleted before their words are stored.
      with changed as materialized (
        select c from public.conversations c where c.id = any (v_changed) order by c.id for key share
      ), made as (
        insert into public.conversation_words as w (conversation_id, created_at, lead_score, amount, words)
        select (c).id, coalesce((c).created_at, now()), coalesce((c).lead_score, 0), (c).budget_amount,
          leadpipe.conversation_terms(c, said.text)
        from changed, lateral (
          select left(string_agg(left(m.message_text, 20000), ' ' order by m."timestamp" desc, m.created_at desc), 50000)
          from public.chat_messages m where m.conversation_id = (c).id) as said (text)
        on conflict (conversation_id) do update set
          created_at = excluded.created_at, lead_score = excluded.lead_score, amount = excluded.amount, words = excluded.words
        returning w.words
      )
      insert into public.known_words select distinct lexeme from made, unnest(words) where lexeme !~ '=|^[0-9]+$' on conflict do nothing;
      exit when v_count < c_slice or v_done >= p_most or clock_timestamp() > v_end;
    end loop;
  end if;
  return (select count(*) from (select from public.conversation_changes limit 100000) waiting);
end
$$;

revoke all on function leadpipe.index_conversations(integer, integer) from public, anon, authenticated;

-- GET /api/admin/conversations: a page of conversations that match the filters. With `include` of metadata, each has its
-- metadata up to 12 KiB; with messages, its newest messages, at most 200 and 60 kB. So a page of 100 stays below the size
-- limit of a reply, whatever visitors have sent.
create or replace function public.list_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_found jsonb;
begin
  p := leadpipe.authorize(p, 'read');
  v_found := leadpipe.find_conversations(p);
  return jsonb_build_object(
      'data', (select coalesce(jsonb_agg(leadpipe.conversation_document(c, p)
                 || case when p -> 'include' ? 'metadata' then jsonb_build_object('metadata', leadpipe.shown(c.metadata, 12288)) else '{}' end
                 || case when p -> 'include' ? 'messages'
                 then jsonb_build_object('messages', leadpipe.newest_messages(c.id, 200, 60000)) else '{}' end order by n), '[]')
               from jsonb_array_elements_text(v_found -> 'ids') with ordinality as found (id, n)
               join public.conversations c on c.id = found.id::uuid),
      'page', coalesce((p ->> 'page')::integer, 1), 'limit', coalesce((p ->> 'limit')::integer, 25), 'nextCursor', v_found -> 'nextCursor')
    || v_found - 'ids';
end
$$;

revoke all on function public.list_conversations(jsonb) from public, anon, authenticated;

grant execute on function public.list_conversations(jsonb) to leadpipe_admin, service_role;
