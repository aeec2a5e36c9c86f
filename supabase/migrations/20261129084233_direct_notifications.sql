-- Generated from schemas/ by `make migration`, except for the order of the tables. This file can run again at any time.

create table if not exists leadpipe.unsent_leads (
  id uuid constraint unsent_leads_pkey primary key default leadpipe.uuid_v7(),
  event_type public.lead_event_type not null,
  conversation_id uuid not null
    constraint unsent_leads_conversation_id_fkey references public.conversations (id) on delete cascade,
  payload jsonb not null default '{}',
  request_id text,
  created_at timestamptz not null default now(),
  planned_at timestamptz
);

revoke all on table leadpipe.unsent_leads from public, anon, authenticated, service_role;

create index if not exists unsent_leads_conversation_id_idx on leadpipe.unsent_leads (conversation_id);

create index if not exists unsent_leads_unplanned_idx on leadpipe.unsent_leads (created_at, id) where planned_at is null;

comment on table leadpipe.unsent_leads is 'Leads that were stored without an event and have not been announced on every channel.';

comment on column leadpipe.unsent_leads.planned_at is 'When the deliveries of the lead were created; null until then.';

create table if not exists leadpipe.direct_deliveries (
  id uuid constraint direct_deliveries_pkey primary key default leadpipe.uuid_v7(),
  lead_id uuid not null
    constraint direct_deliveries_lead_id_fkey references leadpipe.unsent_leads (id) on delete cascade,
  channel public.notification_channel not null,
  recipient text not null default 'default',
  status text not null default 'pending'
    constraint direct_deliveries_status_check check (status in ('pending', 'sending', 'sent', 'failed')),
  retry_count integer not null default 0,
  due_at timestamptz,
  lease_until timestamptz,
  leased_by text,
  fence bigint not null default 0,
  outcome_class text,
  may_have_arrived boolean not null default false,
  error_message text
);

revoke all on table leadpipe.direct_deliveries from public, anon, authenticated, service_role;

create unique index if not exists direct_deliveries_lead_id_channel_recipient_key on leadpipe.direct_deliveries (lead_id, channel, recipient);

create index if not exists direct_deliveries_due_idx on leadpipe.direct_deliveries (channel, recipient, due_at) where due_at is not null;

comment on table leadpipe.direct_deliveries is 'Deliveries of unsent_leads; see notification_logs for the columns of the same name.';

comment on column leadpipe.direct_deliveries.due_at is 'When the delivery can be claimed; null once it is sent or given up.';

