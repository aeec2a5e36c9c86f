-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- Opens a session for the key in `auth`, for that of the log-in link `auth.login`, or for the user in `auth.user`. `token`
-- is the SHA-256 of the token that the browser receives. The session ends with its key or the user's access token, at the
-- latest after 12 hours. Also deletes up to 100 expired sessions.
create or replace function public.open_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := case when p -> 'auth' ? 'login' then leadpipe.use_login(p #>> '{auth,login}') else leadpipe.admin_identity(p -> 'auth') end;
  v_expires timestamptz;
begin
  -- A session opens no other one: it would have the rights of ADMIN_API_KEY.
  if p -> 'auth' ? 'session' then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  delete from public.admin_sessions where sha256 in (
    select sha256 from public.admin_sessions where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into public.admin_sessions (sha256, key_id, configured_sha256, supabase_user, expires_at)
  values (decode(p ->> 'token', 'hex'), (v_identity ->> 'keyId')::uuid,
    case when v_identity ->> 'keyId' is null then decode(p #>> '{auth,configured}', 'hex') end, p #> '{auth,user}',
    least(now() + interval '12 hours', (v_identity ->> 'expiresAt')::timestamptz,
      (select k.expires_at from public.admin_keys k where k.id = (v_identity ->> 'keyId')::uuid)))
  returning expires_at into v_expires;
  -- A token is accepted for some seconds after its end, but a session would be over at once.
  if v_expires <= clock_timestamp() then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  return v_identity - 'keyId' || jsonb_build_object('expiresAt', leadpipe.iso8601(v_expires),
    'agent', leadpipe.key_agent((v_identity ->> 'keyId')::uuid));
end
$$;

revoke all on function public.open_session(jsonb) from public, anon, authenticated;

grant execute on function public.open_session(jsonb) to leadpipe_admin, service_role;

-- Ends the session in `auth`, also that of a user who has no rights any more.
create or replace function public.close_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  begin
    perform leadpipe.admin_identity(p -> 'auth');
  exception when sqlstate 'LP403' then null;
  end;
  delete from public.admin_sessions where sha256 = decode(p #>> '{auth,session}', 'hex');
  return '{}';
end
$$;

revoke all on function public.close_session(jsonb) from public, anon, authenticated;

grant execute on function public.close_session(jsonb) to leadpipe_admin, service_role;

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
  else
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
  update leadpipe.unsent_leads u set created_at = v_now, payload = u.payload || p_facts
  where u.conversation_id = p_conversation and u.planned_at is null;
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
      || jsonb_build_object('eventsAreOff', true, 'unsent', (select count(*) from leadpipe.unsent_leads u where not leadpipe.is_spam(u.conversation_id)));
  elsif (p ->> 'direct')::boolean and exists (select from leadpipe.unsent_leads) then
    -- A worker sends them with its first claim only.
    if p -> 'fingerprints' is not null then
      perform leadpipe.update_fingerprints(p -> 'fingerprints');
    end if;
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
    select d.id, greatest(u.created_at, u.planned_at) as began from leadpipe.direct_deliveries d join leadpipe.unsent_leads u on u.id = d.lead_id
    where d.status = 'sending' and d.lease_until <= v_now for no key update of d skip locked
  )
  update leadpipe.direct_deliveries d set
    status = 'failed', outcome_class = 'unknown', may_have_arrived = true, retry_count = d.retry_count + 1, lease_until = null, leased_by = null,
    -- 3 seconds, because a live worker that could not record the outcome tries that again every second.
    due_at = case when not (v_parks and d.channel <> 'email') and v_now <= lapsed.began + v_horizon then v_now + interval '3 seconds' end,
    error_message = 'The worker stopped while sending. It is unknown whether this arrived.'
  from lapsed where d.id = lapsed.id;

  -- What waits for a recipient that is not configured any more goes to the one that is.
  if (p ->> 'isComplete')::boolean then
    with sole as (
      select e.channel::public.notification_channel, min(coalesce(e.recipient, 'default')) as recipient
      from jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text)
      group by 1 having count(distinct coalesce(e.recipient, 'default')) = 1
    ), stray as materialized (
      select d.id, d.lead_id, d.channel, sole.recipient from leadpipe.direct_deliveries d join sole using (channel)
      where d.recipient <> sole.recipient and d.due_at <= v_now and d.status <> 'sending'
        and (d.lease_until is null or d.lease_until <= v_now)
        and not exists (select from leadpipe.direct_deliveries o
          where o.lead_id = d.lead_id and o.channel = d.channel and o.recipient = sole.recipient)
      order by d.id limit 1000 for no key update of d skip locked
    )
    update leadpipe.direct_deliveries d set recipient = one.recipient
    from (select distinct on (lead_id, channel) * from stray order by lead_id, channel, id) one where d.id = one.id;
  end if;

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
      'retryFrom', leadpipe.iso8601(greatest(u.created_at, u.planned_at)),
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

-- Subscribes an address. An active subscriber is unchanged and causes no event; an unsubscribed one is subscribed
-- again. With signs of a robot (`spam`), a new address is stored with the status spam, and a known one stays as it is;
-- the next submission without signs subscribes it. Every call writes the row, so that the response time does not reveal whether the address was subscribed.
create or replace function public.subscribe_newsletter(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off as $$
declare
  v_received timestamptz;
  v_id uuid;
  v_was_active boolean := false;
  v_event uuid;
  v_is_spam constant boolean := coalesce(jsonb_typeof(p -> 'spam') = 'array' and p -> 'spam' <> '[]', false);
begin
  perform leadpipe.check_size(p, 16384);
  v_received := least(greatest(coalesce((p ->> 'receivedAt')::timestamptz, now()), '1970-01-01 00:00Z'), '9999-12-31 23:59Z');
  insert into public.newsletter_subscribers (email, status, source, ip_address, user_agent, subscribed_at)
  values (p ->> 'email', case when v_is_spam then 'spam' else 'active' end, nullif(p ->> 'source', ''), nullif(p ->> 'ipAddress', ''), nullif(p ->> 'userAgent', ''), v_received)
  on conflict (lower(email)) do nothing
  returning id into v_id;

  if v_id is null then
    select s.id, s.status = 'active' into v_id, v_was_active
    from public.newsletter_subscribers s where lower(s.email) = lower(p ->> 'email') for update;
    if not found then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    update public.newsletter_subscribers s set
      status = case when v_is_spam then s.status else 'active' end,
      subscribed_at = case when v_was_active or v_is_spam then s.subscribed_at else v_received end,
      unsubscribed_at = case when v_is_spam then s.unsubscribed_at end,
      source = case when v_was_active or v_is_spam then s.source else coalesce(nullif(p ->> 'source', ''), s.source) end,
      ip_address = case when v_was_active or v_is_spam then s.ip_address else nullif(p ->> 'ipAddress', '') end,
      user_agent = case when v_was_active or v_is_spam then s.user_agent else nullif(p ->> 'userAgent', '') end
    where s.id = v_id;
  end if;

  if not v_was_active and not v_is_spam and leadpipe.has_events() then
    v_event := public.emit_lead_event('newsletter.subscribed', null, jsonb_strip_nulls(p -> 'payload'));
    update public.lead_events set request_id = left(p ->> 'requestId', 200) where id = v_event and p ? 'requestId';
  end if;
  return jsonb_build_object('id', v_id, 'isNew', not v_was_active, 'eventId', v_event, 'isSpam', v_is_spam);
end
$$;

revoke all on function public.subscribe_newsletter(jsonb) from public, anon, authenticated;

grant execute on function public.subscribe_newsletter(jsonb) to leadpipe_intake, service_role;

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
    -- Leads that were sent directly, and whose last deliveries have been given up.
    delete from leadpipe.unsent_leads where id in (
      select u.id from leadpipe.unsent_leads u
      where u.created_at < v_before and u.planned_at is not null
        and not exists (select from leadpipe.direct_deliveries d where d.lead_id = u.id and d.due_at is not null)
      order by u.created_at limit v_batch / 10 for update skip locked);
  end if;
  -- The clean-up drops these tables.
  if v_before is not null and to_regclass('public.lead_events') is not null and to_regclass('public.notification_logs') is not null
    and to_regclass('public.notification_attempts') is not null and to_regclass('public.workers') is not null then
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

-- Housekeeping of customers, in one small batch: settles the latest merges, deletes those of more than 30 days ago, and
-- erases closed leads to which nothing has happened for `days` days (at least 30), and newsletter addresses that were kept
-- aside as spam for as long, at most 10,000 of them in a batch. Without `days`, erases nothing.
-- `isComplete` is true if there is nothing left to do now. Does nothing while another call is at work.
--
-- Leads are read once a day. The first time is a day after the first call, and a day after calls that did not come for two
-- days: an operator can still correct a wrong setting, or a wrong clock, before anything is erased. The audit log gets an
-- entry at the end of each pass that has erased leads, and after each 10,000.
create or replace function public.prune_persons(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_days integer := (p ->> 'days')::integer;
  l leadpipe.person_lock;
  v record;
  v_addresses integer;
begin
  if v_days < 30 then
    raise exception 'days must be at least 30' using errcode = '22023';
  end if;
  insert into leadpipe.person_lock default values on conflict do nothing;
  select * into l from leadpipe.person_lock for update skip locked;
  if not found then
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  perform leadpipe.settle_merges();
  if v_days is null then
    if l.called_at is not null then
      -- A day passes again when it is turned on again.
      update leadpipe.person_lock set called_at = null, passed_at = null, passed_to = null, passed_id = null where only_row;
    end if;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  if l.called_at is null or l.called_at not between v_now - interval '2 days' and v_now then
    update leadpipe.person_lock set called_at = v_now, passed_at = v_now, passed_to = null, passed_id = null where only_row;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  if l.passed_to is null and l.passed_at > v_now - interval '1 day' then
    update leadpipe.person_lock set called_at = v_now where only_row;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;

  v := leadpipe.erase_old_leads(v_now - make_interval(days => v_days), l.passed_to, l.passed_id);
  delete from public.newsletter_subscribers where id in (
    select s.id from public.newsletter_subscribers s
    where s.status = 'spam' and s.updated_at < v_now - make_interval(days => v_days) limit 10000 for update skip locked);
  get diagnostics v_addresses = row_count;
  if v_addresses > 0 then
    perform leadpipe.record_audit('retention', 'subscribers.erased', null, jsonb_build_object('subscriptions', v_addresses, 'days', v_days));
  end if;
  l.unreported := l.unreported + v.erased;
  if l.unreported > 0 and (v.p_to is null or l.unreported >= 10000) then
    perform leadpipe.record_audit('retention', 'leads.erased', null, jsonb_build_object('leads', l.unreported, 'days', v_days));
    l.unreported := 0;
  end if;
  update leadpipe.person_lock set
    called_at = v_now, passed_at = case when v.p_to is null and v_addresses < 10000 then v_now else l.passed_at end, passed_to = v.p_to, passed_id = v.p_id,
    unreported = l.unreported
  where only_row;
  return jsonb_build_object('leads', v.erased, 'subscriptions', v_addresses, 'isComplete', v.p_to is null and v_addresses < 10000);
end
$$;

revoke all on function public.prune_persons(jsonb) from public, anon, authenticated;

grant execute on function public.prune_persons(jsonb) to leadpipe_worker, service_role;
