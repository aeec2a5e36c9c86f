-- Generated from schemas/ by `make migration`. This file can run again at any time.

drop function if exists leadpipe.release_spam(uuid);

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
  if v_announces and to_regclass('public.lead_events') is not null then
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
  if to_regclass('public.lead_events') is not null then
    -- The event of a reopened conversation notifies, so it has the facts of a new lead and the customer's latest
    -- message. The customer is the stored one, because an unproven request may name another.
    v_event := public.emit_lead_event('lead.updated', v_id, v_facts || case when v_reopens then
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
      perform public.emit_lead_event('lead.qualified', v_id, v_facts - '{messagesAdded,proven}'::text[] || case when v_announces then
        jsonb_strip_nulls(jsonb_build_object('risenFrom', v_before.lead_quality, 'conversation', v_id, 'source', c.source,
          'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
          'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
          'leadScoreBefore', v_before.lead_score, 'intent', c.intent, 'budget', c.budget, 'propertyType', c.property_type,
          'preferredArea', c.preferred_area, 'message', v_message)) else '{}' end,
        case when v_announces then 'lead.qualified:' || v_id || ':' || c.lead_quality end);
    end if;
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

-- Keeps the test lead of `leadpipe check` away from agents. Without `id`, only waits for the lock that lets one call of
-- assign_leads work at a time: until the caller's transaction ends, no lead is assigned automatically. With `id`, the
-- conversation gets a deadline of an hour before its creation, which the SLA sweep does not announce, and is marked as
-- released, so that it is never assigned. Raises LP404 if the conversation is not a test lead.
create or replace function public.prepare_test_lead(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'owner');
  if p ->> 'id' is null then
    insert into leadpipe.assigning (is_only) select true where not exists (select from leadpipe.assigning) on conflict do nothing;
    perform from leadpipe.assigning for no key update;
    return '{}';
  end if;
  -- A lead that was set aside as spam has no deadline.
  update public.conversations set sla_response_deadline = case when status <> 'spam' then created_at - interval '1 hour' end
  where id = (p ->> 'id')::uuid and leadpipe.is_test_lead(id, customer_name, metadata)
  returning * into c;
  if not found then
    raise exception using errcode = 'LP404', message = 'conversation_not_found';
  end if;
  perform leadpipe.release_lead(c);
  return '{}';
end
$$;

revoke all on function public.prepare_test_lead(jsonb) from public, anon, authenticated;

grant execute on function public.prepare_test_lead(jsonb) to leadpipe_admin, service_role;

-- Updates a locked conversation. Returns true if anything changed. `p_change` can contain `status`, `leadScore`,
-- `leadQuality`, `tags`, `addTags`, `removeTags`, `notes` (appended if `notesMode` is append), `outcome` and `conversionValue`. `clear` lists
-- the fields to set to null.
create or replace function leadpipe.apply_changes(c public.conversations, p_change jsonb, p_by text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n public.conversations := c;  -- the new state
  v_clear text[] := array(select jsonb_array_elements_text(p_change -> 'clear'));
  v_note text := leadpipe.to_nfc(p_change ->> 'notes');
  v_ranks constant text[] := '{cold,warm,hot}';
  v_closed constant text[] := '{completed,lost,converted}';
  v_hides boolean;  -- the lead is moved to spam
  v_returns boolean;  -- an open status brings it back
  v_removed text[];
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
  if p_change ?| array['addTags', 'removeTags'] then
    v_removed := array(select leadpipe.to_nfc(t) from jsonb_array_elements_text(p_change -> 'removeTags') as sent (t));
    n.tags := array(select t from unnest(n.tags) with ordinality as kept (t, i) where t <> all (v_removed) order by i)
      || array(select tag from (
        select leadpipe.to_nfc(t) as tag, min(i) as first
        from jsonb_array_elements_text(p_change -> 'addTags') with ordinality as sent (t, i) group by 1) added
      where tag <> all (n.tags) and tag <> all (v_removed) order by first);
    if cardinality(n.tags) > greatest(100, cardinality(c.tags)) then
      raise exception using errcode = 'LP400', message = 'invalid_list', detail = '{"field": "tags", "count": "at most 100", "items": "tags"}';
    end if;
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
  v_hides := n.status = 'spam' and c.status <> 'spam';
  v_returns := c.status = 'spam' and c.erased_at is null and n.status in ('new', 'in-progress');
  if v_hides then
    -- Nobody owes a robot an answer.
    n.sla_response_deadline := null;
    n.sla_breached := false;
  elsif v_returns and c.first_response_at is null then
    -- The sender waits from now on. Callers without office hours send no deadlines.
    n.sla_response_deadline := coalesce((p_change #>> array['slaDeadlines', n.lead_quality])::timestamptz,
      clock_timestamp() + case n.lead_quality when 'hot' then interval '15 minutes' when 'warm' then interval '1 hour' else interval '24 hours' end);
  end if;
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
    tags = n.tags, notes = n.notes, outcome = n.outcome, conversion_value = n.conversion_value, sla_breached = n.sla_breached,
    sla_response_deadline = n.sla_response_deadline
  where s.id = c.id;

  if n.status = any (v_closed) and c.status <> all (v_closed) and to_regclass('public.follow_up_tasks') is not null then
    perform leadpipe.cancel_reminders(c.id, f.id, 'cancelled: the lead was closed')
    from public.follow_up_tasks f where f.conversation_id = c.id and f.status in ('scheduled', 'in_progress', 'overdue');
  elsif n.status <> all (v_closed) and c.status = any (v_closed) then
    perform leadpipe.reopen_follow_ups(c.id);
    if n.sla_breached and c.first_response_at is null then
      -- It became overdue without a sweep, when it was closed.
      perform leadpipe.end_turns(array[c.id]);
    end if;
  end if;
  if v_hides then
    if c.status <> all (v_closed) and to_regclass('public.follow_up_tasks') is not null then
      perform leadpipe.cancel_reminders(c.id, f.id, 'cancelled: the lead was marked as spam')
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status in ('scheduled', 'in_progress', 'overdue');
    end if;
    perform leadpipe.silence_spam(c.id);
  elsif v_returns then
    perform leadpipe.reopen_follow_ups(c.id);
    -- Who takes it up needs no notification, and who has been answered neither.
    if n.status = 'new' and c.first_response_at is null then
      perform leadpipe.release_spam(c.id);
    end if;
  end if;
  if n.status <> c.status then
    v_event := case n.status when 'converted' then 'lead.converted' when 'lost' then 'lead.lost' else 'lead.updated' end;
    perform leadpipe.record_activity(c.id, p_by, 'status_changed',
      case n.status when 'converted' then 'Lead converted' when 'lost' then 'Lead lost'
        when 'spam' then 'Marked as spam'
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

-- Returns the facts that explain a conversation's state: the conversation, the times of its first 200 lead.updated
-- events, its newest 50 deliveries and its newest 20 events that have none but should, both as returned by
-- show_delivery, its receipt, how it is assigned, and its next follow-up.
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
            where e.conversation_id = c.id and c.status <> 'spam' and leadpipe.event_notifies(e.event_type, e.payload)
              and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
            order by e.created_at desc, e.id desc limit 20) e),
    'receipt', (select jsonb_build_object('notSent', r.reason, 'at', leadpipe.iso8601(r.decided_at)) from leadpipe.receipts r where r.conversation_id = c.id),
    'assignment', leadpipe.assignment_document(c),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;

revoke all on function public.explain_conversation(jsonb) from public, anon, authenticated;

grant execute on function public.explain_conversation(jsonb) to leadpipe_admin, service_role;

-- True if a conversation is kept aside as spam: nothing is sent about it.
create or replace function leadpipe.is_spam(p_conversation uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from public.conversations c where c.id = p_conversation and c.status = 'spam')
$$;

revoke all on function leadpipe.is_spam(uuid) from public, anon, authenticated;

-- Lets the notifications of a lead that was kept aside as a robot's be sent. The event of its capture, with `p_facts` in its
-- payload, is planned as one of now: its deliveries are tried for as long as those of any new event. An event that has
-- deliveries keeps them: those that were cancelled when the lead was marked as spam are due again. The caller has locked
-- the conversation; a deadlock with an erasure, which locks the events first, is repeated.
create or replace function leadpipe.release_spam(p_conversation uuid, p_facts jsonb default '{}') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_events uuid[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  update public.lead_events e set planned_at = null, processed = false, processed_at = null, created_at = v_now, updated_at = v_now,
    payload = e.payload || p_facts,
    -- As an event of now: the live feed shows it, and the automatic assignment reads it.
    xact = pg_current_xact_id(), seq = nextval('public.lead_events_seq')
  where e.conversation_id = p_conversation and e.event_type = 'lead.created' and e.planned_at is not null and not e.payload ? 'erased'
    and not exists (select from public.notification_logs d where d.lead_event_id = e.id);
  -- Warnings about the former deadline are not sent any more.
  v_events := array(
    select e.id from public.lead_events e
    where e.conversation_id = p_conversation and e.event_type in ('lead.created', 'lead.updated', 'lead.qualified') and not e.payload ? 'erased'
    order by e.id for no key update);
  update public.notification_logs d set
    next_attempt_at = v_now, retried_at = v_now, paused_before = leadpipe.paused_seconds(d.channel, v_now)
  where d.lead_event_id = any (v_events) and d.status = 'failed' and d.next_attempt_at is null and not d.to_visitor
    and d.error_message = 'cancelled: the lead was marked as spam';
  perform leadpipe.settle_events(v_events);
end
$$;

revoke all on function leadpipe.release_spam(uuid, jsonb) from public, anon, authenticated;

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
begin
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

-- Sends finished notifications once more, but no receipts. For the newest delivery of each event, channel and recipient, it creates a
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
      and d.created_at < v_as_of and not e.payload ? 'erased' and leadpipe.can_be_sent_again(d.recipient, d.to_agent) and not d.to_visitor
      and not leadpipe.is_spam(d.conversation_id)
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
        and not e.payload ? 'erased'
        and not leadpipe.is_spam(e.conversation_id)
        and (p -> 'ids' is null or e.id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
        and (p ->> 'from' is null or e.created_at >= (p ->> 'from')::timestamptz)
        and (p ->> 'to' is null or e.created_at < (p ->> 'to')::timestamptz)
        and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
      order by e.id limit 10000 for no key update);
    update public.lead_events e set planned_at = null, processed = false, processed_at = null, updated_at = v_now
    where e.id = any (v_unrouted) and not v_is_dry;
  end if;

  with chosen as materialized (
    select d.*, leadpipe.uuid_v7() as new_id from public.notification_logs d
    where d.id = any (v_chosen) and not leadpipe.is_erased(d.lead_event_id)
  ), made as (
    insert into public.notification_logs (
      id, lead_event_id, event_at, conversation_id, channel, recipient, to_agent, created_at, replay_of, retried_at, paused_before)
    select new_id, lead_event_id, event_at, conversation_id, channel, recipient, to_agent, v_now, id, v_now, leadpipe.paused_seconds(channel, v_now)
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

-- Makes failed deliveries due immediately, whether given up or waiting: those in `ids`, or those of a `channel` and
-- optionally a `class`. Each call retries at most 1,000 deliveries, oldest first, and skips those retried since `asOf`.
-- `isComplete` is false while more are left. A receipt is not sent again if it may have arrived, was refused or cancelled, and nothing is about a lead that is spam. With `dryRun`, nothing is changed. `by` is the name of the operator.
create or replace function public.retry_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_as_of timestamptz := coalesce((p ->> 'asOf')::timestamptz, v_now);
  v_is_dry boolean := coalesce((p ->> 'dryRun')::boolean, false);
  v_ids uuid[];
  v_count integer;
  v_documents jsonb;
  v_events uuid[];
begin
  if p -> 'ids' is null and p ->> 'channel' is null then
    raise exception 'ids or channel is required' using errcode = '22023';
  end if;
  select array_agg(id), count(*) into v_ids, v_count from (
    select d.id from public.notification_logs d
    where d.is_failed
      and (d.next_attempt_at is null or d.next_attempt_at > v_now)
      and (d.retried_at is null or d.retried_at < v_as_of)
      and not leadpipe.is_erased(d.lead_event_id) and leadpipe.can_be_sent_again(d.recipient, d.to_agent)
      and not leadpipe.is_spam(d.conversation_id)
      and (not d.to_visitor or d.outcome_class in ('retry', 'throttled', 'config'))
      and (p -> 'ids' is null or d.id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
      and (p ->> 'channel' is null or d.channel = (p ->> 'channel')::public.notification_channel)
      and (p ->> 'class' is null or d.outcome_class = p ->> 'class')
    order by d.created_at, d.id limit 1000) found;
  if not v_is_dry and v_ids is not null then
    -- Lock events first, as in all functions.
    perform from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (v_ids)) order by e.id for no key update;
    with changed as (
      update public.notification_logs d set
        next_attempt_at = v_now, retried_at = v_now, paused_before = leadpipe.paused_seconds(d.channel, v_now)
      where d.id = any (v_ids) and d.status = 'failed' and not leadpipe.is_erased(d.lead_event_id)
      returning d.id, d.lead_event_id, d.conversation_id, d.channel
    ), logged as (
      insert into public.conversation_timeline (conversation_id, event_type, title, actor_name, metadata)
      select conversation_id, 'notification_sent', 'Notification to be tried again via ' || channel, p ->> 'by',
        jsonb_build_object('deliveryId', id, 'channel', channel, 'by', p ->> 'by')
      from changed where conversation_id is not null
    )
    select array_agg(id), array_agg(distinct lead_event_id) into v_ids, v_events from changed;
    perform leadpipe.settle_events(v_events);
  end if;
  select coalesce(jsonb_agg(leadpipe.delivery_document(to_jsonb(d)) order by d.created_at, d.id), '[]') into v_documents
  from public.notification_logs d where d.id = any (v_ids);
  return jsonb_build_object(
    'deliveries', v_documents, 'asOf', v_as_of, 'isComplete', v_is_dry or v_count < 1000,
    -- The requested ids that were not retried, with their status.
    'refused', (select coalesce(jsonb_agg(jsonb_build_object('id', asked.id, 'status', coalesce(d.status, 'none'))), '[]')
      from jsonb_array_elements_text(coalesce(p -> 'ids', '[]')) as asked (id)
      left join public.notification_logs d on d.id = asked.id::uuid
      where asked.id::uuid <> all (coalesce(v_ids, '{}'))));
end
$$;

revoke all on function public.retry_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.retry_deliveries(jsonb) to leadpipe_admin, service_role;

-- Makes one failed delivery due immediately. Raises LP404 if it does not exist, LP409 if there is nothing to retry.
create or replace function public.retry_delivery(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
  v_state text;
begin
  p := leadpipe.authorize(p, 'write');
  v_done := public.retry_deliveries(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done #> '{deliveries,0}' is not null then
    return v_done #> '{deliveries,0}';
  end if;
  v_state := v_done #>> '{refused,0,status}';
  if v_state = 'none' then
    raise exception using errcode = 'LP404', message = 'notification_not_found';
  end if;
  raise exception using errcode = 'LP409', message = case
    when v_state in ('sent', 'delivered') then 'notification_sent'
    when v_state = 'sending' then 'notification_sending'
    when (select leadpipe.is_erased(d.lead_event_id) from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'notification_erased'
    when (select leadpipe.is_spam(d.conversation_id) from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'notification_of_spam'
    when (select d.to_visitor and d.next_attempt_at is null from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'receipt_final'
    else 'notification_due' end;
end
$$;

revoke all on function public.retry_delivery(jsonb) from public, anon, authenticated;

grant execute on function public.retry_delivery(jsonb) to leadpipe_admin, service_role;

-- Returns the entries of a claim, from with_agents, and one for each of at most two visitors whose receipts are due first.
-- There are none while a message for the team or an agent is due or an event is to be planned, so that receipts delay
-- nothing else. The receipts of leads that were closed, set aside or erased meanwhile are cancelled,
-- and those that are older than a day.
create or replace function leadpipe.with_visitors(p_channels jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ended uuid[];
  v_visitors text[];
  v_room integer;
begin
  if not exists (select from public.notification_logs d where d.to_visitor and d.due_at is not null) then
    return p_channels;
  end if;
  v_ended := array(
    select due.id from (
      select d.id, d.conversation_id from public.notification_logs d
      where d.to_visitor and d.due_at <= p_now and d.status <> 'sending' order by d.due_at limit 100) due
    where not exists (select from public.conversations c where c.id = due.conversation_id and c.status in ('new', 'in-progress') and c.erased_at is null));
  if v_ended <> '{}' then
    perform leadpipe.cancel_deliveries(v_ended, 'cancelled: the lead is not open any more');
  end if;
  v_ended := array(
    select d.id from public.notification_logs d
    where d.to_visitor and d.due_at <= p_now and d.status <> 'sending' and d.created_at < p_now - interval '24 hours' order by d.due_at limit 100);
  if v_ended <> '{}' then
    perform leadpipe.cancel_deliveries(v_ended, 'cancelled: it is too late for a receipt');
  end if;

  select sum(greatest(coalesce(e."limit", 10), 0)) into v_room
  from jsonb_to_recordset(p_channels) as e (channel text, "limit" integer) where e.channel = 'email';
  if coalesce(v_room, 0) = 0
    or exists (select from public.lead_events e where e.planned_at is null)
    or exists (
      select from jsonb_to_recordset(p_channels) as e (channel text, recipient text)
      where e.channel = 'email' and exists (
        select from public.notification_logs d
        where d.channel = 'email' and d.recipient = coalesce(e.recipient, 'default') and d.due_at <= p_now and d.status <> 'sending'
          and not d.to_visitor and (d.lease_until is null or d.lease_until <= p_now)))
  then
    return p_channels;
  end if;
  select array_agg(first.recipient) into v_visitors from (
    select waiting.recipient from (
      select d.recipient, d.due_at from public.notification_logs d
      where d.to_visitor and d.due_at is not null and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
      order by d.due_at limit 100) waiting
    where waiting.recipient not in (
      select coalesce(e.recipient, 'default') from jsonb_to_recordset(p_channels) as e (channel text, recipient text) where e.channel = 'email')
    group by waiting.recipient order by min(waiting.due_at) limit least(v_room, 2)) first;
  if v_visitors is null then
    return p_channels;
  end if;
  return p_channels || (
    select jsonb_agg(jsonb_build_object('channel', 'email', 'recipient', visitor, 'limit', 1, 'events', '[]'::jsonb))
    from unnest(v_visitors) as visitor);
end
$$;

revoke all on function leadpipe.with_visitors(jsonb, timestamptz) from public, anon, authenticated;

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

-- Counts the leads that prune_persons would erase now with `days`: {"leads", "oldest", "closed", "erasesFrom"}. `oldest` is
-- when the oldest of them was stored, `closed` the number of closed leads that are not erased, and `erasesFrom` the
-- beginning of the next pass; null if no worker has called prune_persons with days.
create or replace function public.count_old_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_before constant timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
begin
  p := leadpipe.authorize(p, 'owner');
  return (
    select jsonb_build_object('leads', count(*) filter (where is_old), 'oldest', leadpipe.iso8601(min(created_at) filter (where is_old)),
      'closed', count(*), 'erasesFrom', (
        select leadpipe.iso8601(case when l.passed_to is null then l.passed_at + interval '1 day' else l.called_at end) from leadpipe.person_lock l))
    from (
      select c.created_at, c.created_at < v_before and c.updated_at < v_before and leadpipe.is_unused_since(c.id, v_before) as is_old
      from public.conversations c where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam')) as closed);
end
$$;

revoke all on function public.count_old_leads(jsonb) from public, anon, authenticated;

grant execute on function public.count_old_leads(jsonb) to leadpipe_admin, service_role;

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

-- Erases the personal data of the next closed leads to which nothing has happened since `p_before`, at most about 50, and
-- that of their customers who have no other lead. Reads at most 1,000 leads, in the order of their creation, from
-- `p_to` and `p_id` on. Leads that another session has locked stay for the next pass. Returns how many leads were erased,
-- and the last lead that was read; null at the end of the leads.
create or replace function leadpipe.erase_old_leads(
  p_before timestamptz, inout p_to timestamptz, inout p_id uuid, out erased integer)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_read constant integer := 1000;
  c_most constant integer := 50;
  v_row record;
  v_read integer := 0;
  v_ids uuid[] := '{}';
  v_events uuid[];
  v_gone record;
begin
  for v_row in
    select c.id, c.created_at from public.conversations c
    where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam') and c.created_at < p_before
      and (c.created_at, c.id) > (coalesce(p_to, '-infinity'), coalesce(p_id, '00000000-0000-0000-0000-000000000000'))
    order by c.created_at, c.id limit c_read
  loop
    v_read := v_read + 1;
    p_to := v_row.created_at;
    p_id := v_row.id;
    if leadpipe.is_unused_since(v_row.id, p_before) then
      v_ids := v_ids || v_row.id;
    end if;
    exit when cardinality(v_ids) = c_most;
  end loop;
  if v_read < c_read and cardinality(v_ids) < c_most then
    p_to := null;
    p_id := null;
  end if;

  -- Without waiting, in the order in which others lock: events, then conversations. The clean-up drops the events.
  if to_regclass('public.lead_events') is not null then
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (v_ids) order by e.id for update skip locked);
    v_ids := array(
      select id from unnest(v_ids) as id
      where not exists (select from public.lead_events e where e.conversation_id = id and e.id <> all (v_events)));
  end if;
  v_ids := array(
    select c.id from public.conversations c where c.id = any (v_ids) order by c.id for no key update skip locked);
  v_ids := array(select id from unnest(v_ids) as id where leadpipe.is_unused_since(id, p_before) order by id);
  erased := cardinality(v_ids);
  if erased = 0 then
    return;
  end if;
  select array_agg(distinct c.customer_id) as customers, array_agg(distinct c.customer_phone) as phones,
    array_agg(distinct lower(c.customer_email)) as emails into v_gone
  from public.conversations c where c.id = any (v_ids);
  perform leadpipe.erase_conversations(v_ids, 'retention');
  -- The numbers and addresses of customers who have no lead any more.
  with gone as (
    delete from public.customer_identities i
    where i.ctid = any (array(
        select o.ctid from public.customer_identities o where o.customer_id = any (v_gone.customers)
        union all select o.ctid from public.customer_identities o where o.kind = 'phone' and o.value = any (v_gone.phones)
        union all select o.ctid from public.customer_identities o where o.kind = 'email' and o.value = any (v_gone.emails)))
      and not exists (select from public.conversations c where c.customer_id = i.customer_id)
    returning i.kind, i.value)
  select array_agg(value) filter (where kind = 'phone') as phones, array_agg(value) filter (where kind = 'email') as emails into v_gone from gone;
  -- A merge can be undone for the rows that are left.
  delete from leadpipe.merged_rows r
  where (r.kind = 'conversation' and r.value = any (v_ids::text[])) or (r.kind = 'phone' and r.value = any (v_gone.phones))
    or (r.kind = 'email' and r.value = any (v_gone.emails));
end
$$;

revoke all on function leadpipe.erase_old_leads(timestamptz, timestamptz, uuid) from public, anon, authenticated;

-- Removes a person's data from all tables; see find_person and erase_conversations. `conversations` and `subscriptions`
-- must be the numbers that show_person returned, so that nothing is erased that nobody has seen; otherwise raises LP409.
-- The audit log records the numbers. Leads that are stored later are not affected.
create or replace function public.erase_person(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v record;
  v_done jsonb;
  v_events uuid[];
  v_about uuid[];
  v_digests uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  perform leadpipe.lock_persons();
  perform leadpipe.settle_merges();
  v := leadpipe.find_person(p);
  if (p ->> 'conversations')::integer is distinct from cardinality(v.conversations)
    or (p ->> 'subscriptions')::integer is distinct from cardinality(v.subscribers) then
    raise exception using errcode = 'LP409', message = 'person_changed';
  end if;
  -- Before anything is locked, because it takes long.
  v_about := leadpipe.mentions_of_person(v.phones, v.emails);
  if to_regclass('public.lead_events') is not null then
    -- All events in one statement, in the order in which others lock them.
    v_digests := array(select leadpipe.digests_about(v.conversations));
    perform from public.lead_events e
    where e.conversation_id = any (v.conversations) or e.id = any (v_digests)
      or e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails)
    order by e.id for update;
  end if;
  -- How many had consented to marketing: what may be kept as proof that consent was asked for.
  v_done := jsonb_build_object('conversations', cardinality(v.conversations), 'subscriptions', cardinality(v.subscribers),
    'consents', (select count(*) from public.conversations c where c.id = any (v.conversations) and c.metadata @> '{"consent": {"marketing": true}}'));
  v_done := v_done || jsonb_build_object('notificationsCancelled', leadpipe.erase_conversations(v.conversations, p ->> 'by'));
  if to_regclass('public.notification_logs') is not null then
    -- What another program has sent to another address of the person.
    update public.notification_logs d set recipient = 'erased ' || d.id
    where d.conversation_id = any (v.conversations) and (lower(d.recipient) = any (v.emails) or leadpipe.phone_digits(d.recipient) in (
      select leadpipe.phone_digits(phone) from unnest(v.phones) as phone));
  end if;
  delete from public.newsletter_subscribers s where s.id = any (v.subscribers);
  -- After the subscription, whose row a concurrent subscription locks, so that its event is found too.
  if to_regclass('public.lead_events') is not null then
    v_events := array(
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails));
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  delete from leadpipe.receipts r where r.address = any (array(
    select sha256(convert_to(leadpipe.receipt_address(email), 'UTF8')) from unnest(v.emails) as email));
  delete from public.customer_identities i
  where (i.kind = 'phone' and i.value = any (v.phones)) or (i.kind = 'email' and i.value = any (v.emails));
  perform leadpipe.forget_merges(v.conversations, v.phones, v.emails);
  if v_about <> '{}' then
    update public.conversation_timeline t set description = null, metadata = t.metadata - 'notStored' where t.id = any (v_about);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'person.erased', null, v_done);
  return v_done;
end
$$;

revoke all on function public.erase_person(jsonb) from public, anon, authenticated;

grant execute on function public.erase_person(jsonb) to leadpipe_admin, service_role;

-- True if nothing has happened to a closed lead since a time: no change, no message, no open follow-up for a later day.
create or replace function leadpipe.is_unused_since(p_id uuid, p_since timestamptz) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (
    select from public.conversations c
    where c.id = p_id and (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam') and c.created_at < p_since and c.updated_at < p_since)
    or exists (select from public.chat_messages m where m.conversation_id = p_id and m.created_at >= p_since) then
    return false;
  end if;
  -- The clean-up drops this table.
  return to_regclass('public.follow_up_tasks') is null or not exists (
    select from public.follow_up_tasks f
    where f.conversation_id = p_id and f.status not in ('completed', 'cancelled') and f.follow_up_date >= p_since);
end
$$;

revoke all on function leadpipe.is_unused_since(uuid, timestamptz) from public, anon, authenticated;

-- Plans the receipts of new leads, in one small batch: at most `batch` (default 50, at most 500). `channels` has the
-- configured channels and recipients: without email there are no receipts. At most `perMinute` (default 20) receipts are
-- planned in a minute; an address gets at most one in 24 hours and five in 30 days.
--
-- Returns how many receipts were planned (`planned`), how many were not because of a limit (`limited`), how many leads
-- another session has locked (`waiting`), and whether nothing else is left (`isComplete`). One call works at a time; the
-- others return `isBusy` at once. Waits for no row. The first call of all plans none: it finds out where to begin.
create or replace function public.sweep_receipts(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 50), 1), 500);
  v_most constant integer := least(greatest(coalesce((p ->> 'perMinute')::integer, 20), 1), 10000);
  v_now timestamptz;
  v_nothing constant jsonb := '{"planned": 0, "limited": 0, "waiting": 0, "isBusy": false, "isComplete": true}';
  s leadpipe.receipt_sweep;
  v_row record;
  v_outcome text;
  v_done uuid[] := '{}';
  v_read integer := 0;
  v_planned integer := 0;
  v_limited integer := 0;
  v_waiting integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  if to_regclass('public.lead_events') is null or to_regclass('public.conversation_timeline') is null
    or to_regclass('public.notification_logs') is null then
    return v_nothing;
  end if;
  insert into leadpipe.receipt_sweep (is_only) select true where not exists (select from leadpipe.receipt_sweep) on conflict do nothing;
  select * into s from leadpipe.receipt_sweep for no key update skip locked;
  if not found then
    return v_nothing || '{"isBusy": true, "isComplete": false}';
  end if;
  v_now := clock_timestamp();
  s.seen := leadpipe.queue_receipts(s.seen, v_now);
  if not coalesce(p -> 'channels', '[]') @> '[{"channel": "email"}]' then
    delete from leadpipe.receipt_queue where true;
  end if;

  -- A clock that was set back grants nothing.
  s.tokens := case when s.tokens_at = '-infinity' then v_most when s.tokens_at > v_now then least(s.tokens, v_most)
    else least(s.tokens + v_most * extract(epoch from v_now - s.tokens_at) / 60, v_most) end;
  for v_row in select q.conversation_id as id, q.queued_at from leadpipe.receipt_queue q order by q.queued_at, q.conversation_id limit v_batch loop
    v_read := v_read + 1;
    v_outcome := leadpipe.plan_receipt(v_row.id, s.tokens >= 1, v_now);
    if v_outcome = 'locked' then
      v_waiting := v_waiting + 1;
      -- Behind the others, so that leads that stay locked do not stop them.
      update leadpipe.receipt_queue q set queued_at = v_now where q.conversation_id = v_row.id;
      continue;
    end if;
    v_done := v_done || v_row.id;
    v_planned := v_planned + (v_outcome = 'planned')::integer;
    v_limited := v_limited + (v_outcome = 'limited')::integer;
    s.tokens := s.tokens - (v_outcome = 'planned')::integer;
  end loop;
  delete from leadpipe.receipt_queue q where q.conversation_id = any (v_done);
  update leadpipe.receipt_sweep set seen = s.seen, tokens = s.tokens, tokens_at = v_now where is_only;

  return jsonb_build_object('planned', v_planned, 'limited', v_limited, 'waiting', v_waiting, 'isBusy', false,
    'isComplete', v_read < v_batch);
end
$$;

revoke all on function public.sweep_receipts(jsonb) from public, anon, authenticated;

grant execute on function public.sweep_receipts(jsonb) to leadpipe_worker, service_role;
