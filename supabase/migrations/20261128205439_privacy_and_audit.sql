-- Generated from schemas/ by `make migration`, except for the lock. This file can run again at any time.

-- Waits for the lock in short tries, so that captures and claims do not queue behind this one.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.conversations in access exclusive mode;
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

create table if not exists leadpipe.audit_log (
  id uuid constraint audit_log_pkey primary key default leadpipe.uuid_v7(),
  created_at timestamptz not null default clock_timestamp(),
  actor text not null,
  action text not null,
  subject text,
  details jsonb not null default '{}'
);

create index if not exists audit_log_created_at_idx on leadpipe.audit_log (created_at, id);

revoke all on table leadpipe.audit_log from public, anon, authenticated, service_role;

comment on table leadpipe.audit_log is
  'Who managed keys, agents, channels and personal data. Append-only: rows cannot be changed or deleted. Contains no data of customers.';

comment on column leadpipe.audit_log.actor is 'The name of the key, or of the user who ran a command.';

comment on column leadpipe.audit_log.subject is 'What it was done to: the name of a key or channel, the id of an agent, event or subscriber; null for a person.';

alter table public.conversations add column if not exists erased_at timestamp with time zone;

-- Creates a key. Only its SHA-256 is stored. Raises LP409 if the name is in use or reserved.
create or replace function public.create_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_key public.admin_keys;
begin
  if lower(p ->> 'name') in ('admin_api_key', 'operator', 'system') then
    raise exception using errcode = 'LP409', message = 'key_name_reserved';
  end if;
  insert into public.admin_keys (name, rights, sha256)
  values (p ->> 'name', p ->> 'rights', decode(p ->> 'sha256', 'hex')) returning * into v_key;
  perform leadpipe.record_audit(p ->> 'by', 'key.created', v_key.name, jsonb_build_object('rights', v_key.rights));
  return leadpipe.admin_key_document(v_key);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'key_name_taken';
end
$$;

revoke all on function public.create_admin_key(jsonb) from public, anon, authenticated;

grant execute on function public.create_admin_key(jsonb) to leadpipe_admin, service_role;

-- Revokes a key and ends its sessions. Raises LP404 if no active key has this name.
create or replace function public.revoke_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_key public.admin_keys;
begin
  update public.admin_keys set revoked_at = clock_timestamp() where name = p ->> 'name' and revoked_at is null returning * into v_key;
  if not found then
    raise exception using errcode = 'LP404', message = 'key_not_found';
  end if;
  delete from public.admin_sessions where key_id = v_key.id;
  perform leadpipe.record_audit(p ->> 'by', 'key.revoked', v_key.name);
  return leadpipe.admin_key_document(v_key);
end
$$;

revoke all on function public.revoke_admin_key(jsonb) from public, anon, authenticated;

grant execute on function public.revoke_admin_key(jsonb) to leadpipe_admin, service_role;

-- Adds an agent. Raises LP409 if the email address is in use.
create or replace function public.create_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := leadpipe.authorize(p, 'owner');
  insert into public.agents (name, email, phone, department, status, max_capacity)
  values (leadpipe.to_nfc(p ->> 'name'), lower(p ->> 'email'), p ->> 'phone', leadpipe.to_nfc(p ->> 'department'),
    coalesce(p ->> 'status', 'available'), coalesce((p ->> 'maxCapacity')::integer, 15))
  returning * into a;
  perform leadpipe.record_audit(p ->> 'by', 'agent.created', a.id::text);
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;

revoke all on function public.create_agent(jsonb) from public, anon, authenticated;

grant execute on function public.create_agent(jsonb) to leadpipe_admin, service_role;