comment on column leadpipe.direct_deliveries.may_have_arrived is 'True after an attempt with an unknown outcome: a later message is marked as a possible repeat.';

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
  v_qualifies boolean;  -- the quality rises
  v_announces boolean;  -- and this is to be notified
  v_moves boolean;  -- an answered lead has another phone number or email address
  v_rebudgets boolean;
  v_before record;  -- status, score and quality as stored
  v_closed boolean;
  v_said bigint;  -- the customer's stored messages
  v_reopens boolean;
  v_facts jsonb;
  v_message text;  -- the customer's latest new message
  v_added integer := 0;
  -- Signs of a robot in this request, and whether a valid form token brings a conversation back that was kept aside.
  v_spam constant jsonb := leadpipe.spam_metadata(p);
  v_releases boolean := false;
  v_unstored jsonb;  -- what an unproven request says about the customer; only the timeline has it
  v_event uuid;
  l record;  -- the lead as sent, or nothing of it if it is ignored
  v_sent record;
  v_ignores boolean;
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
  v_customer := coalesce(v_customer, (p #>> '{ids,customer}')::uuid, leadpipe.uuid_v7());

  -- NO KEY: concurrent inserts of events and timeline entries, which reference the row, need not wait.
  select s.customer_phone, s.customer_email, s.lead_score, s.lead_quality, s.status, s.budget, s.created_at, s.updated_at, s.erased_at into c
  from public.conversations s where s.id = v_id for no key update;
  if not found then
    raise exception using errcode = 'LPTRY', message = 'write_conflict';
  end if;
  -- A chat that is still open sends what it has sent before. What was erased is not stored again; a request without newer
  -- messages changes nothing.
  if c.erased_at is not null and jsonb_typeof(p -> 'messages') = 'array' and p -> 'messages' <> '[]' then
    p := jsonb_set(p, '{messages}', (
      select coalesce(jsonb_agg(m order by n), '[]') from jsonb_array_elements(p -> 'messages') with ordinality as sent (m, n)
      where (m ->> 'timestamp')::timestamptz > c.erased_at));
    if p -> 'messages' = '[]' then
      return jsonb_build_object(
        'outcome', 'continued', 'created', false, 'id', v_id, 'status', c.status, 'createdAt', leadpipe.iso8601(c.created_at),
        'updatedAt', leadpipe.iso8601(c.updated_at), 'eventId', null, 'messagesAdded', 0);
    end if;
  end if;
  v_proven := coalesce(c.customer_phone = l.phone, false) or coalesce(lower(c.customer_email) = lower(l.email), false);
  -- What looks like a robot's changes nothing in a conversation that does not.
  v_ignores := v_spam is not null and c.status <> 'spam';
  v_proven := v_proven and not v_ignores;
  v_sent := l;
  if v_ignores then
    select * into l from leadpipe.lead_fields('{}');
  end if;
  v_releases := c.status = 'spam' and v_proven and v_spam is null and coalesce((p ->> 'hasToken')::boolean, false);
  v_reachable := v_ignores or nullif(c.customer_phone, '') is not null or nullif(c.customer_email, '') is not null;
  -- What was read in the budget is stored with it.
  v_rebudgets := l.budget is not null and (v_proven or nullif(c.budget, '') is null);
  v_rises := v_proven and l.score is not null and l.score > coalesce(c.lead_score, 0);
  v_closed := c.status in ('completed', 'lost') and v_spam is null;
  v_before := c;

  update public.conversations s set
    -- A row without a customer gets the customer of its stored phone number or email address, not of an unproven one.
    customer_id = coalesce(s.customer_id, case when v_proven or not v_reachable then v_customer end,
      (select i.customer_id from public.customer_identities i
       where (i.kind = 'phone' and i.value = s.customer_phone) or (i.kind = 'email' and i.value = lower(s.customer_email))
       order by i.kind desc limit 1), v_customer),
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
    sla_response_deadline = case when s.status = 'spam' then null when v_proven then least(s.sla_response_deadline, l.deadline) else s.sla_response_deadline end,
    -- At most 50 tags, as in one request; the oldest are kept.
    tags = case when v_proven then (s.tags || array(select t from unnest(l.tags) with ordinality as sent (t, n)
                                                    where t <> all (s.tags) order by n))[:greatest(50, cardinality(s.tags))] else s.tags end,
    notes = case when v_proven then coalesce(l.notes, s.notes) else s.notes end,
    metadata = case when v_proven then leadpipe.merge_metadata(s.metadata,
      case when v_spam is null then l.metadata else coalesce(l.metadata, '{}') || v_spam end) else s.metadata end
  where s.id = v_id
  returning s.customer_id, s.customer_name, s.customer_phone, s.customer_email, s.status, s.lead_score, s.lead_quality,
    s.intent, s.budget, s.property_type, s.preferred_area, s.tags, s.metadata, s.source, s.first_response_at, s.created_at, s.updated_at into c;

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
    perform leadpipe.reopen_follow_ups(v_id);
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

  if v_releases then
    update public.conversations s set
      status = case when s.first_response_at is null then 'new' else 'in-progress' end,
      sla_response_deadline = case when s.first_response_at is null
        then coalesce((p #>> array['lead', 'slaDeadlines', s.lead_quality])::timestamptz, l.deadline) end
    where s.id = v_id
    returning s.status, s.updated_at into c.status, c.updated_at;
    perform leadpipe.reopen_follow_ups(v_id);
    if c.first_response_at is null then
      perform leadpipe.release_spam(v_id, jsonb_strip_nulls(jsonb_build_object('customerName', c.customer_name, 'customerPhone', c.customer_phone,
        'customerEmail', c.customer_email, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality)));
    end if;
  end if;

  v_qualifies := v_rises and array_position('{cold,warm,hot}', c.lead_quality) > array_position('{cold,warm,hot}', v_before.lead_quality);
  -- The event of a reopened conversation has the new score and notifies in any case.
  v_announces := v_qualifies and not v_reopens and v_before.status <> 'spam' and coalesce(p -> 'notifyQualified', '["hot"]') ? c.lead_quality;
  -- Once for each quality, even if an agent has lowered it since.
  if v_announces and leadpipe.has_events() then
    v_qualifies := not exists (select from public.lead_events where idempotency_key = 'lead.qualified:' || v_id || ':' || c.lead_quality);
    v_announces := v_qualifies;
  end if;
  v_moves := v_proven and c.first_response_at is not null and v_before.status <> 'spam' and not v_reopens and not v_announces
    and (nullif(c.customer_phone, ''), lower(nullif(c.customer_email, '')))
      is distinct from (nullif(v_before.customer_phone, ''), lower(nullif(v_before.customer_email, '')));
  if v_added > 0 and (v_reopens or v_announces or v_moves) then
    select m.text into v_message from (
      select distinct on (client_id) * from leadpipe.message_fields(p -> 'messages', now()) order by client_id, "position") as m
    where m.sender = 'customer' order by m."position" desc limit 1;
  end if;
  v_facts := jsonb_build_object('messagesAdded', v_added, 'proven', v_proven)
    || case when v_rises then jsonb_build_object('score', c.lead_score, 'quality', c.lead_quality,
         'scoreBefore', v_before.lead_score, 'qualityBefore', v_before.lead_quality) else '{}' end;
  -- The event of a reopened conversation notifies, so it has the facts of a new lead and the customer's latest
  -- message. The customer is the stored one, because an unproven request may name another.
  v_event := leadpipe.emit_or_keep('lead.updated', v_id, v_facts || case when v_reopens then
    jsonb_strip_nulls(jsonb_build_object('message', v_message))
    || coalesce(nullif(p #> '{event,payload}', 'null'), '{}') - '{customerName,customerPhone,customerEmail}'::text[] || jsonb_strip_nulls(jsonb_build_object(
      'reopenedFrom', v_before.status, 'customerName', c.customer_name, 'customerPhone', c.customer_phone,
      'customerEmail', c.customer_email, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality))
    when v_moves then jsonb_strip_nulls(jsonb_build_object('conversation', v_id, 'source', c.source, 'message', v_message,
      'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
      'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'contactBefore', jsonb_build_object(
        'customerPhone', nullif(v_before.customer_phone, ''), 'customerEmail', nullif(v_before.customer_email, '')))) else '{}' end);
  -- All facts are the stored ones.
  if v_qualifies then
    perform leadpipe.emit_or_keep('lead.qualified', v_id, v_facts - '{messagesAdded,proven}'::text[] || case when v_announces then
      jsonb_strip_nulls(jsonb_build_object('risenFrom', v_before.lead_quality, 'conversation', v_id, 'source', c.source,
        'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
        'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
        'leadScoreBefore', v_before.lead_score, 'intent', c.intent, 'budget', c.budget, 'propertyType', c.property_type,
        'preferredArea', c.preferred_area, 'message', v_message)) else '{}' end,
      case when v_announces then 'lead.qualified:' || v_id || ':' || c.lead_quality end);
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    if v_releases then
      perform public.add_timeline_entry(v_id, 'status_changed', 'Not spam: a valid form token came with a later submission',
        format('Status %s, was %s', c.status, v_before.status), 'system', null, null,
        jsonb_build_object('from', v_before.status, 'to', c.status));
    end if;
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
        'customerName', nullif(v_sent.name, c.customer_name), 'customerPhone', nullif(v_sent.phone, c.customer_phone),
        'customerEmail', nullif(lower(v_sent.email), lower(c.customer_email)), 'intent', nullif(v_sent.intent, c.intent),
        'budget', nullif(v_sent.budget, c.budget), 'propertyType', nullif(v_sent.property_type, c.property_type),
        'preferredArea', nullif(v_sent.preferred_area, c.preferred_area), 'notes', v_sent.notes, 'setAside', v_sent.metadata -> 'setAside')), '{}');
    end if;
    -- note_added, because the customer added something. customer_contacted is for contact by an agent.
    perform public.add_timeline_entry(v_id, 'note_added', case when v_ignores then 'Submission that looks like a robot''s' else 'Lead Updated' end,
      (select case when v_ignores then E'Not stored:\n' else E'Not stored, because the sender may be another person:\n' end || string_agg(d.key || ': ' || d.value, E'\n')
       from jsonb_each_text(v_unstored) d),
      'customer', null, null, jsonb_build_object('messagesAdded', v_added, 'proven', v_proven)
        || case when v_ignores then v_spam else '{}' end || case when v_unstored is null then '{}' else jsonb_build_object('notStored', v_unstored) end);
  end if;

  return jsonb_build_object(
    'outcome', 'continued', 'created', false, 'id', v_id, 'status', c.status,
    'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at),
    'eventId', v_event, 'messagesAdded', v_added)
    || case when v_rises then jsonb_build_object('rise', v_facts - '{messagesAdded,proven}'::text[]) else '{}' end
    || case when v_reopens then jsonb_build_object('reopenedFrom', v_before.status) else '{}' end
    || case when v_releases then jsonb_build_object('released', true) else '{}' end
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
  if p #>> '{idempotency,client}' is not null then
    p := leadpipe.name_repeat(p);
  end if;
  for attempt in 1 .. 5 loop
    begin
      v_reply := coalesce(
        case when attempt = 1 then leadpipe.capture_new_lead(p) else leadpipe.capture_new_leads(jsonb_build_array(p), true) -> '1' end,
        leadpipe.capture_known_lead(p));
    exception when unique_violation then
      -- A concurrent call stored the same lead, or a conversation still has a key that has been pruned.
      v_reply := null;
      update public.conversations set idempotency_key = null
      where idempotency_key = (p ->> 'route') || ':' || (p #>> '{idempotency,key}')
        and not exists (select from public.idempotency_keys k where k.route = p ->> 'route' and k.key = p #>> '{idempotency,key}');
    when undefined_table then
      -- The roll-back has dropped a table after to_regclass had found it.
      if attempt = 5 then
        raise;
      end if;
      v_reply := null;
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
  if p @? '$[*].idempotency.client' then
    p := (select jsonb_agg(leadpipe.name_repeat(sent.lead) order by n) from jsonb_array_elements(p) with ordinality as sent (lead, n));
  end if;
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
  exception when unique_violation or undefined_table then
    null;  -- a concurrent call has just stored one of them, or dropped the event tables, so capture them one by one
  end;

  for n in 1 .. jsonb_array_length(p) loop
    v_replies[n] := coalesce(v_new -> n::text, public.capture_lead(p -> (n - 1)));
  end loop;
  return to_jsonb(v_replies);
end
$$;

revoke all on function public.capture_leads(jsonb) from public, anon, authenticated;

grant execute on function public.capture_leads(jsonb) to leadpipe_intake, service_role;

-- Stores one lead if it is new: if neither its idempotency key nor its conversation exists. Returns null otherwise.
-- Raises unique_violation if a concurrent call stores the same lead, if two messages have the same id, or if another
-- conversation has it.
--
-- Stores the same rows as capture_new_leads, which takes half the time per lead for many leads and twice the time for
-- one. Tests/EndToEnd/test_single_and_batch.py compares their rows.
create or replace function leadpipe.capture_new_lead(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_route constant text := p ->> 'route';
  v_key constant text := nullif(p #>> '{idempotency,key}', '');
  v_received constant timestamptz := coalesce((p ->> 'receivedAt')::timestamptz, now());
  v_ids constant jsonb := p -> 'ids';
  v_id uuid := (p ->> 'conversationId')::uuid;
  v_type public.lead_event_type;
  v_event uuid;
  v_done timestamptz;
  v_phone_of uuid;
  v_email_of uuid;
  v_customer uuid;
  v_added integer := 0;
  -- Signs of a robot: the lead is kept aside. It has no deadline and notifies nobody.
  v_spam constant jsonb := leadpipe.spam_metadata(p);
  l record;
begin
  if v_key is not null and exists (select from public.idempotency_keys k where k.route = v_route and k.key = v_key) then
    return null;
  end if;
  if v_id is null then
    v_id := coalesce((v_ids ->> 'conversation')::uuid, leadpipe.uuid_v7());
  elsif exists (select from public.conversations c where c.id = v_id) then
    return null;
  end if;

  select * into l from leadpipe.lead_fields(p -> 'lead');
  if l.phone is not null then
    select i.customer_id into v_phone_of from public.customer_identities i where i.kind = 'phone' and i.value = l.phone;
  end if;
  if l.email is not null then
    select i.customer_id into v_email_of from public.customer_identities i where i.kind = 'email' and i.value = lower(l.email);
  end if;
  -- The phone number takes precedence over the email address.
  v_customer := coalesce(v_phone_of, v_email_of, (v_ids ->> 'customer')::uuid, leadpipe.uuid_v7());

  if v_key is not null then
    insert into public.idempotency_keys (route, key, body_sha256, conversation_id)
    values (v_route, v_key, sha256(convert_to(coalesce(p #>> '{idempotency,content}', ''), 'UTF8')), v_id);
  end if;
  insert into public.conversations (
    id, customer_id, customer_name, customer_phone, customer_email, start_time, end_time, duration_minutes, status,
    lead_score, lead_quality, lead_score_breakdown, budget, property_type, preferred_area, intent, tags, notes,
    metadata, device_info, source, sla_response_deadline, idempotency_key, budget_amount, budget_min, budget_max, budget_currency,
    budget_period, created_at, updated_at)
  values (
    v_id, v_customer, l.name, l.phone, l.email, coalesce(l.start_time, v_received), l.end_time, l.duration, case when v_spam is null then 'new' else 'spam' end,
    coalesce(l.score, 0), coalesce(l.quality, 'cold'), l.breakdown, l.budget, l.property_type, l.preferred_area, l.intent, l.tags, l.notes,
    case when v_spam is null then l.metadata else coalesce(l.metadata, '{}') || v_spam end, l.device_info, p ->> 'source',
    case when v_spam is null then l.deadline end, v_route || ':' || v_key, l.budget_amount, l.budget_min, l.budget_max,
    l.budget_currency, l.budget_period, now(), now());
  if l.phone is not null and v_phone_of is null then
    insert into public.customer_identities (kind, value, customer_id) values ('phone', l.phone, v_customer);
  end if;
  if l.email is not null and v_email_of is null then
    insert into public.customer_identities (kind, value, customer_id) values ('email', lower(l.email), v_customer);
  end if;

  if jsonb_typeof(p -> 'messages') = 'array' and p -> 'messages' <> '[]' then
    insert into public.chat_messages
      (id, conversation_id, client_id, sender, message_text, message_type, "timestamp", metadata, created_at)
    select
      m.uuid, v_id, m.client_id, m.sender, m.text, m.type, m."timestamp", m.metadata,
      now() + m."position" * interval '1 microsecond'
    from leadpipe.message_fields(p -> 'messages', v_received) as m;
    get diagnostics v_added = row_count;
  end if;

  if leadpipe.has_events() then
    v_event := coalesce((v_ids ->> 'event')::uuid, leadpipe.uuid_v7());
    v_type := coalesce(p #>> '{event,type}', 'lead.created')::public.lead_event_type;
    v_done := case when v_spam is not null or not leadpipe.event_notifies(v_type, '{}') then now() end;
    insert into public.lead_events (id, event_type, conversation_id, payload, processed, processed_at, planned_at, request_id)
    values (v_event, v_type, v_id, coalesce(p #> '{event,payload}', '{}'), v_done is not null, v_done, v_done, p ->> 'requestId');
  elsif v_spam is null then
    insert into leadpipe.unsent_leads (event_type, conversation_id, payload, request_id)
    values ('lead.created', v_id, coalesce(p #> '{event,payload}', '{}'), p ->> 'requestId');
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    insert into public.conversation_timeline (id, conversation_id, event_type, title, description)
    values (
      coalesce((v_ids ->> 'timeline')::uuid, leadpipe.uuid_v7()), v_id, 'created',
      coalesce(leadpipe.to_nfc(p #>> '{timeline,title}'), 'Lead Created'), leadpipe.to_nfc(p #>> '{timeline,description}'));
  end if;

  return jsonb_build_object(
    'outcome', 'created', 'created', true, 'id', v_id, 'status', case when v_spam is null then 'new' else 'spam' end,
    'createdAt', leadpipe.iso8601(now()), 'updatedAt', leadpipe.iso8601(now()), 'eventId', v_event, 'messagesAdded', v_added);
end
$$;

revoke all on function leadpipe.capture_new_lead(jsonb) from public, anon, authenticated;

-- Stores the new leads of an array of arguments of capture_lead. A lead is new if neither its idempotency key nor its
-- conversation exists and no earlier lead of the array has the same key, conversation, phone number or email address.
-- Returns the replies by position in the array, counted from 1. Raises unique_violation if a concurrent call stores the
-- same lead and, unless `p_careful` is true, if two messages of a lead have the same id or another conversation has it.
create or replace function leadpipe.capture_new_leads(p jsonb, p_careful boolean default false) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_has_events boolean := leadpipe.has_events();
  v_repeats bigint[] := '{}';
  v_stored jsonb;
begin
  select coalesce(array_agg(n), '{}') into v_repeats from (
    select s.n, row_number() over (partition by name order by s.n) as use
    from jsonb_array_elements(p) with ordinality as s (lead, n),
         lateral leadpipe.lead_identifiers(lead) as name
  ) used where use > 1;

  with new as materialized (
    select s.n, s.lead, s.lead ->> 'route' as route, nullif(s.lead #>> '{idempotency,key}', '') as key,
      coalesce((s.lead ->> 'receivedAt')::timestamptz, now()) as received,
      coalesce((s.lead ->> 'conversationId')::uuid, (s.lead #>> '{ids,conversation}')::uuid, leadpipe.uuid_v7()) as id, f.*,
      -- Signs of a robot: the lead is kept aside.
      leadpipe.spam_metadata(s.lead) as spam,
      -- The phone number takes precedence over the email address.
      phone_of, email_of, coalesce(phone_of, email_of, (s.lead #>> '{ids,customer}')::uuid, leadpipe.uuid_v7()) as customer
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
      id, customer, name, phone, email, coalesce(start_time, received), end_time, duration, case when spam is null then 'new' else 'spam' end,
      coalesce(score, 0), coalesce(quality, 'cold'), breakdown, budget, property_type, preferred_area, intent, tags, notes,
      case when spam is null then metadata else coalesce(metadata, '{}') || spam end, device_info, lead ->> 'source',
      case when spam is null then deadline end, route || ':' || key, budget_amount, budget_min, budget_max, budget_currency,
      budget_period, now(), now()
    from new
  ), identities as (
    insert into public.customer_identities (kind, value, customer_id)
    select name.kind, name.value, customer
    from new, lateral (values ('phone', phone, phone_of), ('email', lower(email), email_of)) as name (kind, value, known)
    where name.value is not null and name.known is null
  )
  select jsonb_agg(jsonb_build_object('n', n, 'id', id, 'received', received, 'messages', messages, 'event', event, 'status', case when spam is null then 'new' else 'spam' end))
  into v_stored
  from (
    select new.*, case when v_has_events then coalesce((lead #>> '{ids,event}')::uuid, leadpipe.uuid_v7()) end as event,
      case when jsonb_typeof(lead -> 'messages') = 'array' then jsonb_array_length(lead -> 'messages') else 0 end as messages
    from new
  ) facts;

  if p_careful then
    perform leadpipe.add_messages(id, p -> (n - 1) -> 'messages', received)
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, received timestamptz, messages integer) where messages > 0;
  else
    insert into public.chat_messages
      (id, conversation_id, client_id, sender, message_text, message_type, "timestamp", metadata, created_at)
    select
      m.uuid, s.id, m.client_id, m.sender, m.text, m.type, m."timestamp", m.metadata,
      now() + m."position" * interval '1 microsecond'
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, received timestamptz, messages integer),
         lateral leadpipe.message_fields(p -> (n - 1) -> 'messages', received) as m
    where s.messages > 0;
  end if;

  if v_has_events then
    insert into public.lead_events (id, event_type, conversation_id, payload, processed, processed_at, planned_at, request_id)
    select event, type, id, coalesce(lead #> '{event,payload}', '{}'), done is not null, done, done, lead ->> 'requestId'
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, event uuid, status text),
         lateral (select p -> (n - 1)) as sent (lead),
         lateral (select coalesce(lead #>> '{event,type}', 'lead.created')::public.lead_event_type) as named (type),
         lateral (select case when status = 'spam' or not leadpipe.event_notifies(type, '{}') then now() end) as quiet (done);
  else
    insert into leadpipe.unsent_leads (event_type, conversation_id, payload, request_id)
    select 'lead.created', id, coalesce(lead #> '{event,payload}', '{}'), lead ->> 'requestId'
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, status text), lateral (select p -> (n - 1)) as sent (lead)
    where status <> 'spam';
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    insert into public.conversation_timeline (id, conversation_id, event_type, title, description)
    select coalesce((lead #>> '{ids,timeline}')::uuid, leadpipe.uuid_v7()), id, 'created', coalesce(leadpipe.to_nfc(lead #>> '{timeline,title}'), 'Lead Created'), leadpipe.to_nfc(lead #>> '{timeline,description}')
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid), lateral (select p -> (n - 1)) as sent (lead);
  end if;

  return (
    select jsonb_object_agg(n, jsonb_build_object(
      'outcome', 'created', 'created', true, 'id', id, 'status', status,
      'createdAt', leadpipe.iso8601(now()), 'updatedAt', leadpipe.iso8601(now()), 'eventId', event, 'messagesAdded',
        case when p_careful then (select count(*) from public.chat_messages m where m.conversation_id = s.id) else messages end))
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, messages integer, event uuid, status text));
end
$$;

revoke all on function leadpipe.capture_new_leads(jsonb, boolean) from public, anon, authenticated;

-- Marks deliveries as being sent. The worker must send only those in `begun`. A delivery in `lost` has an expired
-- lease, or another worker has claimed it. A delivery in `paused` was claimed before its channel was paused, and is
-- released. `paces` has the minimum time between two messages of a channel, in milliseconds: if the channel's turn has
-- come, its oldest delivery begins. The others are in `early`; they are released and due at their turns.
create or replace function public.begin_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_ids constant uuid[] := array(select asked.id from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid));
  v_early uuid[] := '{}';
  v_pace record;
  v_next timestamptz;
  v_reply jsonb;
  v_split record;
begin
  if to_regclass('public.notification_logs') is null then
    return leadpipe.begin_direct(p);
  elsif exists (select from leadpipe.direct_deliveries d where d.id = any (v_ids)) then
    v_split := leadpipe.split_direct(p -> 'deliveries');
    return leadpipe.join_replies(leadpipe.begin_direct(p || jsonb_build_object('deliveries', v_split.direct)),
      case when v_split.others <> '[]' then public.begin_deliveries(p || jsonb_build_object('deliveries', v_split.others)) end);
  end if;
  perform from public.notification_logs d where p -> 'paces' is not null and d.id = any (v_ids) order by d.id for no key update of d;
  for v_pace in
    select pace.key::public.notification_channel as channel, make_interval(secs => pace.value::double precision / 1000) as gap,
      (select array_agg(d.id order by d.due_at, d.id) from public.notification_logs d
        where d.id = any (v_ids) and d.channel = pace.key::public.notification_channel and d.status = 'pending' and d.lease_until > v_now
          and (d.id, d.fence) in (select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint))) as ids
    from jsonb_each_text(coalesce(p -> 'paces', '{}')) pace order by 1
  loop
    continue when v_pace.ids is null
      or exists (select from public.notification_channels n where n.channel = v_pace.channel and n.paused_until > v_now);
    insert into public.notification_channels (channel) values (v_pace.channel) on conflict do nothing;
    select (n.send_budget ->> 'nextAt')::timestamptz into v_next from public.notification_channels n
    where n.channel = v_pace.channel for no key update;
    v_now := clock_timestamp();
    -- A turn more than one gap ahead was set with another pace, or the clock has changed.
    v_next := least(coalesce(v_next, v_now), v_now + v_pace.gap);
    if v_next <= v_now then
      v_next := v_now + v_pace.gap;
      update public.notification_channels n set send_budget = jsonb_build_object('nextAt', v_next) where n.channel = v_pace.channel;
      v_pace.ids := v_pace.ids[2:];
    end if;
    update public.notification_logs d set
      lease_until = null, leased_by = null, updated_at = v_now, next_attempt_at = v_next + (turn.number - 1) * v_pace.gap
    from unnest(v_pace.ids) with ordinality as turn (id, number)
    -- By ids too: the planner would join all deliveries.
    where d.id = turn.id and d.id = any (v_pace.ids);
    v_early := v_early || v_pace.ids;
  end loop;

  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), held as materialized (
    select d.id, d.channel from public.notification_logs d join asked on asked.id = d.id and asked.fence = d.fence
    where d.id = any (v_ids) and d.id <> all (v_early) and d.status = 'pending' and d.lease_until > v_now
    order by d.id for no key update of d
  ), shut as (
    -- Claimed before the channel was paused, or before another delivery became the probe.
    select held.id from held join public.notification_channels n on n.channel = held.channel
    where n.paused_until > v_now or (n.fail_streak > 0 and n.probe is distinct from held.id)
  ), given_back as (
    update public.notification_logs d set lease_until = null, leased_by = null, updated_at = v_now
    where d.id = any (array(select id from shut))
  ), begun as (
    update public.notification_logs d set status = 'sending', lease_until = v_now + v_lease, begun_at = v_now, updated_at = v_now
    where d.id = any (array(select id from held except select id from shut))
    returning d.id, d.retry_count + 1 as attempt
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'paused', coalesce((select jsonb_agg(distinct id) from shut), '[]'),
    'early', to_jsonb(v_early),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (
      select id from begun union all select id from shut union all select unnest(v_early))), '[]'))
  into v_reply;
  return v_reply;
end
$$;

revoke all on function public.begin_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.begin_deliveries(jsonb) to leadpipe_worker, service_role;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel. Deliveries to agents share these limits, and receipts for visitors take what is left. The deliveries of new events are created with their lease,
-- after older ones have taken their part of the limit: a lease that is added later costs another version of the row.
-- So no more events are planned than an open channel can take, or a hundred if no open channel is asked for.
--
-- All functions in this folder that wait for locks take them in one order: events by id, then deliveries, then
-- channels. A claim waits for no row: it skips what another session has locked, so that a session that hangs cannot stop all channels. They select
-- the rows to change by id (`= any`) and disable plans that scan whole tables: a long-lived session keeps a plan that
-- was made while a table was empty until the next analyze. jit is off because the planner cannot estimate how few rows
-- the limits leave, and would spend 25 ms on compiling a query that runs for 1 ms. A bitmap scan reads the entries of
-- finished deliveries in the small partial indexes again and again until the next vacuum; an index scan marks them.
create or replace function public.claim_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_batch integer;
  v_channels jsonb;
  v_entries jsonb;
  v_fresh uuid[];
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
  v_worker constant text := coalesce(left(p ->> 'worker', 200), 'worker');
  v_direct jsonb;
begin
  perform leadpipe.check_size(p, 262144);
  -- Without events, leads are announced directly, if the worker has DIRECT_NOTIFICATIONS=true. With events, what is left
  -- of such leads comes first.
  if to_regclass('public.lead_events') is null then
    if to_regclass('public.workers') is not null then
      perform leadpipe.note_worker(p, v_now);
    end if;
    return case when (p ->> 'direct')::boolean then leadpipe.claim_direct(p)
      else '{"deliveries": [], "planned": 0, "unrouted": 0}' end
      || jsonb_build_object('eventsAreOff', true, 'unsent', (select count(*) from leadpipe.unsent_leads));
  elsif (p ->> 'direct')::boolean and exists (select from leadpipe.unsent_leads) then
    v_direct := leadpipe.claim_direct(p);
    if v_direct -> 'deliveries' <> '[]' then
      perform leadpipe.note_worker(p, v_now);
      return v_direct;
    end if;
  end if;
  -- A claim that is lost in a crash of the server is made again. The next steps of a delivery commit synchronously,
  -- which also flushes the claim.
  perform set_config('synchronous_commit', 'off', true);
  if p -> 'fingerprints' is not null then
    perform leadpipe.update_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

  v_channels := leadpipe.with_visitors(leadpipe.with_agents(p -> 'channels', v_now), v_now);

  -- An entry without `limit` plans and claims ten. `room` is what older deliveries leave of the limit of an open channel.
  select coalesce(jsonb_agg(case when entry.room > 0 then entry.e || jsonb_build_object('room', entry.room) else entry.e end), '[]'),
    case when max(entry.room) is null then 100 else greatest(least(max(entry.room), 100), 0) end
  into v_entries, v_batch
  from (
    select e, case when coalesce((e ->> 'limit')::integer, 10) > 0 and not exists (
        select from public.notification_channels n
        where n.channel::text = e ->> 'channel' and (n.paused_until > v_now or n.fail_streak > 0))
      then coalesce((e ->> 'limit')::integer, 10) - (
        select count(*) from (
          select from public.notification_logs d
          where d.channel = (e ->> 'channel')::public.notification_channel and d.recipient = coalesce(e ->> 'recipient', 'default')
            and d.due_at <= v_now and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= v_now)
          order by d.due_at limit coalesce((e ->> 'limit')::integer, 10) for no key update skip locked) older) end as room
    from jsonb_array_elements(v_channels) as e
  ) entry;
  select planned, unrouted, leased into v_planned, v_unrouted, v_fresh
  from leadpipe.plan_events(v_entries, v_batch, v_worker, v_lease, v_now);
  if (p ->> 'isComplete')::boolean then
    perform leadpipe.reroute_deliveries(p -> 'channels');
  end if;

  v_lapses := leadpipe.expire_leases(v_parks, v_horizon, v_now);

  -- A misconfigured channel gets one delivery at a time, the probe, until an outcome of a class other than config is
  -- recorded. Only the call that locks the channel's row can claim the probe; for all other calls the channel is
  -- closed.
  select array_agg(n.channel) into v_probing from (
    select channel from public.notification_channels
    where fail_streak > 0 and (paused_until is null or paused_until <= v_now)
    order by channel for no key update skip locked) n;
  if v_probing is not null then
    -- In a second statement, which sees the lease of a probe that was claimed before the lock was taken.
    select array_agg(n.channel) into v_probing from public.notification_channels n
    where n.channel = any (v_probing)
      and not exists (select from public.notification_logs d where d.id = n.probe and d.lease_until > v_now);
  end if;

  with entry as (
    select e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient,
      -- The deliveries of new events have taken the room, or it stays free until the next claim.
      coalesce(e."limit", 10) - coalesce(e.room, 0) as "limit"
    from jsonb_to_recordset(v_entries) as e (channel text, recipient text, "limit" integer, room integer)
    where not exists (
      select from public.notification_channels n where n.channel = e.channel::public.notification_channel
        and (n.paused_until > v_now or (n.fail_streak > 0 and n.channel <> all (coalesce(v_probing, '{}')))))
  ), due as materialized (
    select d.id, entry.channel, d.due_at from entry cross join lateral (
      select d.id, d.due_at from public.notification_logs d
      where d.channel = entry.channel and d.recipient = entry.recipient and d.due_at <= v_now and d.status <> 'sending'
        and (d.lease_until is null or d.lease_until <= v_now)
      order by d.due_at limit greatest(entry."limit", 0) for no key update skip locked
    ) d
  ), chosen as (
    select id from due where channel <> all (coalesce(v_probing, '{}'))
    union
    select id from (select distinct on (channel) id from due where channel = any (v_probing) order by channel, due_at, id) probe
  ), claimed as (
    update public.notification_logs d set
      status = 'pending', lease_until = v_now + v_lease, leased_by = v_worker, fence = d.fence + 1, updated_at = v_now
    where d.id = any (array(select id from chosen))
    returning d.*
  ), probed as (
    update public.notification_channels n set probe = claimed.id
    from claimed where n.channel = any (v_probing) and claimed.channel = n.channel
  ), held as (
    select * from claimed union all select * from public.notification_logs d where d.id = any (v_fresh)
  ), total as materialized (
    select channel, leadpipe.paused_seconds(channel, v_now) as paused from (select distinct channel from held) h
  )
  -- Each step that builds jsonb copies the payload, so the rare members are added only where there are any.
  select jsonb_agg(case when more.members = '{}' then line.basic else line.basic || more.members end order by d.due_at, d.id)
  into v_deliveries
  from held d cross join lateral (select * from public.lead_events e where e.id = d.lead_event_id offset 0) e
  join total on total.channel = d.channel
  cross join lateral (
    select coalesce(d.retried_at, e.created_at)
      + make_interval(secs => greatest(total.paused - d.paused_before, 0)) as began
  ) clock
  cross join lateral (
    select case when clock.began > e.created_at then jsonb_build_object('retryFrom', leadpipe.iso8601(clock.began)) else '{}' end
      || case when (d.outcome_class is not null or d.replay_of is not null)
             and leadpipe.is_possible_repeat(d.id, d.lead_event_id, d.channel, d.recipient)
           then '{"possibleRepeat": true}'::jsonb else '{}' end
      || case when e.request_id is not null then jsonb_build_object('requestId', e.request_id) else '{}' end as members
    offset 0
  ) more
  cross join lateral (
    select jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', e.id, 'eventType', e.event_type, 'eventAt', leadpipe.iso8601(e.created_at),
      'conversationId', d.conversation_id, 'payload', leadpipe.shown(e.payload)) as basic
    offset 0
  ) line;

  -- There may be more, so a call that returns deliveries is followed by another, and need not look for what is due next.
  if v_deliveries is not null or v_planned + v_unrouted = v_batch then
    v_next := v_now;
  else
    v_next := least(v_lapses, leadpipe.next_due_at(v_channels, v_probing, v_now), (v_direct ->> 'nextDueAt')::timestamptz);
  end if;

  perform leadpipe.note_worker(p, v_now);
  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', leadpipe.iso8601(v_next),
    -- The worker's clock may differ from the database's.
    'nextDueInMs', case when v_next is not null then greatest(ceil(extract(epoch from v_next - clock_timestamp()) * 1000), 0) end);
end
$$;

revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;

-- Records that a worker has claimed. Workers with the same name do not wait for each other.
create or replace function leadpipe.note_worker(p jsonb, p_now timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_worker constant text := coalesce(left(p ->> 'worker', 200), 'worker');
begin
  update public.workers w set last_seen = p_now, version = left(p ->> 'version', 100),
    -- A worker sends the fingerprints with its first claim. In a container, a new worker can have the name of the old one.
    started_at = case when jsonb_typeof(p -> 'fingerprints') = 'object' then p_now else w.started_at end
  where w.name = (select o.name from public.workers o where o.name = v_worker for no key update skip locked);
  if not found then
    insert into public.workers (name, version, started_at, last_seen) select v_worker, left(p ->> 'version', 100), p_now, p_now
    where not exists (select from public.workers o where o.name = v_worker) on conflict do nothing;
  end if;
end
$$;

revoke all on function leadpipe.note_worker(jsonb, timestamptz) from public, anon, authenticated;

-- Records the outcomes of deliveries, each under the fence of its claim. `lost` lists deliveries that another worker
-- has claimed or finished since. Status pending is for a delivery that was begun but not sent: the delivery returns to
-- its former state, and the state of its channel does not change.
create or replace function public.record_outcomes(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_pauses jsonb;  -- of the channels that these outcomes have paused
  v_now timestamptz := clock_timestamp();
  v_ids constant uuid[] := array(select o.id from jsonb_to_recordset(p -> 'outcomes') as o (id uuid));
  v_recorded uuid[];
  v_events uuid[];
  v_workers jsonb;
  v_known uuid[];
  v_bounced uuid[];  -- the leads whose receipts were refused because of their addresses
  v_split record;
begin
  if to_regclass('public.notification_logs') is null then
    return leadpipe.record_direct(p);
  elsif exists (select from leadpipe.direct_deliveries d where d.id = any (v_ids)) then
    v_split := leadpipe.split_direct(p -> 'outcomes');
    return leadpipe.join_replies(leadpipe.record_direct(p || jsonb_build_object('outcomes', v_split.direct)),
      case when v_split.others <> '[]' then public.record_outcomes(p || jsonb_build_object('outcomes', v_split.others)) end);
  end if;
  -- Lock events first: if two calls finish the last two deliveries of an event, the second sees what the first wrote.
  perform from public.lead_events e
  where e.id = any (array(select d.lead_event_id from public.notification_logs d where d.id = any (v_ids)))
  order by e.id for no key update;
  -- An attempt may already have a row if its lease has expired, or if an earlier version of this schema began it.
  select jsonb_object_agg(d.id, d.leased_by), coalesce(array_agg(d.id) filter (where d.status <> 'sending' or d.begun_at is null), '{}')
  into v_workers, v_known from public.notification_logs d where d.id = any (v_ids);

  with outcome as (
    -- Texts are cut to what lists can show, so that no outcome is refused for its size.
    select distinct on (o.id, o.fence) o.id, o.fence, left(o.class, 50) as class, o.status, coalesce(o.burned, false)::integer as burned, o."retryInSeconds",
      o."statusCode", left(o."providerCode", 200) as "providerCode", o."retryAfterSeconds", left(o.reason, 500) as reason,
      left(o.excerpt, 2000) as excerpt, left(o."providerId", 500) as "providerId", left(o.subject, 500) as subject,
      least(greatest(coalesce(o."finishedAt", v_now), '1970-01-01 00:00Z'), v_now + interval '1 day') as "finishedAt"
    from jsonb_to_recordset(p -> 'outcomes') as o (
      id uuid, fence bigint, class text, status text, burned boolean, "retryInSeconds" double precision,
      "statusCode" integer, "providerCode" text, "retryAfterSeconds" double precision, reason text, excerpt text,
      "providerId" text, subject text, "finishedAt" timestamptz)
    where o.status in ('sent', 'failed', 'pending')
    order by o.id, o.fence
  ), changed as (
    update public.notification_logs d set
      status = o.status,
      outcome_class = case o.status when 'pending' then d.outcome_class else o.class end,
      -- If the lease has expired, the attempt is already counted.
      retry_count = case when d.status = 'sending' then d.retry_count + o.burned
        else greatest(d.retry_count - 1 + o.burned, 0) end,
      error_message = case o.status when 'failed' then coalesce(o.reason, o.class, 'failed') when 'pending' then d.error_message end,
      -- The class config has no limit of time, because somebody corrects the settings. The address of an agent or a visitor may stay wrong.
      next_attempt_at = case when o.status = 'failed'
          and not ((d.to_agent or d.to_visitor) and o.class = 'config' and coalesce(d.retried_at, d.created_at) < v_now - interval '72 hours')
          -- It was being sent when the lead was marked as spam.
          and not leadpipe.is_spam(d.conversation_id)
        then v_now + make_interval(secs => o."retryInSeconds") end,
      sent_at = case when o.status = 'sent' then o."finishedAt" else d.sent_at end,
      provider_id = coalesce(o."providerId", d.provider_id),
      subject = coalesce(o.subject, d.subject),
      lease_until = null, leased_by = null, updated_at = clock_timestamp()
    from outcome o
    where d.id = o.id and d.id = any (v_ids) and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and o.class <> 'unknown'))
    returning d.id, d.retry_count + 1 - o.burned as attempt, d.begun_at, d.lead_event_id, d.conversation_id, d.channel, d.to_agent, d.to_visitor, d.next_attempt_at, d.error_message,
      o.fence, o.class, o.status, o."statusCode", o."providerCode", o."retryAfterSeconds", o.excerpt,
      o."finishedAt" as finished_at
  ), attempted as (
    insert into public.notification_attempts (
      delivery, fence, attempt, started_at, finished_at, class, status_code, provider_code, retry_after_seconds, excerpt, worker)
    select id, fence, attempt, begun_at, finished_at, class, "statusCode", "providerCode", "retryAfterSeconds", excerpt,
      v_workers ->> id::text
    from changed where id <> all (v_known)
  ), completed as (
    insert into public.notification_attempts (
      delivery, fence, attempt, started_at, finished_at, class, status_code, provider_code, retry_after_seconds, excerpt, worker)
    select id, fence, attempt, coalesce(begun_at, finished_at), finished_at, class, "statusCode", "providerCode", "retryAfterSeconds",
      excerpt, v_workers ->> id::text
    from changed where id = any (v_known)
    on conflict (delivery, fence) do update set
      finished_at = excluded.finished_at, class = excluded.class, status_code = excluded.status_code,
      provider_code = excluded.provider_code, retry_after_seconds = excluded.retry_after_seconds, excerpt = excluded.excerpt
  ), final as (
    select * from changed where status = 'sent' or (status = 'failed' and next_attempt_at is null)
  ), evented as (
    -- Has the effect of emit_lead_event, in one statement.
    insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
    select (case status when 'sent' then 'notification.sent' else 'notification.failed' end)::public.lead_event_type,
      conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', class), true, v_now, v_now
    from final
  ), logged as (
    insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
    select conversation_id, 'notification_sent',
      case when to_visitor then case status when 'sent' then 'Receipt sent' else 'Receipt failed' end
        else case status when 'sent' then 'Notification sent via ' else 'Notification failed via ' end || channel end,
      error_message, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', class)
    from final where conversation_id is not null
  ), paused as (
    -- These two classes affect the whole channel: it is paused until the next attempt. The refusal of an address
    -- of an agent or a visitor, which no setting names, must not stop the messages about new leads; a refused log-in or a failed
    -- connection, which has no status code, does.
    insert into public.notification_channels as n (channel, paused_since, paused_until, pause_reason, pause_class, fail_streak)
    select channel, v_now, max(next_attempt_at), min(error_message),
      case when bool_or(class = 'config') then 'config' else 'throttled' end, bool_or(class = 'config')::integer
    from changed
    where (class = 'throttled' or class = 'config'
        and (not (to_agent or to_visitor) or coalesce("statusCode" in (401, 530, 534, 535, 538), true))) and next_attempt_at is not null
    group by channel order by channel
    on conflict (channel) do update set
      paused_seconds = case when n.paused_until > v_now then n.paused_seconds else leadpipe.paused_seconds(n.channel, v_now) end,
      paused_since = case when n.paused_until > v_now then coalesce(n.paused_since, v_now) else v_now end,
      paused_until = greatest(n.paused_until, excluded.paused_until),
      pause_reason = case when n.paused_until > excluded.paused_until then n.pause_reason else excluded.pause_reason end,
      pause_class = case when n.paused_until > excluded.paused_until then n.pause_class else excluded.pause_class end,
      fail_streak = case excluded.fail_streak when 0 then 0 else n.fail_streak + 1 end,
      probe = null
    returning n.channel, n.paused_until, n.pause_reason, n.pause_class, n.paused_since = v_now as is_new
  ), opened as (
    -- An outcome of any other class shows that the channel is configured correctly, so the deliveries that wait for the
    -- probe can be sent.
    update public.notification_channels n set fail_streak = 0, probe = null
    from (select distinct channel from changed where class not in ('throttled', 'config') and status <> 'pending') reached
    where n.channel = reached.channel and n.fail_streak > 0
      and n.channel not in (select channel from changed where class in ('throttled', 'config') and next_attempt_at is not null)
  )
  select array_agg(id order by id), array_agg(distinct lead_event_id),
    (select jsonb_agg(jsonb_build_object('channel', channel, 'until', leadpipe.iso8601(paused_until), 'reason', pause_reason,
       'class', pause_class) order by channel) from paused where is_new),
    array_agg(conversation_id) filter (where to_visitor and status = 'failed' and class = 'permanent'
      and ("providerCode" ~ '^5\.(1\.[0-6]|2\.1)$' or "providerCode" is null and "statusCode" in (550, 553)))
  into v_recorded, v_events, v_pauses, v_bounced from changed;
  if v_bounced is not null then
    update leadpipe.receipts r set bounced_at = v_now where r.conversation_id = any (v_bounced);
  end if;

  return jsonb_build_object(
    'pauses', coalesce(v_pauses, '[]'),
    'recorded', to_jsonb(coalesce(v_recorded, '{}')),
    'lost', (select coalesce(jsonb_agg(distinct asked.id), '[]') from unnest(v_ids) as asked (id)
             where asked.id <> all (coalesce(v_recorded, '{}'))),
    'events', (select coalesce(jsonb_agg(jsonb_build_object(
                 'eventId', event_id, 'settled', settled, 'closed', closed, 'sent', sent, 'failed', failed) order by event_id), '[]')
               from leadpipe.settle_events(v_events)));
end
$$;

revoke all on function public.record_outcomes(jsonb) from public, anon, authenticated;

grant execute on function public.record_outcomes(jsonb) to leadpipe_worker, service_role;

-- Releases deliveries that were claimed but not begun. They are due again immediately, and no attempt is used up.
-- Releases the deliveries of `worker`, or only those in `ids`. With `host` and `alive`, it also releases those of other
-- workers on this host (named host:pid) that are not in `alive`. If such a worker is alive after all, it cannot begin
-- the deliveries that it has lost.
create or replace function public.release_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
  v_direct integer;
begin
  with mine as materialized (
    select d.id from leadpipe.direct_deliveries d
    where d.status = 'pending' and d.lease_until > v_now
      and ((d.leased_by = p ->> 'worker' and (p -> 'ids' is null or p -> 'ids' ? d.id::text))
        or (starts_with(d.leased_by, (p ->> 'host') || ':') and not coalesce(p -> 'alive' ? d.leased_by, false)
          and d.leased_by <> p ->> 'worker'))
    order by d.id for no key update skip locked
  )
  update leadpipe.direct_deliveries d set lease_until = null, leased_by = null from mine where d.id = mine.id;
  get diagnostics v_direct = row_count;
  -- The roll-back drops this table.
  if to_regclass('public.notification_logs') is null then
    return jsonb_build_object('released', v_direct);
  end if;
  with mine as materialized (
    select d.id from public.notification_logs d
    where d.is_held and d.status = 'pending' and d.lease_until > v_now
      and ((d.leased_by = p ->> 'worker' and (p -> 'ids' is null or p -> 'ids' ? d.id::text))
        or (starts_with(d.leased_by, (p ->> 'host') || ':') and not coalesce(p -> 'alive' ? d.leased_by, false)
          and d.leased_by <> p ->> 'worker'))
    order by d.id for no key update skip locked
  )
  update public.notification_logs d set lease_until = null, leased_by = null from mine where d.id = mine.id;
  get diagnostics v_count = row_count;
  return jsonb_build_object('released', v_count + v_direct);
end
$$;

revoke all on function public.release_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.release_deliveries(jsonb) to leadpipe_worker, service_role;

-- Marks deliveries of unsent leads as being sent, as begin_deliveries does for those of events. All others are `lost`.
create or replace function leadpipe.begin_direct(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease constant interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_reply jsonb;
begin
  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), begun as (
    update leadpipe.direct_deliveries d set status = 'sending', lease_until = v_now + v_lease
    from asked where d.id = asked.id and d.fence = asked.fence and d.status = 'pending' and d.lease_until > v_now
    returning d.id, d.retry_count + 1 as attempt
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'paused', jsonb_build_array(), 'early', jsonb_build_array(),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (select id from begun)), '[]'))
  into v_reply;
  return v_reply;
end
$$;

revoke all on function leadpipe.begin_direct(jsonb) from public, anon, authenticated;

-- Plans deliveries for leads in unsent_leads, reclaims those whose worker has stopped while sending, and leases due
-- ones, as claim_deliveries does for events; takes the same argument. A channel has no pauses here: each delivery waits
-- until its own next attempt. Nothing is sent about a conversation that is kept aside as spam. Rows that another session
-- has locked are left for a later call.
create or replace function leadpipe.claim_direct(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease constant interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_horizon constant interval := make_interval(secs => coalesce((p ->> 'horizonSeconds')::double precision, 72 * 3600));
  v_parks constant boolean := coalesce(p ->> 'unknownOutcome' = 'park', false);
  v_planned uuid[];
  v_deliveries jsonb;
  v_next timestamptz;
begin
  v_planned := array(
    select u.id from leadpipe.unsent_leads u
    where u.planned_at is null and p @? '$.channels[*]' and not leadpipe.is_spam(u.conversation_id)
    order by u.created_at, u.id limit 100 for no key update skip locked);
  insert into leadpipe.direct_deliveries (lead_id, channel, recipient, due_at)
  select u.id, e.channel::public.notification_channel, coalesce(e.recipient, 'default'), v_now
  from leadpipe.unsent_leads u, jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text, events text[])
  where u.id = any (v_planned) and (e.events is null or u.event_type::text = any (e.events))
    and octet_length(coalesce(e.recipient, '')) <= 1000
  on conflict do nothing;
  update leadpipe.unsent_leads u set planned_at = v_now where u.id = any (v_planned);
  -- No channel takes this type.
  delete from leadpipe.unsent_leads u
  where u.id = any (v_planned) and not exists (select from leadpipe.direct_deliveries d where d.lead_id = u.id);

  with lapsed as materialized (
    select d.id, u.created_at from leadpipe.direct_deliveries d join leadpipe.unsent_leads u on u.id = d.lead_id
    where d.status = 'sending' and d.lease_until <= v_now for no key update of d skip locked
  )
  update leadpipe.direct_deliveries d set
    status = 'failed', outcome_class = 'unknown', may_have_arrived = true, retry_count = d.retry_count + 1, lease_until = null, leased_by = null,
    -- 3 seconds, because a live worker that could not record the outcome tries that again every second.
    due_at = case when not (v_parks and d.channel <> 'email') and v_now <= lapsed.created_at + v_horizon then v_now + interval '3 seconds' end,
    error_message = 'The worker stopped while sending. It is unknown whether this arrived.'
  from lapsed where d.id = lapsed.id;

  with due as materialized (
    select d.id from jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text, "limit" integer)
    cross join lateral (
      select d.id from leadpipe.direct_deliveries d
      where d.channel = e.channel::public.notification_channel and d.recipient = coalesce(e.recipient, 'default')
        and d.due_at <= v_now and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= v_now)
        and not exists (select from leadpipe.unsent_leads u where u.id = d.lead_id and leadpipe.is_spam(u.conversation_id))
      order by d.due_at, d.id limit greatest(coalesce(e."limit", 10), 0) for no key update skip locked
    ) d
  ), claimed as (
    update leadpipe.direct_deliveries d set
      status = 'pending', lease_until = v_now + v_lease, leased_by = coalesce(left(p ->> 'worker', 200), 'worker'), fence = d.fence + 1
    where d.id = any (array(select id from due))
    returning d.*
  )
  select jsonb_agg(jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', u.id, 'eventType', u.event_type, 'eventAt', leadpipe.iso8601(u.created_at),
      'conversationId', u.conversation_id, 'payload', leadpipe.shown(u.payload))
    || case when d.may_have_arrived then '{"possibleRepeat": true}'::jsonb else '{}' end
    || case when u.request_id is not null then jsonb_build_object('requestId', u.request_id) else '{}' end order by u.created_at, d.id)
  into v_deliveries from claimed d join leadpipe.unsent_leads u on u.id = d.lead_id;

  if v_deliveries is not null or cardinality(v_planned) = 100 then
    v_next := v_now;
  else
    select min(case when d.lease_until > v_now then d.lease_until else greatest(d.due_at, v_now) end) into v_next
    from leadpipe.direct_deliveries d
    join jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text, "limit" integer)
      on d.channel::text = e.channel and d.recipient = coalesce(e.recipient, 'default')
    where d.due_at is not null and coalesce(e."limit", 10) > 0
      and not exists (select from leadpipe.unsent_leads u where u.id = d.lead_id and leadpipe.is_spam(u.conversation_id));
  end if;
  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', cardinality(v_planned), 'unrouted', 0,
    'nextDueAt', leadpipe.iso8601(v_next),
    'nextDueInMs', case when v_next is not null then greatest(ceil(extract(epoch from v_next - clock_timestamp()) * 1000), 0) end);
end
$$;

revoke all on function leadpipe.claim_direct(jsonb) from public, anon, authenticated;

-- Emits an event. Without the event tables, keeps what a notification needs in unsent_leads, if the event notifies, and
-- returns null.
create or replace function leadpipe.emit_or_keep(
  p_type public.lead_event_type, p_conversation uuid, p_payload jsonb, p_key text default null) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if leadpipe.has_events() then
    return public.emit_lead_event(p_type, p_conversation, p_payload, p_key);
  end if;
  if leadpipe.event_notifies(p_type, p_payload) then
    insert into leadpipe.unsent_leads (event_type, conversation_id, payload) values (p_type, p_conversation, p_payload);
  end if;
  return null;
end
$$;

revoke all on function leadpipe.emit_or_keep(public.lead_event_type, uuid, jsonb, text) from public, anon, authenticated;

-- True if captures can store events. While the migrations make the event tables again, lead_events lacks its newest
-- columns for a moment: the one that captures need and that was added last is looked up.
create or replace function leadpipe.has_events() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from pg_attribute a where a.attrelid = to_regclass('public.lead_events') and a.attname = 'request_id' and not a.attisdropped)
$$;

revoke all on function leadpipe.has_events() from public, anon, authenticated;

-- Records the outcomes of deliveries of unsent leads, as record_outcomes does for those of events, and deletes the leads
-- that have been sent on every channel. All other deliveries are `lost`.
create or replace function leadpipe.record_direct(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_ids constant uuid[] := array(select o.id from jsonb_to_recordset(p -> 'outcomes') as o (id uuid));
  v_leads constant uuid[] := array(select distinct d.lead_id from leadpipe.direct_deliveries d where d.id = any (v_ids));
  v_recorded uuid[];
  v_events jsonb;
begin
  -- Leads first: if two calls record the last two deliveries of a lead, the second sees what the first wrote.
  perform from leadpipe.unsent_leads u where u.id = any (v_leads) order by u.id for update;

  with outcome as (
    select distinct on (o.id, o.fence) o.* from jsonb_to_recordset(p -> 'outcomes') as o (
      id uuid, fence bigint, class text, status text, burned boolean, "retryInSeconds" double precision, reason text)
    where o.status in ('sent', 'failed', 'pending') order by o.id, o.fence
  ), changed as (
    update leadpipe.direct_deliveries d set
      status = o.status,
      outcome_class = case o.status when 'pending' then d.outcome_class else left(o.class, 50) end,
      may_have_arrived = d.may_have_arrived or o.status = 'failed' and o.class = 'unknown',
      -- If the lease has expired, the attempt is already counted.
      retry_count = greatest(d.retry_count - (d.status = 'failed')::integer + coalesce(o.burned, false)::integer, 0),
      error_message = case o.status when 'failed' then left(coalesce(o.reason, o.class, 'failed'), 500) when 'pending' then d.error_message end,
      due_at = case o.status when 'pending' then d.due_at when 'failed' then v_now + make_interval(secs => o."retryInSeconds") end,
      lease_until = null, leased_by = null
    from outcome o
    where d.id = o.id and d.fence = o.fence
      and (d.status = 'sending' or d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null and o.class <> 'unknown')
    returning d.id
  )
  select coalesce(array_agg(id order by id), '{}') into v_recorded from changed;

  select jsonb_agg(jsonb_build_object('eventId', id, 'settled', settled, 'closed', closed, 'sent', sent, 'failed', failed) order by id)
  into v_events
  from (
    select d.lead_id as id, bool_and(d.status not in ('pending', 'sending')) as settled,
      bool_and(d.status not in ('pending', 'sending') and d.due_at is null) as closed,
      coalesce(array_agg(distinct d.channel) filter (where d.status = 'sent'), '{}')::text[] as sent,
      coalesce(array_agg(distinct d.channel) filter (where d.status = 'failed'), '{}')::text[] as failed
    from leadpipe.direct_deliveries d where d.lead_id = any (v_leads) group by d.lead_id
  ) standing;
  delete from leadpipe.unsent_leads u
  where u.id = any (v_leads) and not exists (select from leadpipe.direct_deliveries d where d.lead_id = u.id and d.status <> 'sent');

  return jsonb_build_object('pauses', jsonb_build_array(), 'recorded', to_jsonb(v_recorded),
    'lost', (select coalesce(jsonb_agg(distinct asked.id), '[]') from unnest(v_ids) as asked (id) where asked.id <> all (v_recorded)),
    'events', coalesce(v_events, '[]'));
end
$$;

revoke all on function leadpipe.record_direct(jsonb) from public, anon, authenticated;

-- Divides a list of deliveries into those of unsent leads and all others.
create or replace function leadpipe.split_direct(p_list jsonb, out direct jsonb, out others jsonb)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(each.value) filter (where d.id is not null), '[]'), coalesce(jsonb_agg(each.value) filter (where d.id is null), '[]')
  from jsonb_array_elements(p_list) as each (value) left join leadpipe.direct_deliveries d on d.id = (each.value ->> 'id')::uuid
$$;

revoke all on function leadpipe.split_direct(jsonb) from public, anon, authenticated;

-- Joins the replies about both: each member is a list.
create or replace function leadpipe.join_replies(p_one jsonb, p_other jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select jsonb_object_agg(key, value || coalesce(p_other -> key, '[]')) from jsonb_each(p_one)
$$;

revoke all on function leadpipe.join_replies(jsonb, jsonb) from public, anon, authenticated;

-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, decisions about assignments, and workers that have stopped. Also deletes idempotency keys older than 7 days, those made from
-- the content after an hour, and expired rate counts and records of receipts: they no longer have any effect. Without `days`, deletes only
-- these. Unfinished rows are kept, however old. Deletes at most about `batch` rows per call (default and maximum 1,000)
-- and 10,000 rate counts, in statements that take milliseconds. `isComplete` is true when nothing is left. Locked rows
-- are left for another call.
create or replace function public.prune(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch integer := least(greatest(coalesce((p ->> 'batch')::integer, 1000), 10), 1000);
  v_before timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
  v_type public.lead_event_type;
  v_old uuid[] := '{}';
  v_gone uuid[];
  v_events integer := 0;
  v_deliveries integer := 0;
  v_attempts integer := 0;
  v_orphans integer := 0;
  v_decisions integer := 0;
  v_keys integer;
  v_now constant bigint := leadpipe.unix_milliseconds();
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
    -- An event is never finished before it was added: the first condition lets the planner use the index.
    foreach v_type in array enum_range(null::public.lead_event_type) loop
      v_old := v_old || array(
        select e.id from public.lead_events e
        where e.event_type = v_type and e.created_at < v_before and e.processed and e.processed_at < v_before
          and not exists (select from public.notification_logs d
                          where d.lead_event_id = e.id and d.due_at is not null)
        order by e.created_at, e.id limit v_batch / 10 - cardinality(v_old) for update of e skip locked);
    end loop;
    if v_old <> '{}' then
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
    delete from leadpipe.assignment_decisions where id in (
      select a.id from leadpipe.assignment_decisions a where a.created_at < v_before
      order by a.created_at limit v_batch / 4 for update skip locked);
    get diagnostics v_decisions = row_count;
    -- Leads that were sent directly, and whose last deliveries have been given up.
    delete from leadpipe.unsent_leads where id in (
      select u.id from leadpipe.unsent_leads u
      where u.created_at < v_before and u.planned_at is not null
        and not exists (select from leadpipe.direct_deliveries d where d.lead_id = u.id and d.due_at is not null)
      order by u.created_at limit v_batch / 10 for update skip locked);
    delete from public.workers where name in (
      select w.name from public.workers w where w.last_seen < v_before order by w.name for update skip locked);
  end if;
  -- Receipts that count for no limit any more. A refused address is remembered for a year.
  delete from leadpipe.receipts where conversation_id in (
    select r.conversation_id from leadpipe.receipts r
    where r.decided_at < clock_timestamp() - interval '31 days' and (r.bounced_at is null or r.decided_at < clock_timestamp() - interval '1 year')
    order by r.decided_at limit 100 for update skip locked);
  -- Last, because a returning client waits for the lock of its row. Expired rows also make room when new clients arrive. These are of a limit that nobody uses any more.
  delete from leadpipe.rate_counts where (rate, key) in (
    select c.rate, c.key from leadpipe.rate_counts c where c.ends < v_now limit 10000 for update skip locked);
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_decisions < v_batch / 4 and v_keys < v_batch / 8);
end
$$;

revoke all on function public.prune(jsonb) from public, anon, authenticated;

grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;

-- Removes the personal data of conversations: names, numbers, addresses, all text that people wrote, and what was made
-- from it. Rows, times, scores and amounts stay, so that counts do not change. Open conversations become lost, open
-- follow-ups are cancelled, and deliveries that have not been sent never are. Returns how many deliveries these were.
-- Raises LPTRY if an event was added meanwhile.
create or replace function leadpipe.erase_conversations(p_ids uuid[], p_by text) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  c_reason constant text := 'cancelled: the person''s data was erased';
  v_now timestamptz;
  v_events uuid[];
  v_digests uuid[];
  v_locked uuid[];
  v_cancelled integer := 0;
  v_words text[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    v_digests := array(select leadpipe.digests_about(p_ids));
    v_locked := array(
      select e.id from public.lead_events e where e.conversation_id = any (p_ids) or e.id = any (v_digests) order by e.id for update);
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (p_ids) and e.id = any (v_locked));
  end if;
  perform from public.conversations c where c.id = any (p_ids) order by c.id for no key update;
  v_now := clock_timestamp();
  if to_regclass('public.lead_events') is not null then
    -- A capture or a digest that held the lock on a conversation has added an event, which is not locked.
    if exists (select from public.lead_events e where e.conversation_id = any (p_ids) and e.id <> all (v_events))
      or exists (select from leadpipe.digests_about(p_ids) as d (id) where d.id <> all (v_locked)) then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    select count(*) into v_cancelled from public.notification_logs d where d.lead_event_id = any (v_events) and d.due_at is not null;
    update public.notification_logs d set
      subject = null, payload = null, updated_at = v_now,
      -- The team's address, unless it is a receipt or another program has written to the customer.
      recipient = case when d.to_visitor or exists (
        select from public.conversations c where c.id = d.conversation_id
          and (lower(d.recipient) = lower(c.customer_email)
            or leadpipe.phone_digits(d.recipient) = nullif(leadpipe.phone_digits(c.customer_phone), ''))) then 'erased ' || d.id else d.recipient end,
      -- A worker that is sending it cannot be stopped, and its outcome is not recorded any more.
      error_message = case when d.status = 'sending' then 'the person''s data was erased while it was being sent'
        when d.due_at is not null then c_reason when d.status = 'failed' then 'failed; the reason was erased' end,
      outcome_class = case when d.status = 'sending' then 'unknown' when d.due_at is not null then 'permanent' else d.outcome_class end,
      status = case when d.due_at is not null then 'failed' else d.status end,
      fence = case when d.due_at is not null then d.fence + 1 else d.fence end,
      next_attempt_at = null, lease_until = null, leased_by = null
    where d.lead_event_id = any (v_events);
    update public.lead_events e set
      payload = '{"erased": true}', idempotency_key = null, planned_at = coalesce(e.planned_at, v_now), processed = true,
      processed_at = coalesce(e.processed_at, v_now), last_error = case when not e.processed then c_reason end, updated_at = v_now
    where e.id = any (v_events);
    perform leadpipe.erase_digests(v_digests, p_ids, v_now);
  end if;
  if to_regclass('public.conversation_timeline') is not null then
    update public.conversation_timeline t set
      title = case t.event_type when 'created' then 'New lead' else t.title end, description = null, metadata = '{}',
      actor_name = case when t.actor_type = 'customer' then null else t.actor_name end
    where t.conversation_id = any (p_ids);
    perform public.add_timeline_entry(id, 'note_added', 'Personal data erased', null, 'system', null, p_by, '{}') from unnest(p_ids) as id;
  end if;
  if to_regclass('public.follow_up_tasks') is not null then
    update public.follow_up_tasks f set
      reminder_text = null, notes = null, status = case when f.status in ('completed', 'cancelled') then f.status else 'cancelled' end
    where f.conversation_id = any (p_ids);
  end if;
  delete from public.lead_tags where conversation_id = any (p_ids);
  update public.conversation_summaries set summary = null where conversation_id = any (p_ids);
  update public.chat_messages set message_text = '', metadata = null, client_id = null where conversation_id = any (p_ids);
  delete from public.idempotency_keys where conversation_id = any (p_ids);
  delete from leadpipe.receipts where conversation_id = any (p_ids);
  delete from leadpipe.unsent_leads where conversation_id = any (p_ids);
  delete from leadpipe.assignment_turns where conversation_id = any (p_ids);
  delete from leadpipe.assignment_decisions where conversation_id = any (p_ids);
  perform leadpipe.erase_set_aside(p_ids);
  update public.conversations c set
    customer_id = null, customer_name = null, customer_phone = null, customer_email = null, budget = null, property_type = null,
    preferred_area = null, tags = '{}', notes = null, conversation_summary = null, outcome = null, lead_score_breakdown = null,
    metadata = null, device_info = null, idempotency_key = null, follow_up_date = null, erased_at = v_now,
    intent = case when c.intent in ('buy', 'rent', 'sell', 'invest', 'browse') then c.intent end,
    status = case when c.status in ('new', 'in-progress', 'spam') then 'lost' else c.status end,
    -- Closing must not hide that nobody answered in time.
    sla_breached = c.sla_breached or c.status in ('new', 'in-progress') and c.first_response_at is null
      and coalesce(c.sla_response_deadline <= v_now, false)
  where c.id = any (p_ids);

  -- The word index: words that no other conversation contains.
  insert into leadpipe.index_lock default values on conflict do nothing;
  perform from leadpipe.index_lock for update;
  v_words := array(
    select distinct lexeme from public.conversation_words w, unnest(w.words)
    where w.conversation_id = any (p_ids) and lexeme !~ '=|^[0-9]+$');
  delete from public.conversation_words where conversation_id = any (p_ids);
  perform leadpipe.forget_words(v_words);
  -- For the listeners of the live feed.
  if to_regclass('public.lead_events') is not null then
    perform public.emit_lead_event('lead.updated', id, '{"erased": true}') from unnest(p_ids) as id;
  end if;
  return v_cancelled;
end
$$;

revoke all on function leadpipe.erase_conversations(uuid[], text) from public, anon, authenticated;
