-- Generated from schemas/ by `make migration`, except for the locks. This file can run again at any time.

-- Takes all locks at once or none, and gives them back after each try: captures and claims lock these tables in other
-- orders, so waiting for one table with the lock on another could be a deadlock.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.admin_keys, public.agents, public.chat_messages,
        public.conversation_summaries, public.conversation_timeline, public.conversations,
        public.follow_up_tasks, public.lead_events, public.lead_tags,
        public.newsletter_subscribers, public.notification_logs, public.customer_identities in access exclusive mode;
      exit;
    exception when lock_not_available then
      if attempt = 200 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);
end
$$;

-- Returns a new UUID of version 7 (RFC 9562): 48 bits of time in milliseconds, then random bits. Rows that are inserted
-- together get neighbouring ids, so an insert changes few pages of an index. The id shows when it was made.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.uuid_v7() returns uuid
language sql volatile parallel safe as $$
  select pg_catalog.encode(
    pg_catalog.set_bit(pg_catalog.set_bit(
      overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) placing
        substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
      -- From version 4 to version 7.
      52, 1), 53, 1), 'hex')::uuid
$$;

revoke all on function leadpipe.uuid_v7() from public, anon, authenticated;

-- A role that inserts rows needs the default of their ids.
grant execute on function leadpipe.uuid_v7() to service_role;

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
      case when kept then uuid else leadpipe.uuid_v7() end, p_conversation, client_id, sender, text, type, "timestamp",
      metadata || case when kept then '{}' else jsonb_build_object('clientId', client_id) end,
      -- Messages of one request often have the same time; the microseconds keep their order.
      now() + "position" * interval '1 microsecond'
    from (
      -- Of several messages with the same client id, the first.
      select distinct on (client_id) m.*, taken_by is null as kept, taken_by
      from leadpipe.message_fields(p_messages, p_received) as m,
           -- A sub-select, not a join: it always uses the index, whatever row counts the planner expects.
           lateral (select (select o.conversation_id from public.chat_messages o where o.id = m.uuid) offset 0) as other (taken_by)
      order by client_id, m."position"
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
  v_customer := coalesce(v_customer, (p #>> '{ids,customer}')::uuid, leadpipe.uuid_v7());

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
        select m.text from (
          select distinct on (client_id) * from leadpipe.message_fields(case when v_added > 0 then p -> 'messages' end, now())
          order by client_id, "position") as m
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
    v_id, v_customer, l.name, l.phone, l.email, coalesce(l.start_time, v_received), l.end_time, l.duration, 'new',
    coalesce(l.score, 0), coalesce(l.quality, 'cold'), l.breakdown, l.budget, l.property_type, l.preferred_area, l.intent, l.tags, l.notes,
    l.metadata, l.device_info, p ->> 'source', l.deadline, v_route || ':' || v_key, l.budget_amount, l.budget_min, l.budget_max,
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

  if to_regclass('public.lead_events') is not null then
    v_event := coalesce((v_ids ->> 'event')::uuid, leadpipe.uuid_v7());
    v_type := coalesce(p #>> '{event,type}', 'lead.created')::public.lead_event_type;
    v_done := case when not leadpipe.event_notifies(v_type, '{}') then now() end;
    insert into public.lead_events (id, event_type, conversation_id, payload, processed, processed_at, planned_at, request_id)
    values (v_event, v_type, v_id, coalesce(p #> '{event,payload}', '{}'), v_done is not null, v_done, v_done, p ->> 'requestId');
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    insert into public.conversation_timeline (id, conversation_id, event_type, title, description)
    values (
      coalesce((v_ids ->> 'timeline')::uuid, leadpipe.uuid_v7()), v_id, 'created',
      coalesce(leadpipe.to_nfc(p #>> '{timeline,title}'), 'Lead Created'), leadpipe.to_nfc(p #>> '{timeline,description}'));
  end if;

  return jsonb_build_object(
    'outcome', 'created', 'created', true, 'id', v_id, 'status', 'new',
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
  v_has_events boolean := to_regclass('public.lead_events') is not null;
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
  select jsonb_agg(jsonb_build_object('n', n, 'id', id, 'received', received, 'messages', messages, 'event', event))
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
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, event uuid),
         lateral (select p -> (n - 1)) as sent (lead),
         lateral (select coalesce(lead #>> '{event,type}', 'lead.created')::public.lead_event_type) as named (type),
         lateral (select case when not leadpipe.event_notifies(type, '{}') then now() end) as quiet (done);
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    insert into public.conversation_timeline (id, conversation_id, event_type, title, description)
    select coalesce((lead #>> '{ids,timeline}')::uuid, leadpipe.uuid_v7()), id, 'created', coalesce(leadpipe.to_nfc(lead #>> '{timeline,title}'), 'Lead Created'), leadpipe.to_nfc(lead #>> '{timeline,description}')
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid), lateral (select p -> (n - 1)) as sent (lead);
  end if;

  return (
    select jsonb_object_agg(n, jsonb_build_object(
      'outcome', 'created', 'created', true, 'id', id, 'status', 'new',
      'createdAt', leadpipe.iso8601(now()), 'updatedAt', leadpipe.iso8601(now()), 'eventId', event, 'messagesAdded',
        case when p_careful then (select count(*) from public.chat_messages m where m.conversation_id = s.id) else messages end))
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, messages integer, event uuid));
end
$$;

revoke all on function leadpipe.capture_new_leads(jsonb, boolean) from public, anon, authenticated;

-- Raises lead_too_large if an argument of capture_lead exceeds what can be shown later. Its handlers have checked it
-- with lower limits; this is for a caller that has only stolen their login. Times must be from 1970 to 9999, numbers at
-- most 1e200, and nesting at most 16 levels. The sizes of single fields are not checked in a small argument, which
-- cannot exceed them: this runs for every lead.
create or replace function leadpipe.check_lead(p jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_size constant integer := octet_length(p::text);
  v_sent constant jsonb := p - 'idempotency';
  v_lead constant jsonb := p -> 'lead';
  v_messages constant jsonb := case when jsonb_typeof(p -> 'messages') = 'array' then p -> 'messages' else '[]' end;
begin
  if v_size > 2097152 or v_sent @? 'strict $.**{17}'
    or v_sent @? '$.** ? (@.type() == "number" && (@ > 1e200 || @ < -1e200))'
    or coalesce(jsonb_typeof(v_lead -> 'budgetAmount'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMin'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMax'), 'null') not in ('number', 'null')
    or exists (
      select from (
        select p ->> 'receivedAt'
        union all select v_lead ->> 'slaDeadline' union all select v_lead ->> 'startTime' union all select v_lead ->> 'endTime'
        union all select value from jsonb_each_text(coalesce(nullif(v_lead -> 'slaDeadlines', 'null'), '{}'))
        union all select m ->> 'timestamp' from jsonb_array_elements(v_messages) as sent (m)
      ) as sent (at)
      where at::timestamptz not between '1970-01-01 00:00Z' and '9999-12-31 23:59Z')
    -- They are in an index, whose entries are smaller.
    or exists (select from jsonb_array_elements(v_messages) as sent (m) where octet_length(m ->> 'id') > 1000)
    or v_size > 4000 and (
      exists (
        select from jsonb_each(v_lead) as field where octet_length(value::text) > case
          when jsonb_typeof(value) = 'object' or key = 'deviceInfo' then 65536 when key = 'notes' then 80000 when key = 'tags' then 40000 else 4000 end)
      or octet_length(coalesce(p -> 'event', '{}')::text) > 65536
      or exists (
        select from jsonb_each(p - '{idempotency,lead,messages,event}'::text[]) as field where octet_length(value::text) > 4000)
      or jsonb_array_length(v_messages) > 1000
      or exists (
        select from jsonb_array_elements(v_messages) as sent (m), jsonb_each(case when jsonb_typeof(m) = 'object' then m else '{}' end) as field
        where octet_length(value::text) > case when key in ('text', 'metadata') then 65536 else 4000 end))
  then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;

revoke all on function leadpipe.check_lead(jsonb) from public, anon, authenticated;

-- Returns the fields of messages in the form in which they are stored. `uuid` is the id of the row: the client id if that
-- is a UUID, otherwise a new one. `given` is false if the client sent no id and one was generated. The caller may send
-- the row's id as rowId; comparing it is cheaper than looking for a UUID.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.message_fields(p jsonb, p_received timestamptz)
returns table (
  client_id text, uuid uuid, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb, "position" bigint,
  given boolean)
language sql stable as $$
  select
    case when is_uuid then lower(named) else named end,
    case when "rowId" is not null then "rowId" when is_uuid then named::uuid else leadpipe.uuid_v7() end,
    coalesce(m.sender, 'customer'), leadpipe.to_nfc(coalesce(m.text, '')), coalesce(m.type, 'text'), coalesce(m."timestamp", p_received),
    coalesce(m.metadata, '{}') || case when is_uuid then '{}' else jsonb_build_object('clientId', named) end, m."position", m.id is not null
  from rows from (
         jsonb_to_recordset(p) as (id text, "rowId" uuid, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb))
       with ordinality as m (id, "rowId", sender, text, type, "timestamp", metadata, "position"),
       -- `offset 0`: evaluated once, not for each use.
       lateral (select coalesce(m.id, leadpipe.uuid_v7()::text) offset 0) as id (named),
       lateral (select case when "rowId" is not null then "rowId"::text = lower(named)
         else lower(named collate "C") ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' end offset 0) as shape (is_uuid)
$$;

revoke all on function leadpipe.message_fields(jsonb, timestamptz) from public, anon, authenticated;

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
    select d.*, leadpipe.uuid_v7() as new_id from public.notification_logs d where d.id = any (v_chosen)
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

-- Queues a test message to each configured recipient of the channel `name`: an event that is already planned, with one
-- delivery for each recipient. The deliveries are sent like all others; if the channel is paused, they wait for the end
-- of the pause. Raises LP404 if the channel is not configured.
create or replace function public.test_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_event uuid := leadpipe.uuid_v7();
  v_channel public.notification_channel;
  v_deliveries jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'channel_not_configured';
  end if;
  v_channel := p ->> 'name';
  insert into public.lead_events (id, event_type, payload, planned_at, created_at)
  values (v_event, 'channel.test', jsonb_build_object('channel', v_channel, 'by', p -> 'by', 'askedAt', leadpipe.iso8601(v_now)), v_now, v_now);
  with made as (
    insert into public.notification_logs (lead_event_id, channel, recipient, created_at, paused_before)
    select distinct on (e.recipient) v_event, v_channel, coalesce(e.recipient, 'default'), v_now, leadpipe.paused_seconds(v_channel, v_now)
    from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text)
    where e.channel = p ->> 'name'
    returning id, recipient
  )
  select jsonb_agg(jsonb_build_object('id', id, 'recipient', recipient) order by recipient) into v_deliveries from made;
  return jsonb_build_object('channel', v_channel, 'eventId', v_event, 'deliveries', v_deliveries,
    'pausedUntil', (select leadpipe.iso8601(n.paused_until) from public.notification_channels n
                    where n.channel = v_channel and n.paused_until > v_now));
end
$$;

revoke all on function public.test_channel(jsonb) from public, anon, authenticated;

grant execute on function public.test_channel(jsonb) to leadpipe_admin, service_role;

alter table public.admin_keys alter column id set default leadpipe.uuid_v7();

alter table public.agents alter column id set default leadpipe.uuid_v7();

alter table public.chat_messages alter column id set default leadpipe.uuid_v7();

alter table public.conversation_summaries alter column id set default leadpipe.uuid_v7();

alter table public.conversation_timeline alter column id set default leadpipe.uuid_v7();

alter table public.conversations alter column id set default leadpipe.uuid_v7();

alter table public.follow_up_tasks alter column id set default leadpipe.uuid_v7();

alter table public.lead_events alter column id set default leadpipe.uuid_v7();

alter table public.lead_tags alter column id set default leadpipe.uuid_v7();

alter table public.newsletter_subscribers alter column id set default leadpipe.uuid_v7();

alter table public.notification_logs alter column id set default leadpipe.uuid_v7();

drop index if exists public.customer_identities_customer_id_idx;