-- Deletes an agent. Raises LP404 if it does not exist, and LP409 if it has open conversations unless `force` is true.
-- With `force` these conversations become unassigned, which their timelines record.
create or replace function public.delete_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_open uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  select * into a from public.agents where id = (p ->> 'id')::uuid for update;
  if not found then
    raise exception using errcode = 'LP404', message = 'agent_not_found';
  end if;
  -- Closed conversations are locked too, because deleting the agent also updates them.
  select array_agg(id) filter (where status in ('new', 'in-progress')) into v_open from (
    select c.id, c.status from public.conversations c where c.assigned_agent_id = a.id order by c.id for no key update) held;
  if v_open is not null and not coalesce((p ->> 'force')::boolean, false) then
    raise exception using errcode = 'LP409', message = 'agent_has_conversations', detail = jsonb_build_object('count', cardinality(v_open));
  end if;
  -- The clean-up drops this table.
  if to_regclass('public.follow_up_tasks') is not null then
    perform from public.follow_up_tasks f where f.assigned_agent_id = a.id order by f.id for no key update;
  end if;
  delete from public.agents where id = a.id;
  perform leadpipe.record_activity(id, p ->> 'by', 'assigned', 'Unassigned', 'Agent ' || a.name || ' was deleted', 'lead.updated',
    jsonb_build_object('agentIdBefore', a.id))
  from unnest(v_open) as id;
  perform leadpipe.record_audit(p ->> 'by', 'agent.deleted', a.id::text, jsonb_build_object('unassigned', coalesce(cardinality(v_open), 0)));
  return '{}';
end
$$;

revoke all on function public.delete_agent(jsonb) from public, anon, authenticated;

grant execute on function public.delete_agent(jsonb) to leadpipe_admin, service_role;

-- Updates an agent. `clear` lists the fields to set to null. Raises LP404 if the agent does not exist, LP409 if the
-- email address is in use.
create or replace function public.update_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  -- An agent's status changes during the day, so write access is enough for it. All other fields require an owner.
  p := leadpipe.authorize(p, case when p ?| array['name', 'email', 'phone', 'department', 'maxCapacity', 'clear'] then 'owner' else 'write' end);
  a := leadpipe.lock_agent((p ->> 'id')::uuid);
  update public.agents s set
    name = coalesce(leadpipe.to_nfc(p ->> 'name'), s.name), email = coalesce(lower(p ->> 'email'), s.email),
    phone = case when p -> 'clear' ? 'phone' then null else coalesce(p ->> 'phone', s.phone) end,
    department = case when p -> 'clear' ? 'department' then null else coalesce(leadpipe.to_nfc(p ->> 'department'), s.department) end,
    status = coalesce(p ->> 'status', s.status), max_capacity = coalesce((p ->> 'maxCapacity')::integer, s.max_capacity)
  where s.id = a.id returning * into a;
  perform leadpipe.record_audit(p ->> 'by', 'agent.updated', a.id::text, jsonb_build_object('fields',
    (select coalesce(jsonb_agg(field order by field), '[]') from (
      select jsonb_object_keys(p) union select jsonb_array_elements_text(coalesce(p -> 'clear', '[]'))) as changed (field)
     where field not in ('id', 'by', 'clear'))));
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;

revoke all on function public.update_agent(jsonb) from public, anon, authenticated;

grant execute on function public.update_agent(jsonb) to leadpipe_admin, service_role;

-- Lists the audit log, newest first, filtered by `actor`, `action`, `since` and `until`.
create or replace function public.list_audit(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
  v_page record;
  v_place jsonb;
  v_since timestamptz := p ->> 'since';
  v_until timestamptz := p ->> 'until';
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('audit', p ->> 'cursor');
  if v_since >= v_until then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "until", "other": "since"}';
  end if;
  v_found := array(
    select a.id from leadpipe.audit_log a
    where (p ->> 'actor' is null or a.actor = p ->> 'actor') and (p ->> 'action' is null or a.action = p ->> 'action')
      and (v_since is null or a.created_at >= v_since) and (v_until is null or a.created_at < v_until)
      and (v_place is null or (a.created_at, a.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by a.created_at desc, a.id desc limit v_page.size + 1);
  return jsonb_build_object('limit', v_page.size,
    'nextCursor', (select leadpipe.row_cursor('audit', a.created_at, a.id) from leadpipe.audit_log a
      where a.id = v_found[v_page.size] and cardinality(v_found) > v_page.size),
    'data', (select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'createdAt', leadpipe.iso8601(a.created_at), 'actor', a.actor,
        'action', a.action, 'subject', a.subject, 'details', a.details) order by a.created_at desc, a.id desc), '[]')
      from leadpipe.audit_log a where a.id = any (v_found[:v_page.size])));
end
$$;

revoke all on function public.list_audit(jsonb) from public, anon, authenticated;

