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
