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
    from jsonb_to_recordset(v_stored) as s (n integer, id uuid, status text), lateral (select p -> (n - 1)) as sent (lead);
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