grant execute on function public.list_audit(jsonb) to leadpipe_admin, service_role;

-- Refuses to change or delete rows of an append-only table, so that the owner does not do it by accident. (The owner can
-- drop the trigger.)
create or replace function leadpipe.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end
$$;

revoke all on function leadpipe.refuse_change() from public, anon, authenticated;

-- Adds an entry to the audit log. Call it in the transaction of what it records. Details must contain no data of
-- customers.
create or replace function leadpipe.record_audit(p_actor text, p_action text, p_subject text, p_details jsonb default '{}') returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into leadpipe.audit_log (actor, action, subject, details) values (coalesce(p_actor, 'operator'), p_action, p_subject, p_details)
$$;

revoke all on function leadpipe.record_audit(text, text, text, jsonb) from public, anon, authenticated;

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

  v_qualifies := v_rises and array_position('{cold,warm,hot}', c.lead_quality) > array_position('{cold,warm,hot}', v_before.lead_quality);
  -- The event of a reopened conversation has the new score and notifies in any case.
  v_announces := v_qualifies and not v_reopens and coalesce(p -> 'notifyQualified', '["hot"]') ? c.lead_quality;
  -- Once for each quality, even if an agent has lowered it since.
  if v_announces and to_regclass('public.lead_events') is not null then
    v_qualifies := not exists (select from public.lead_events where idempotency_key = 'lead.qualified:' || v_id || ':' || c.lead_quality);
    v_announces := v_qualifies;
  end if;
  v_moves := v_proven and c.first_response_at is not null and not v_reopens and not v_announces
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
      when leadpipe.is_erased((p ->> 'id')::uuid) then 'notification_erased'
      when exists (select from public.notification_logs d where d.lead_event_id = (p ->> 'id')::uuid)
      then 'event_not_finished' else 'event_without_notifications' end;
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'event.replayed', p ->> 'id');
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
      and d.created_at < v_as_of and not e.payload ? 'erased'
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
      id, lead_event_id, event_at, conversation_id, channel, recipient, created_at, replay_of, retried_at, paused_before)
    select new_id, lead_event_id, event_at, conversation_id, channel, recipient, v_now, id, v_now, leadpipe.paused_seconds(channel, v_now)
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

-- Ends the pause of the channel `name`, even one that the provider requested. Raises LP404 if the channel is not in
-- `configured` and has no row.
create or replace function public.resume_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
  v_was jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name')
    and not exists (select from public.notification_channels n where n.channel::text = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'channel_not_found';
  end if;
  v_channel := p ->> 'name';
  select jsonb_build_object('pausedUntil', leadpipe.iso8601(n.paused_until), 'class', n.pause_class, 'reason', n.pause_reason)
  into v_was from public.notification_channels n
  where n.channel = v_channel and (n.paused_until > clock_timestamp() or n.fail_streak > 0);
  perform leadpipe.record_audit(p ->> 'by', 'channel.resumed', p ->> 'name');
  return jsonb_build_object('channel', v_channel, 'wasPaused', v_was is not null, 'was', v_was,
    'broughtForward', leadpipe.end_pause(v_channel));
end
$$;

revoke all on function public.resume_channel(jsonb) from public, anon, authenticated;

grant execute on function public.resume_channel(jsonb) to leadpipe_admin, service_role;

-- Makes failed deliveries due immediately, whether given up or waiting: those in `ids`, or those of a `channel` and
-- optionally a `class`. Each call retries at most 1,000 deliveries, oldest first, and skips those retried since `asOf`.
-- `isComplete` is false while more are left. With `dryRun`, nothing is changed. `by` is the name of the operator.
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
      and not leadpipe.is_erased(d.lead_event_id)
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
    else 'notification_due' end;
end
$$;

revoke all on function public.retry_delivery(jsonb) from public, anon, authenticated;

grant execute on function public.retry_delivery(jsonb) to leadpipe_admin, service_role;

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
    insert into public.notification_logs (lead_event_id, event_at, channel, recipient, created_at, paused_before)
    select distinct on (e.recipient) v_event, v_now, v_channel, coalesce(e.recipient, 'default'), v_now, leadpipe.paused_seconds(v_channel, v_now)
    from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text)
    where e.channel = p ->> 'name'
    returning id, recipient
  )
  select jsonb_agg(jsonb_build_object('id', id, 'recipient', recipient) order by recipient) into v_deliveries from made;
  perform leadpipe.record_audit(p ->> 'by', 'channel.tested', p ->> 'name');
  return jsonb_build_object('channel', v_channel, 'eventId', v_event, 'deliveries', v_deliveries,
    'pausedUntil', (select leadpipe.iso8601(n.paused_until) from public.notification_channels n
                    where n.channel = v_channel and n.paused_until > v_now));
