-- Tables that make capture idempotent: the customers of phone numbers and email addresses, and the requests that were
-- answered.

create table if not exists public.customer_identities (
  kind text not null constraint customer_identities_kind_check check (kind in ('phone', 'email')),
  value text not null,
  customer_id uuid not null,
  constraint customer_identities_pkey primary key (kind, value)
);
create index if not exists customer_identities_customer_id_idx on public.customer_identities (customer_id);
select leadpipe.protect_table('public.customer_identities');
comment on table public.customer_identities is
  'The customer of each phone number (E.164) and email address (lower case). A phone number takes precedence over an email address.';

-- conversation_id has no foreign key: the key is stored before its conversation exists, and a key whose conversation
-- was deleted counts as unused.
create table if not exists public.idempotency_keys (
  route text not null,
  key text not null,
  body_sha256 bytea not null,
  conversation_id uuid,
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (route, key)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index if not exists idempotency_keys_created_at_idx on public.idempotency_keys (created_at);
create index if not exists idempotency_keys_repeat_idx on public.idempotency_keys (created_at) where starts_with(key, 'repeat ');
select leadpipe.protect_table('public.idempotency_keys');
comment on table public.idempotency_keys is
  'Requests that were answered. A repeat with the same body gets the same reply; a different body is rejected. Valid for 7 days, and for 30 seconds if the key was made from the content.';
comment on column public.idempotency_keys.body_sha256 is 'SHA-256 of the body as jsonb text, without the key.';

-- Adds the messages that the conversation does not have yet, and returns their number. A client id that is a UUID
-- becomes the row's id unless another row has it.
create or replace function leadpipe.add_messages(p_conversation uuid, p_messages jsonb, p_received timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_wanted integer := jsonb_array_length(p_messages);
  v_added integer := 0;
  v_count integer;
  v_first boolean := true;
begin
  loop
    insert into public.chat_messages as stored
      (id, conversation_id, client_id, sender, message_text, message_type, "timestamp", metadata, created_at)
    select
      case when kept then uuid else gen_random_uuid() end, p_conversation, client_id, sender, text, type, "timestamp",
      metadata || case when kept then '{}' else jsonb_build_object('clientId', client_id) end,
      -- Messages of one request often have the same time; the microseconds keep their order.
      now() + "position" * interval '1 microsecond'
    from (
      select m.*, uuid is not null and taken_by is null as kept, taken_by
      from leadpipe.message_fields(p_messages, p_received) as m,
           -- A sub-select, not a join: it always uses the index, whatever row counts the planner expects.
           lateral (select (select o.conversation_id from public.chat_messages o where o.id = m.uuid) offset 0) as other (taken_by)
    ) fresh
    where taken_by is distinct from p_conversation and (v_first or given)
    -- No conflict target: the id or the client id may be in use.
    on conflict do nothing;
    get diagnostics v_count = row_count;
    v_added := v_added + v_count;
    -- A skipped message is a repeat, or another conversation has taken its id since the statement began. A second pass
    -- stores messages of the latter kind under new ids. If it adds none, the loop ends.
    exit when v_count = 0 or v_added >= v_wanted;
    v_first := false;
  end loop;
  return v_added;
end
$$;
revoke all on function leadpipe.add_messages(uuid, jsonb, timestamptz) from public, anon, authenticated;

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
    tags = case when v_proven then s.tags || array(select t from unnest(l.tags) with ordinality as sent (t, n)
                                                   where t <> all (s.tags) order by n) else s.tags end,
    notes = case when v_proven then coalesce(l.notes, s.notes) else s.notes end,
    metadata = case when v_proven then coalesce(s.metadata, '{}') || coalesce(l.metadata, '{}') else s.metadata end
  where s.id = v_id
  returning s.customer_id, s.customer_name, s.customer_phone, s.customer_email, s.status, s.lead_score, s.lead_quality,
    s.first_response_at, s.created_at, s.updated_at into c;

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
    -- note_added, because the customer added something. customer_contacted is for contact by an agent.
    perform public.add_timeline_entry(v_id, 'note_added', 'Lead Updated', null, 'customer', null, null,
      jsonb_build_object('messagesAdded', v_added, 'proven', v_proven));
  end if;

  return jsonb_build_object(
    'outcome', 'continued', 'created', false, 'id', v_id, 'status', c.status,
    'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at),
    'eventId', v_event, 'messagesAdded', v_added)
    || case when v_rises then jsonb_build_object('rise', v_facts - '{messagesAdded,proven}'::text[]) else '{}' end
    || case when v_reopens then jsonb_build_object('reopenedFrom', v_before.status) else '{}' end;
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

-- Stores the new leads of an array of arguments of capture_lead. A lead is new if neither its idempotency key nor its
-- conversation exists and no earlier lead of the array has the same key, conversation, phone number or email address.
-- Returns the replies by position in the array, counted from 1. Raises unique_violation if a concurrent call stores the
-- same lead and, unless `p_careful` is true, if another conversation has the id of a message.
create or replace function leadpipe.capture_new_leads(p jsonb, p_careful boolean default false) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_has_events boolean := to_regclass('public.lead_events') is not null;
  v_repeats bigint[] := '{}';
  v_stored jsonb;
  v_wanted integer;  -- messages
  v_added integer := 0;
begin
  -- Skipped for a single lead, because a new connection would have to plan the statement.
  if jsonb_array_length(p) > 1 then
    select coalesce(array_agg(n), '{}') into v_repeats from (
      select s.n, row_number() over (partition by name order by s.n) as use
      from jsonb_array_elements(p) with ordinality as s (lead, n),
           lateral leadpipe.lead_identifiers(lead) as name
    ) used where use > 1;
  end if;

  with new as materialized (
    select s.n, s.lead, s.lead ->> 'route' as route, nullif(s.lead #>> '{idempotency,key}', '') as key,
      coalesce((s.lead ->> 'receivedAt')::timestamptz, now()) as received,
      coalesce((s.lead ->> 'conversationId')::uuid, gen_random_uuid()) as id, f.*,
      -- The phone number takes precedence over the email address.
      phone_of, email_of, coalesce(phone_of, email_of, gen_random_uuid()) as customer
    from jsonb_array_elements(p) with ordinality as s (lead, n), lateral leadpipe.lead_fields(s.lead -> 'lead') as f, lateral (
      select (select k.key from public.idempotency_keys k where k.route = s.lead ->> 'route' and k.key = s.lead #>> '{idempotency,key}'),
             (select c.id from public.conversations c where c.id = (s.lead ->> 'conversationId')::uuid),
             (select i.customer_id from public.customer_identities i where i.kind = 'phone' and i.value = f.phone),
             (select i.customer_id from public.customer_identities i where i.kind = 'email' and i.value = lower(f.email))
      offset 0) as known (key_used, conversation_used, phone_of, email_of)
    where key_used is null and conversation_used is null and s.n <> all (v_repeats)
  ), keys as (
    insert into public.idempotency_keys (route, key, body_sha256, conversation_id)
    select route, key, sha256(convert_to(coalesce(lead #>> '{idempotency,content}', ''), 'UTF8')), id
    from new where key is not null
  ), stored as (
    insert into public.conversations (
      id, customer_id, customer_name, customer_phone, customer_email, start_time, end_time, duration_minutes, status,
      lead_score, lead_quality, lead_score_breakdown, budget, property_type, preferred_area, intent, tags, notes,
      metadata, device_info, source, sla_response_deadline, idempotency_key, budget_amount, budget_min, budget_max, budget_currency,
      budget_period, created_at, updated_at)
    select
      id, customer, name, phone, email, coalesce(start_time, received), end_time, duration, 'new',
      coalesce(score, 0), coalesce(quality, 'cold'), breakdown, budget, property_type, preferred_area, intent, tags, notes,
      metadata, device_info, lead ->> 'source', deadline, route || ':' || key, budget_amount, budget_min, budget_max, budget_currency,
      budget_period, now(), now()
    from new
  ), identities as (
    insert into public.customer_identities (kind, value, customer_id)
    select name.kind, name.value, customer
    from new, lateral (values ('phone', phone, phone_of), ('email', lower(email), email_of)) as name (kind, value, known)
    where name.value is not null and name.known is null
  )
  select jsonb_agg(jsonb_build_object('n', n, 'id', id, 'received', received, 'messages', messages, 'event', event)), sum(messages)
  into v_stored, v_wanted
  from (
    select new.*, case when v_has_events then gen_random_uuid() end as event,
      case when jsonb_typeof(lead -> 'messages') = 'array' then jsonb_array_length(lead -> 'messages') else 0 end as messages
    from new
  ) facts;

  if p_careful then
    perform leadpipe.add_messages(id, p -> (n - 1) -> 'messages', received)
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, received timestamptz, messages integer) where messages > 0;
  elsif v_wanted > 0 then
    insert into public.chat_messages
      (id, conversation_id, client_id, sender, message_text, message_type, "timestamp", metadata, created_at)
    select
      coalesce(m.uuid, gen_random_uuid()), s.id, m.client_id, m.sender, m.text, m.type, m."timestamp",
      m.metadata || case when m.uuid is null then jsonb_build_object('clientId', m.client_id) else '{}' end,
      now() + m."position" * interval '1 microsecond'
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, received timestamptz, messages integer),
         lateral leadpipe.message_fields(p -> (n - 1) -> 'messages', received) as m
    where s.messages > 0;
    get diagnostics v_added = row_count;
  end if;

  if v_has_events then
    insert into public.lead_events (id, event_type, conversation_id, payload, processed, processed_at, planned_at, request_id)
    select event, type, id, coalesce(lead #> '{event,payload}', '{}'), done is not null, done, done, lead ->> 'requestId'
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, event uuid),
         lateral (select p -> (n - 1)) as sent (lead),
         lateral (select coalesce(lead #>> '{event,type}', 'lead.created')::public.lead_event_type) as named (type),
         lateral (select case when not leadpipe.event_notifies(type, '{}') then now() end) as quiet (done);
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    insert into public.conversation_timeline (conversation_id, event_type, title, description)
    select id, 'created', coalesce(leadpipe.to_nfc(lead #>> '{timeline,title}'), 'Lead Created'), leadpipe.to_nfc(lead #>> '{timeline,description}')
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid), lateral (select p -> (n - 1)) as sent (lead);
  end if;

  return (
    select jsonb_object_agg(n, jsonb_build_object(
      'outcome', 'created', 'created', true, 'id', id, 'status', 'new',
      'createdAt', leadpipe.iso8601(now()), 'updatedAt', leadpipe.iso8601(now()), 'eventId', event,
      'messagesAdded',
        case when v_added < v_wanted then (select count(*) from public.chat_messages m where m.conversation_id = s.id) else messages end))
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, messages integer, event uuid));
end
$$;
revoke all on function leadpipe.capture_new_leads(jsonb, boolean) from public, anon, authenticated;

-- Returns the fields of a lead, from the argument of capture_lead, in the form in which they are stored.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.lead_fields(p jsonb)
returns table (
  name text, phone text, email text, intent text, budget text, property_type text, preferred_area text, notes text, tags text[],
  score integer, quality text, breakdown jsonb, metadata jsonb, device_info jsonb, start_time timestamptz, end_time timestamptz,
  duration integer, deadline timestamptz, budget_amount double precision, budget_min double precision, budget_max double precision,
  budget_currency text, budget_period text)
language sql stable as $$
  select
    nullif(leadpipe.to_nfc("customerName"), ''), nullif(leadpipe.to_nfc("customerPhone"), ''), nullif(leadpipe.to_nfc("customerEmail"), ''),
    nullif(leadpipe.to_nfc(sent.intent), ''), nullif(leadpipe.to_nfc(sent.budget), ''), nullif(leadpipe.to_nfc("propertyType"), ''),
    nullif(leadpipe.to_nfc("preferredArea"), ''), nullif(leadpipe.to_nfc(sent.notes), ''),
    case when sent.tags is null or sent.tags = '{}' then '{}' else
      (select coalesce(array_agg(tag order by first), '{}')
       from (select leadpipe.to_nfc(t) as tag, min(n) as first
             from unnest(sent.tags) with ordinality as each (t, n) where t is not null group by 1) unique_tags) end,
    "leadScore", "leadQuality", "leadScoreBreakdown", sent.metadata, "deviceInfo", "startTime", "endTime", "durationMinutes",
    "slaDeadline", "budgetAmount", "budgetMin", "budgetMax", "budgetCurrency", "budgetPeriod"
  from jsonb_to_record(p) as sent (
    "customerName" text, "customerPhone" text, "customerEmail" text, intent text, budget text, "propertyType" text,
    "preferredArea" text, "leadScore" integer, "leadQuality" text, "leadScoreBreakdown" jsonb, tags text[], notes text,
    metadata jsonb, "deviceInfo" jsonb, "startTime" timestamptz, "endTime" timestamptz, "durationMinutes" integer,
    "slaDeadline" timestamptz, "budgetAmount" double precision, "budgetMin" double precision, "budgetMax" double precision,
    "budgetCurrency" text, "budgetPeriod" text)
$$;
revoke all on function leadpipe.lead_fields(jsonb) from public, anon, authenticated;

-- Returns the identifiers that two leads can share: idempotency key, conversation, phone number and email address.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.lead_identifiers(p jsonb) returns table (name text)
language sql stable as $$
  select value
  from (values ((p ->> 'route') || ' ' || (p #>> '{idempotency,key}')), (lower(p ->> 'conversationId')),
               (p #>> '{lead,customerPhone}'), (lower(p #>> '{lead,customerEmail}'))) as said (value)
  where value is not null
$$;
revoke all on function leadpipe.lead_identifiers(jsonb) from public, anon, authenticated;

-- Returns the value to keep. A missing value never clears a stored one. A proven request, which has the customer's
-- phone number or email address, replaces a stored value; any other request only fills an empty one.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.merge_text(p_stored text, p_sent text, p_proven boolean) returns text language sql immutable as
  $$ select case when p_proven then coalesce(nullif(p_sent, ''), p_stored) else coalesce(nullif(p_stored, ''), p_sent) end $$;
revoke all on function leadpipe.merge_text(text, text, boolean) from public, anon, authenticated;

-- Returns the fields of messages in the form in which they are stored. Of several messages with the same client id,
-- only the first is returned. `uuid` is the client id if that is a UUID. `given` is false if the client sent no id and
-- one was generated.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.message_fields(p jsonb, p_received timestamptz)
returns table (
  client_id text, uuid uuid, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb, "position" bigint,
  given boolean)
language sql stable as $$
  select distinct on (client_id)
    client_id, case when is_uuid then client_id::uuid end, coalesce(sent.sender, 'customer'), leadpipe.to_nfc(coalesce(sent.text, '')),
    coalesce(sent.type, 'text'), coalesce(sent."timestamp", p_received), coalesce(sent.metadata, '{}'), sent."position", given
  from (
    select m.*, m.id is not null as given, is_uuid, case when is_uuid then lower(named) else named end as client_id
    from rows from (jsonb_to_recordset(p) as (id text, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb))
         with ordinality as m (id, sender, text, type, "timestamp", metadata, "position"),
         -- `offset 0`: evaluated once, not for each use.
         lateral (select coalesce(m.id, gen_random_uuid()::text) offset 0) as id (named),
         lateral (select lower(named collate "C") ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' offset 0) as shape (is_uuid)
  ) sent
  order by client_id, sent."position"
$$;
revoke all on function leadpipe.message_fields(jsonb, timestamptz) from public, anon, authenticated;

-- Returns the argument of capture_lead with a key for a request that has none. The key names its content and its client,
-- so that a request that a browser sends again is a repeat. A client's own key has no space.
create or replace function leadpipe.name_repeat(p jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when p #>> '{idempotency,client}' is null or p #>> '{idempotency,key}' is not null then p
    else jsonb_set(p, '{idempotency,key}', to_jsonb('repeat ' || encode(sha256(convert_to(
      (p #>> '{idempotency,client}') || ' ' || coalesce(p #>> '{idempotency,content}', ''), 'UTF8')), 'hex')))
  end
$$;
revoke all on function leadpipe.name_repeat(jsonb) from public, anon, authenticated;

-- Stores that a phone number and an email address belong to a customer. Returns the customer to whom they belong, who
-- may be another one if a concurrent request stored the same person first. The phone number is stored before the email
-- address, so that two requests cannot deadlock.
create or replace function leadpipe.remember_customer(p_phone text, p_email text, p_customer uuid) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_customer uuid := p_customer;
  v_new_phone boolean := false;
begin
  if p_phone is not null then
    insert into public.customer_identities (kind, value, customer_id) values ('phone', p_phone, v_customer)
    on conflict do nothing;
    v_new_phone := found;
    if not v_new_phone then
      select customer_id into v_customer from public.customer_identities where kind = 'phone' and value = p_phone;
    end if;
  end if;

  if p_email is not null then
    insert into public.customer_identities (kind, value, customer_id) values ('email', p_email, v_customer)
    on conflict do nothing;
    -- The email address exists already. Its customer is used unless the phone number existed already too.
    if not found and (p_phone is null or v_new_phone) then
      select customer_id into v_customer from public.customer_identities where kind = 'email' and value = p_email;
      update public.customer_identities set customer_id = v_customer
      where kind = 'phone' and value = p_phone and customer_id <> v_customer;
    end if;
  end if;
  return v_customer;
end
$$;
revoke all on function leadpipe.remember_customer(text, text, uuid) from public, anon, authenticated;