end
$$;

revoke all on function public.test_channel(jsonb) from public, anon, authenticated;

grant execute on function public.test_channel(jsonb) to leadpipe_admin, service_role;

-- Deletes a subscriber and the events that contain the address, with their deliveries. Deliveries that have not been
-- sent are never sent. The address can be subscribed again later, as a new subscriber. Raises LP404 if the subscriber
-- does not exist.
create or replace function public.delete_subscriber(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_email text;
  v_events uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  delete from public.newsletter_subscribers where id = (p ->> 'id')::uuid returning lower(email) into v_email;
  if not found then
    raise exception using errcode = 'LP404', message = 'subscriber_not_found';
  end if;
  -- The clean-up drops this table.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    select array_agg(id) into v_events from (
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = v_email order by e.id for update) held;
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'subscriber.deleted', p ->> 'id');
  return jsonb_build_object('success', true, 'id', p -> 'id');
end
$$;

revoke all on function public.delete_subscriber(jsonb) from public, anon, authenticated;

grant execute on function public.delete_subscriber(jsonb) to leadpipe_admin, service_role;

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
  v_cancelled integer := 0;
  v_words text[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (p_ids) order by e.id for update);
  end if;
  perform from public.conversations c where c.id = any (p_ids) order by c.id for no key update;
  v_now := clock_timestamp();
  if to_regclass('public.lead_events') is not null then
    -- A capture that held the lock on a conversation has added an event, which is not locked.
    if exists (select from public.lead_events e where e.conversation_id = any (p_ids) and e.id <> all (v_events)) then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    select count(*) into v_cancelled from public.notification_logs d where d.lead_event_id = any (v_events) and d.due_at is not null;
    update public.notification_logs d set
      subject = null, payload = null, updated_at = v_now,
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
  update public.conversations c set
    customer_id = null, customer_name = null, customer_phone = null, customer_email = null, budget = null, property_type = null,
    preferred_area = null, tags = '{}', notes = null, conversation_summary = null, outcome = null, lead_score_breakdown = null,
    metadata = null, device_info = null, idempotency_key = null, follow_up_date = null, erased_at = v_now,
    intent = case when c.intent in ('buy', 'rent', 'sell', 'invest', 'browse') then c.intent end,
    status = case when c.status in ('new', 'in-progress') then 'lost' else c.status end,
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
  delete from public.known_words k
  where k.word = any (v_words)
    and not exists (select from public.conversation_words w where w.words @@ leadpipe.quote_lexeme(k.word)::tsquery);
  -- For the listeners of the live feed.
  if to_regclass('public.lead_events') is not null then
    perform public.emit_lead_event('lead.updated', id, '{"erased": true}') from unnest(p_ids) as id;
  end if;
  return v_cancelled;
end
$$;

revoke all on function leadpipe.erase_conversations(uuid[], text) from public, anon, authenticated;

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
begin
  p := leadpipe.authorize(p, 'owner');
  v := leadpipe.find_person(p);
  if (p ->> 'conversations')::integer is distinct from cardinality(v.conversations)
    or (p ->> 'subscriptions')::integer is distinct from cardinality(v.subscribers) then
    raise exception using errcode = 'LP409', message = 'person_changed';
  end if;
  -- Before anything is locked, because it takes long.
  v_about := leadpipe.mentions_of_person(v.phones, v.emails);
  if to_regclass('public.lead_events') is not null then
    -- All events in one statement, in the order in which others lock them.
    perform from public.lead_events e
    where e.conversation_id = any (v.conversations)
      or e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails)
    order by e.id for update;
  end if;
  v_done := jsonb_build_object('conversations', cardinality(v.conversations), 'subscriptions', cardinality(v.subscribers),
    'notificationsCancelled', leadpipe.erase_conversations(v.conversations, p ->> 'by'));
  delete from public.newsletter_subscribers s where s.id = any (v.subscribers);
  -- After the subscription, whose row a concurrent subscription locks, so that its event is found too.
  if to_regclass('public.lead_events') is not null then
    v_events := array(
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails));
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  delete from public.customer_identities i
  where (i.kind = 'phone' and i.value = any (v.phones)) or (i.kind = 'email' and i.value = any (v.emails));
  if v_about <> '{}' then
    update public.conversation_timeline t set description = null, metadata = t.metadata - 'notStored' where t.id = any (v_about);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'person.erased', null, v_done);
  return v_done;
end
$$;

revoke all on function public.erase_person(jsonb) from public, anon, authenticated;

grant execute on function public.erase_person(jsonb) to leadpipe_admin, service_role;

-- Returns the person with the phone number `phone` (E.164) or the email address `email`: all numbers and addresses of
-- the same customer, and the conversations and subscriptions with any of them. Raises LP404 if nothing is found.
create or replace function leadpipe.find_person(
  p jsonb, out phones text[], out emails text[], out conversations uuid[], out subscribers uuid[])
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_customers uuid[];
begin
  phones := array_remove(array[p ->> 'phone'], null);
  emails := array_remove(array[lower(p ->> 'email')], null);
  v_customers := array(
    select i.customer_id from public.customer_identities i
    where (i.kind = 'phone' and i.value = any (phones)) or (i.kind = 'email' and i.value = any (emails)));
  phones := array(select unnest(phones) union
    select i.value from public.customer_identities i where i.kind = 'phone' and i.customer_id = any (v_customers) order by 1);
  emails := array(select unnest(emails) union
    select i.value from public.customer_identities i where i.kind = 'email' and i.customer_id = any (v_customers) order by 1);
  conversations := array(
    select c.id from public.conversations c
    where c.customer_id = any (v_customers) or c.customer_phone = any (phones) or lower(c.customer_email) = any (emails)
    order by c.id);
  subscribers := array(select s.id from public.newsletter_subscribers s where lower(s.email) = any (emails) order by s.id);
  if v_customers = '{}' and conversations = '{}' and subscribers = '{}' then
    raise exception using errcode = 'LP404', message = 'person_not_found';
  end if;
end
$$;

revoke all on function leadpipe.find_person(jsonb) from public, anon, authenticated;

-- True if the payload of an event was erased, so that its notifications cannot be made any more.
create or replace function leadpipe.is_erased(p_event uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as
  $$ select exists (select from public.lead_events e where e.id = p_event and e.payload ? 'erased') $$;

revoke all on function leadpipe.is_erased(uuid) from public, anon, authenticated;

-- Returns the timeline entries about what somebody has sent about a person to a conversation of another customer. Reads
-- the whole timeline.
create or replace function leadpipe.mentions_of_person(p_phones text[], p_emails text[]) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops this table.
  if to_regclass('public.conversation_timeline') is null then
    return '{}';
  end if;
  return array(
    select t.id from public.conversation_timeline t
    where t.metadata ? 'notStored' and (t.metadata #>> '{notStored,customerPhone}' = any (p_phones)
      or lower(t.metadata #>> '{notStored,customerEmail}') = any (p_emails)));
end
$$;

revoke all on function leadpipe.mentions_of_person(text[], text[]) from public, anon, authenticated;

-- Returns what is stored about a person, in short: numbers, addresses, conversations, subscriptions. See find_person.
create or replace function public.show_person(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v record;
begin
  p := leadpipe.authorize(p, 'owner');
  v := leadpipe.find_person(p);
  return jsonb_build_object('phones', v.phones, 'emails', v.emails,
    'conversations', (
      select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'createdAt', leadpipe.iso8601(c.created_at), 'name', c.customer_name,
        'status', c.status, 'source', c.source,
        'messages', (select count(*) from public.chat_messages m where m.conversation_id = c.id)) order by c.created_at, c.id), '[]')
      from public.conversations c where c.id = any (v.conversations)),
    'subscriptions', (
      select coalesce(jsonb_agg(jsonb_build_object('email', s.email, 'status', s.status, 'subscribedAt', leadpipe.iso8601(s.subscribed_at))
        order by s.subscribed_at, s.id), '[]')
      from public.newsletter_subscribers s where s.id = any (v.subscribers)));
end
$$;

revoke all on function public.show_person(jsonb) from public, anon, authenticated;

grant execute on function public.show_person(jsonb) to leadpipe_admin, service_role;

-- Returns everything that is stored about a person: the rows of each table, as they are, and what others have sent about
-- this person to other conversations. The audit log records it.
create or replace function public.export_person(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v record;
  v_table text;
  v_rows jsonb;
  v_found jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  v := leadpipe.find_person(p);
  v_found := jsonb_build_object('phones', v.phones, 'emails', v.emails, 'exportedAt', leadpipe.iso8601(now()),
    'conversations', (select coalesce(jsonb_agg(to_jsonb(c) order by c.created_at, c.id), '[]')
      from public.conversations c where c.id = any (v.conversations)),
    'newsletter_subscribers', (select coalesce(jsonb_agg(to_jsonb(s) - 'unsubscribe_token' order by s.subscribed_at, s.id), '[]')
      from public.newsletter_subscribers s where s.id = any (v.subscribers)));
  foreach v_table in array array[
    'chat_messages', 'lead_tags', 'conversation_summaries', 'conversation_timeline', 'follow_up_tasks', 'lead_events', 'notification_logs']
  loop
    -- The clean-up drops some of these tables.
    continue when to_regclass('public.' || v_table) is null;
    execute format(
      'select coalesce(jsonb_agg(to_jsonb(t) - ''xact'' order by t.created_at, t.id), ''[]'') from public.%I t where t.conversation_id = any ($1)', v_table)
    into v_rows using v.conversations;
    v_found := v_found || jsonb_build_object(v_table, v_rows);
  end loop;
  if to_regclass('public.lead_events') is not null then
    -- The events of subscriptions belong to no conversation.
    v_found := v_found || (
      select jsonb_build_object('subscription_events', coalesce(jsonb_agg(to_jsonb(e) - 'xact' order by e.created_at, e.id), '[]'))
      from public.lead_events e where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails));
    v_found := v_found || (
      select jsonb_build_object('notification_attempts', coalesce(jsonb_agg(to_jsonb(a) order by a.started_at, a.delivery, a.fence), '[]'))
      from public.notification_attempts a where a.delivery in (
        select d.id from public.notification_logs d where d.conversation_id = any (v.conversations)));
  end if;
  if to_regclass('public.conversation_timeline') is not null then
    v_found := v_found || (
      select jsonb_build_object('sent_to_other_conversations', coalesce(jsonb_agg(t.metadata -> 'notStored' order by t.created_at, t.id), '[]'))
      from public.conversation_timeline t where t.id = any ((select leadpipe.mentions_of_person(v.phones, v.emails))::uuid[]));
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'person.exported', null,
    jsonb_build_object('conversations', cardinality(v.conversations), 'subscriptions', cardinality(v.subscribers)));
  return v_found;
end
$$;

revoke all on function public.export_person(jsonb) from public, anon, authenticated;

grant execute on function public.export_person(jsonb) to leadpipe_admin, service_role;

-- Checks an export and updates the word index for its query. This is a transaction of its own, because an export takes
-- long: nothing that it writes may stay locked meanwhile. Returns the caller and how many changed conversations are not
-- in the word index.
create or replace function public.prepare_export(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_behind bigint := 0;
begin
  p := leadpipe.authorize(p, 'read');
  perform leadpipe.read_search(p);
  if p ->> 'query' is not null then
    v_behind := leadpipe.index_conversations(100000, 5000);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'conversations.exported', null);
  return jsonb_build_object('by', p -> 'by', 'unindexed', v_behind);
end
$$;

revoke all on function public.prepare_export(jsonb) from public, anon, authenticated;

grant execute on function public.prepare_export(jsonb) to leadpipe_admin, service_role;

create or replace trigger audit_log_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON leadpipe.audit_log FOR EACH STATEMENT EXECUTE FUNCTION leadpipe.refuse_change();

comment on column public.conversations.erased_at is 'When the personal data in the row was erased.';

comment on table public.known_words is 'The words in conversation_words, except numbers. A word that no longer occurs matches nothing; only erasing a person removes words.';
