-- Generated from schemas/ by `make migration`, except for the locks. This file can run again at any time.

-- Takes all locks at once or none, and gives them back after each try: captures and claims lock these tables in other
-- orders, so waiting for one table with the lock on another could be a deadlock.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.conversations, public.newsletter_subscribers in access exclusive mode;
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

alter table public.conversations drop constraint if exists conversations_status_check;

alter table public.conversations add constraint conversations_status_check CHECK ((status = ANY (ARRAY['new'::text, 'in-progress'::text, 'completed'::text, 'lost'::text, 'converted'::text, 'spam'::text])));

alter table public.newsletter_subscribers drop constraint if exists newsletter_subscribers_status_check;

alter table public.newsletter_subscribers add constraint newsletter_subscribers_status_check CHECK ((status = ANY (ARRAY['active'::text, 'unsubscribed'::text, 'spam'::text])));

-- GET /api/admin/analytics: figures of the conversations that began in a period, in the agency's time zone. The query
-- makes three passes: one over the rows of the period for all counts by quality, status, source and agent; one over the
-- index of creation times for days and hours (in quarters of an hour, because time zones differ by these); one for the
-- median response time. The query is dynamic so that the planner can estimate the length of the period. It uses EXECUTE
-- … INTO because PL/pgSQL does not run a plain SELECT INTO in parallel.
create or replace function public.analytics_report(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_sort = off set parallel_tuple_cost = 0 set work_mem = '64MB' as $$
declare
  c_report constant text := $query$
    with facts as materialized (
      select lead_quality, status, source, assigned_agent_id,
        case when first_response_at > sla_response_deadline then 'breached'
          when first_response_at is not null then 'met'
          when case when status in ('completed', 'lost', 'converted') then sla_breached else sla_response_deadline <= now() end then 'breached'
        end as answer,
        first_response_at is not null as answered, count(*) as n, sum(duration_minutes) as minutes, count(duration_minutes) as timed,
        sum(date_part('epoch', first_response_at - created_at)) as seconds
      from public.conversations where created_at >= $1 and created_at < $2 and status <> 'spam'
      group by 1, 2, 3, 4, 5, 6
    ), hours as materialized (
      select date_trunc('hour', (timestamptz 'epoch' + quarter * interval '15 minutes') at time zone $3) as hour, n
      from (select floor(date_part('epoch', created_at) / 900) as quarter, count(*) as n
            from public.conversations where created_at >= $1 and created_at < $2 group by 1
            -- Taken off again, so that the first part needs no more than the index.
            union all
            select floor(date_part('epoch', created_at) / 900), -count(*)
            from public.conversations where status = 'spam' and created_at >= $1 and created_at < $2 group by 1) quarters
    ), answers as materialized (
      select date_part('epoch', first_response_at - created_at)::bigint as seconds, count(*) as n
      from public.conversations where created_at >= $1 and created_at < $2 and first_response_at is not null and status <> 'spam'
      group by 1
    ), whole as (
      select coalesce(sum(n), 0) as n, coalesce(sum(n) filter (where lead_quality = 'hot'), 0) as hot,
        coalesce(sum(n) filter (where lead_quality = 'warm'), 0) as warm, coalesce(sum(n) filter (where lead_quality = 'cold'), 0) as cold,
        coalesce(sum(n) filter (where lead_quality <> 'cold' or status = 'converted'), 0) as qualified,
        coalesce(sum(n) filter (where (lead_quality <> 'cold' and answered) or status = 'converted'), 0) as contacted,
        coalesce(sum(n) filter (where status = 'converted'), 0) as converted,
        coalesce(sum(n) filter (where answer = 'met'), 0) as met, coalesce(sum(n) filter (where answer = 'breached'), 0) as breached,
        sum(minutes) / nullif(sum(timed), 0) as duration, sum(seconds) / nullif(sum(n) filter (where answered), 0) / 60 as response
      from facts
    )
    select jsonb_build_object(
      'totalConversations', n, 'hotLeads', hot, 'warmLeads', warm, 'coldLeads', cold,
      'conversionRate', coalesce(trim_scale(round(100.0 * converted / nullif(n, 0), 2)), 0),
      'averageDuration', coalesce(trim_scale(round(duration, 2)), 0), 'averageResponseTime', coalesce(trim_scale(round(response::numeric, 2)), 0),
      'leadSourceBreakdown', (
        select coalesce(jsonb_agg(jsonb_build_object('source', source, 'value', n) order by n desc, source), '[]')
        from (select coalesce(source, 'unknown') as source, sum(n) as n from facts group by 1) sources),
      'conversationVolumeTrend', (
        select coalesce(jsonb_agg(jsonb_build_object('date', to_char(day, 'YYYY-MM-DD'), 'count', coalesce(n, 0)) order by day), '[]')
        from generate_series(date_trunc('day', $1 at time zone $3), ($2 at time zone $3) - interval '1 microsecond', interval '1 day') as day
        left join (select date_trunc('day', hour) as day, sum(n) as n from hours group by 1) counted using (day)),
      'leadQualityDistribution', jsonb_build_array(jsonb_build_object('quality', 'hot', 'value', hot),
        jsonb_build_object('quality', 'warm', 'value', warm), jsonb_build_object('quality', 'cold', 'value', cold)),
      'conversionFunnel', jsonb_build_array(jsonb_build_object('stage', 'New', 'value', n),
        jsonb_build_object('stage', 'Qualified', 'value', qualified), jsonb_build_object('stage', 'Contacted', 'value', contacted),
        jsonb_build_object('stage', 'Won', 'value', converted)),
      'agentPerformance', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'agentId', a.id, 'agentName', a.name, 'conversations', f.n, 'conversionRate', trim_scale(round(100.0 * f.converted / f.n, 2)),
          'averageResponseTime', trim_scale(round(f.response::numeric, 2))) order by f.n desc, a.name, a.id), '[]')
        from (select assigned_agent_id as id, sum(n) as n, coalesce(sum(n) filter (where status = 'converted'), 0) as converted,
                sum(seconds) / nullif(sum(n) filter (where answered), 0) / 60 as response
              from facts group by 1) f
        join public.agents a on a.id = f.id),
      'peakHours', (
        select jsonb_agg(jsonb_build_object('hour', hour, 'conversations', coalesce(n, 0)) order by hour)
        from generate_series(0, 23) as hour
        left join (select extract(hour from hour)::integer as hour, sum(n) as n from hours group by 1) counted using (hour)),
      'sla', jsonb_build_object('met', met, 'breached', breached, 'medianResponseSeconds', (
        select percentile.seconds from (
          select seconds, sum(n) over (order by seconds) as up_to, sum(n) over () as all_of_them from answers) percentile
        where up_to * 2 >= all_of_them order by seconds limit 1)))
    from whole $query$;
  v_zone text := coalesce(p ->> 'timeZone', 'Asia/Dubai');
  v_from timestamptz;
  v_to timestamptz;
  v_report jsonb;
begin
  p := leadpipe.authorize(p, 'read');
  begin
    perform now() at time zone v_zone;
  exception when invalid_parameter_value then
    raise exception using errcode = 'LP400', message = 'invalid_time_zone', detail = '{"field": "timeZone"}';
  end;
  v_to := coalesce(leadpipe.parse_moment(p ->> 'to', v_zone, true), now());
  v_from := coalesce(leadpipe.parse_moment(p ->> 'from', v_zone, false),
    (date_trunc('day', v_to at time zone v_zone) - interval '6 days') at time zone v_zone);
  if v_to <= v_from then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "to", "other": "from"}';
  elsif v_to > v_from + interval '10 years 1 day' then
    raise exception using errcode = 'LP400', message = 'span_too_long', detail = '{"field": "from", "other": "to"}';
  end if;
  execute c_report into v_report using v_from, v_to, v_zone;
  return v_report || jsonb_build_object('from', leadpipe.iso8601(v_from), 'to', leadpipe.iso8601(v_to), 'timeZone', v_zone);
end
$$;

revoke all on function public.analytics_report(jsonb) from public, anon, authenticated;

grant execute on function public.analytics_report(jsonb) to leadpipe_admin, service_role;

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
  -- What looks like a robot's changes nothing in a conversation that does not.
  v_proven := v_proven and (v_spam is null or c.status = 'spam');
  v_releases := c.status = 'spam' and v_proven and v_spam is null and coalesce((p ->> 'hasToken')::boolean, false);
  v_reachable := nullif(c.customer_phone, '') is not null or nullif(c.customer_email, '') is not null;
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
    perform leadpipe.release_spam(v_id);
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
    || case when v_releases then jsonb_build_object('released', true) else '{}' end
    -- The fields whose values were not stored, because the conversation has as many as it can hold.
    || coalesce((select jsonb_build_object('full', jsonb_agg(field)) from unnest(array[
         case when v_proven and not l.tags <@ c.tags then 'tags' end,
         case when v_proven and not coalesce(l.metadata <@ c.metadata, l.metadata is null) then 'metadata' end]) as field
       where field is not null having count(*) > 0), '{}');
end
$$;

revoke all on function leadpipe.capture_known_lead(jsonb) from public, anon, authenticated;

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

  if to_regclass('public.lead_events') is not null then
    v_event := coalesce((v_ids ->> 'event')::uuid, leadpipe.uuid_v7());
    v_type := coalesce(p #>> '{event,type}', 'lead.created')::public.lead_event_type;
    v_done := case when v_spam is not null or not leadpipe.event_notifies(v_type, '{}') then now() end;
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

-- Returns what the metadata of a lead says about the signs of a robot that its request has; null if it has none.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.spam_metadata(p jsonb) returns jsonb
language sql immutable as $$
  select case when jsonb_typeof(p -> 'spam') = 'array' and p -> 'spam' <> '[]' then jsonb_build_object('spam', jsonb_build_object(
    'reasons', p -> 'spam', 'at', p -> 'receivedAt')) end
$$;

revoke all on function leadpipe.spam_metadata(jsonb) from public, anon, authenticated;

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
  v_returns := c.status = 'spam' and n.status in ('new', 'in-progress');
  if v_hides then
    -- Nobody owes a robot an answer.
    n.sla_response_deadline := null;
    n.sla_breached := false;
  elsif v_returns and c.first_response_at is null then
    -- The sender waits from now on. Callers without office hours send no deadlines.
    n.sla_response_deadline := coalesce((p_change #>> array['slaDeadlines', n.lead_quality])::timestamptz,
      clock_timestamp() + case n.lead_quality when 'hot' then interval '15 minutes' when 'warm' then interval '1 hour' else interval '24 hours' end);
    n.sla_warned_for := null;
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
    sla_response_deadline = n.sla_response_deadline, sla_warned_for = n.sla_warned_for
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
    if n.status = 'new' then
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

-- Applies `change` to the conversations in `ids`. `change` has the fields of update_conversation and can also have
-- `agentId` and `force`; `agentId` in `clear` unassigns. A failure for one conversation is reported in its result and does not stop the others.
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
  v_change := p -> 'change' || coalesce(jsonb_build_object('slaDeadlines', p -> 'slaDeadlines'), '{}');
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
      elsif v_change -> 'clear' ? 'agentId' then
        v_changed := leadpipe.unassign(leadpipe.lock_conversation(jsonb_build_object('id', v_id)), p ->> 'by') or v_changed;
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

-- Lets the notifications of a lead that was kept aside as a robot's be planned. The event of its capture is planned as any
-- new one, once: an event that has deliveries is left alone. The caller has locked the conversation.
create or replace function leadpipe.release_spam(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  update public.lead_events e set planned_at = null, processed = false, processed_at = null, updated_at = clock_timestamp(),
    -- As an event of now: the live feed shows it, and the automatic assignment reads it.
    xact = pg_current_xact_id(), seq = nextval('public.lead_events_seq')
  where e.conversation_id = p_conversation and e.event_type = 'lead.created' and e.planned_at is not null and not e.payload ? 'erased'
    and not exists (select from public.notification_logs d where d.lead_event_id = e.id);
end
$$;

revoke all on function leadpipe.release_spam(uuid) from public, anon, authenticated;

-- Stops what is still to be sent about a conversation that a person has moved to spam. What another session has locked is
-- being planned or sent, and is left. The caller has locked the conversation.
create or replace function leadpipe.silence_spam(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  perform leadpipe.cancel_deliveries(array(
    select d.id from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
    where e.conversation_id = p_conversation and not e.processed), 'cancelled: the lead was marked as spam');
  update public.lead_events e set planned_at = clock_timestamp(), processed = true, processed_at = clock_timestamp(),
    updated_at = clock_timestamp()
  where e.id = any (array(
    select n.id from public.lead_events n where n.conversation_id = p_conversation and n.planned_at is null
    order by n.id for no key update skip locked));
end
$$;

revoke all on function leadpipe.silence_spam(uuid) from public, anon, authenticated;

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
        and not exists (select from public.conversations c where c.id = e.conversation_id and c.status = 'spam')
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

-- Returns what the digests of a day are about: open follow-ups before `p_until`, and open leads without a first response
-- that have a deadline. `recipient` is the agent if it is one of `p_agents`, and otherwise null, for the office. `place`
-- is the order within a digest.
create or replace function leadpipe.digest_items(p_agents uuid[], p_now timestamptz, p_until timestamptz)
returns table (recipient uuid, kind text, follow_up uuid, conversation uuid, place bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when item.agent = any (p_agents) then item.agent end, item.kind, item.follow_up, item.conversation,
    row_number() over (partition by case when item.agent = any (p_agents) then item.agent end
      order by array_position('{overdue,today,waiting}', item.kind), item.at, item.conversation, item.follow_up)
  from (
    select coalesce(f.assigned_agent_id, c.assigned_agent_id) as agent, case when f.follow_up_date <= p_now then 'overdue' else 'today' end as kind,
      f.follow_up_date as at, f.id as follow_up, c.id as conversation
    from public.follow_up_tasks f join public.conversations c on c.id = f.conversation_id
    where f.status in ('scheduled', 'in_progress', 'overdue') and f.follow_up_date < p_until
      and c.status not in ('completed', 'lost', 'converted', 'spam')
    union all
    select c.assigned_agent_id, 'waiting', c.sla_response_deadline, null, c.id
    from public.conversations c
    where c.first_response_at is null and c.sla_response_deadline is not null
      and c.status not in ('completed', 'lost', 'converted', 'spam')
  ) item
$$;

revoke all on function leadpipe.digest_items(uuid[], timestamptz, timestamptz) from public, anon, authenticated;

-- Emits the digests of a day: one event agent.digest for each agent who is not offline and has an address, and one for
-- the office about everything else. Each lists at most `most` (default 50) follow-ups and leads, and counts all; without
-- any, there is no digest. `day` is the day in the agency's time zone, `until` its end. Once for each day: `digests` is 0
-- after the first call. `isMuted`: email is not configured, so there is no digest of this day.
create or replace function public.digest_follow_ups(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  c_office constant text := 'office';
  v_day constant date := (p ->> 'day')::date;
  v_most constant integer := least(greatest(coalesce((p ->> 'most')::integer, 50), 1), 50);
  v_channels constant jsonb := coalesce(p -> 'channels', '[]');
  v_now timestamptz;
  s leadpipe.follow_up_sweep;
  v_agents uuid[];
  r record;
  v_held uuid[];
  v_lines jsonb;
  v_event uuid;
  v_count integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  select * into s from leadpipe.follow_up_sweep for no key update skip locked;
  if not found then
    return jsonb_build_object('digests', 0, 'isBusy', true, 'isMuted', false);
  end if;
  -- A later day is that of a clock that was wrong; the keys of events keep a day's digests from being repeated.
  if s.digested_on between v_day and v_day + 1 then
    return jsonb_build_object('digests', 0, 'isBusy', false, 'isMuted', false);
  end if;
  v_now := clock_timestamp();
  update leadpipe.follow_up_sweep w set digested_on = v_day where w.is_only;
  if not v_channels @> '[{"channel": "email"}]' then
    return jsonb_build_object('digests', 0, 'isBusy', false, 'isMuted', true);
  end if;

  v_agents := array(select a.id from public.agents a where a.status <> 'offline' and leadpipe.agent_address(a.email) is not null);
  for r in
    select found.*, a.name, leadpipe.agent_address(a.email) as address
    from (
      select i.recipient, count(*) as total, count(*) filter (where i.kind = 'overdue') as overdue,
        count(*) filter (where i.kind = 'today') as today, count(*) filter (where i.kind = 'waiting') as waiting,
        jsonb_agg(jsonb_build_object('kind', i.kind, 'follow_up', i.follow_up, 'conversation', i.conversation, 'place', i.place))
          filter (where i.place <= v_most) as items
      from leadpipe.digest_items(v_agents, v_now, (p ->> 'until')::timestamptz) i group by i.recipient
    ) found
    left join public.agents a on a.id = found.recipient
    order by found.recipient
  loop
    -- Erasing a person waits for this lock, and then finds the lines. A conversation that is being changed is left out.
    v_held := array(
      select c.id from public.conversations c
      where c.id in (select (item ->> 'conversation')::uuid from jsonb_array_elements(r.items) as item)
      order by c.id for share skip locked);
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'kind', i.kind, 'at', leadpipe.iso8601(case when i.kind = 'waiting' then c.sla_response_deadline else f.follow_up_date end),
        'conversationId', c.id, 'customerName', left(c.customer_name, 100), 'customerPhone', c.customer_phone,
        'customerEmail', case when c.customer_phone is null then c.customer_email end,
        'reminderType', f.reminder_type, 'reminderText', left(f.reminder_text, 200),
        'leadQuality', case when i.kind = 'waiting' then c.lead_quality end,
        'agentName', case when r.recipient is null then a.name end)) order by i.place), '[]')
    into v_lines
    from jsonb_to_recordset(r.items) as i (kind text, follow_up uuid, conversation uuid, place bigint)
    join public.conversations c on c.id = i.conversation and c.id = any (v_held) and c.status not in ('completed', 'lost', 'converted', 'spam')
    left join public.follow_up_tasks f on f.id = i.follow_up
    left join public.agents a on a.id = coalesce(f.assigned_agent_id, c.assigned_agent_id);
    insert into public.lead_events (event_type, payload, idempotency_key, planned_at, created_at, updated_at)
    values ('agent.digest', jsonb_strip_nulls(jsonb_build_object('day', p ->> 'day', 'assignedAgentId', r.recipient, 'assignedAgentName', r.name,
        'overdue', r.overdue, 'today', r.today, 'waiting', r.waiting, 'lines', v_lines, 'more', r.total - jsonb_array_length(v_lines))),
      'agent.digest:' || coalesce(r.recipient::text, c_office) || ':' || v_day, v_now, v_now, v_now)
    on conflict (idempotency_key) do nothing
    returning id into v_event;
    if found then
      perform leadpipe.plan_for_agent(v_event, r.address, v_channels, v_now);
      v_count := v_count + 1;
    end if;
  end loop;
  return jsonb_build_object('digests', v_count, 'isBusy', false, 'isMuted', false);
end
$$;

revoke all on function public.digest_follow_ups(jsonb) from public, anon, authenticated;

grant execute on function public.digest_follow_ups(jsonb) to leadpipe_worker, service_role;

-- Emits the event lead.follow_up_due for each of the locked follow-ups, once for each follow-up and time, with its
-- deliveries, and writes the timelines. Follow-ups of closed conversations are skipped; erasing a person closes them.
--
-- Not every event has a message of its own: an agent can have `p_most` at once and as many a minute, and only for
-- follow-ups after `p_own_after`. The others are counted for a summary (`summed`).
create or replace function leadpipe.remind_of_follow_ups(
  p_ids uuid[], p_channels jsonb, p_most integer, p_own_after timestamptz, p_now timestamptz, out own integer, out summed integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_office constant uuid := '00000000-0000-0000-0000-000000000000';
  v_has_channels constant boolean := jsonb_array_length(p_channels) > 0;
begin
  with due as materialized (
    select f.id, f.follow_up_date, f.reminder_type, f.notify_customer, f.conversation_id, mail.address,
      case when mail.address is null then c_office else a.id end as recipient,
      jsonb_strip_nulls(jsonb_build_object(
        'followUpId', f.id, 'dueAt', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type,
        'reminderText', f.reminder_text, 'priority', f.priority,
        'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
        'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'assignedAgentId', a.id, 'assignedAgentName', a.name,
        'agentHasNoAddress', case when a.id is not null and mail.address is null then true end,
        'notifyCustomer', case when f.notify_customer then true end)) as facts
    from public.follow_up_tasks f
    join public.conversations c on c.id = f.conversation_id
    left join public.agents a on a.id = coalesce(f.assigned_agent_id, c.assigned_agent_id)
    cross join lateral (select leadpipe.agent_address(a.email)) as mail (address)
    where f.id = any (p_ids) and c.status not in ('completed', 'lost', 'converted', 'spam')
  ), allowed as materialized (
    -- A minute gives back all. If the clock was set back, the difference is negative.
    select who.recipient, case when r.own_at is null or r.own_at > p_now then p_most
      else least(r.own_left + p_most * extract(epoch from p_now - r.own_at)::double precision / 60, p_most) end as most
    from (select distinct recipient from due) who left join leadpipe.follow_up_reminders r on r.recipient = who.recipient
  ), ranked as materialized (
    select due.*, follow_up_date > p_own_after and row_number() over (
        partition by recipient order by follow_up_date > p_own_after desc, follow_up_date, id) <= floor(most) as is_own
    from due join allowed using (recipient)
  ), emitted as materialized (
    insert into public.lead_events (
      event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at, created_at, updated_at)
    select 'lead.follow_up_due', conversation_id, case when is_own then facts else facts || '{"isSummedUp": true}' end,
      'lead.follow_up_due:' || id || ':' || leadpipe.iso8601(follow_up_date),
      not (is_own and v_has_channels), case when not (is_own and v_has_channels) then p_now end, p_now, p_now, p_now
    from ranked
    on conflict (idempotency_key) do nothing
    returning id, (payload ->> 'followUpId')::uuid as follow_up_id
  ), planned as (
    insert into public.notification_logs (
      lead_event_id, event_at, conversation_id, channel, recipient, to_agent, status, outcome_class, error_message,
      paused_before, created_at, updated_at)
    select emitted.id, p_now, r.conversation_id, route.channel, route.recipient, route.to_agent,
      case when reason is null then 'pending' else 'failed' end, case when reason is not null then 'permanent' end, reason,
      leadpipe.paused_seconds(route.channel, p_now), p_now, p_now
    from emitted join ranked r on r.id = emitted.follow_up_id and r.is_own
    cross join lateral (
      select * from leadpipe.agent_routes(r.address, p_channels)
      union all
      select r.reminder_type::public.notification_channel, 'agent', false, format(
        'waits for its provider: %s is not available yet; the reminder went out by another channel instead',
        case r.reminder_type when 'sms' then 'SMS' else 'WhatsApp' end)
      where r.reminder_type in ('sms', 'whatsapp')
      union all
      select case when r.reminder_type = 'call' then 'sms' else r.reminder_type end::public.notification_channel, 'customer', false,
        'waits for its provider: this version sends no messages to customers'
      where r.notify_customer
    ) route
  ), noted as (
    insert into public.conversation_timeline (conversation_id, event_type, title, metadata)
    select r.conversation_id, 'note_added', leadpipe.follow_up_title(r.reminder_type, null) || ' is due',
      jsonb_build_object('followUpId', r.id, 'followUpDate', leadpipe.iso8601(r.follow_up_date))
    from ranked r join emitted on emitted.follow_up_id = r.id
  ), counted as (
    insert into leadpipe.follow_up_reminders as old (recipient, own_left, own_at, summed, oldest)
    select r.recipient, max(allowed.most) - count(*) filter (where r.is_own), p_now, count(*) filter (where not r.is_own),
      min(r.follow_up_date) filter (where not r.is_own)
    from ranked r join emitted on emitted.follow_up_id = r.id join allowed on allowed.recipient = r.recipient
    group by r.recipient
    on conflict (recipient) do update set own_left = excluded.own_left, own_at = excluded.own_at,
      summed = old.summed + excluded.summed, oldest = least(old.oldest, excluded.oldest)
  )
  select count(*) filter (where r.is_own), count(*) filter (where not r.is_own) into own, summed
  from emitted join ranked r on r.id = emitted.follow_up_id;
end
$$;

revoke all on function leadpipe.remind_of_follow_ups(uuid[], jsonb, integer, timestamptz, timestamptz) from public, anon, authenticated;

-- Returns what listeners of the live feed receive about an event, apart from its id and time: its kind and the current
-- data.
create or replace function leadpipe.live_event_document(p_type text, p_conversation uuid, p_payload jsonb, p jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_type like 'notification.%' then jsonb_build_object('event', 'delivery', 'data', jsonb_build_object(
      'deliveryId', p_payload -> 'deliveryId', 'channel', p_payload -> 'channel', 'status', split_part(p_type, '.', 2),
      'reason', (select d.error_message from public.notification_logs d where d.id = (p_payload ->> 'deliveryId')::uuid)))
    else jsonb_build_object(
      'event', case
        -- What is kept aside as spam is no new lead for anybody.
        when p_type = 'lead.created' and not exists (select from public.conversations c where c.id = p_conversation and c.status = 'spam')
        then p_type when p_type like 'lead.%' then 'lead.updated' else 'sla' end,
      'data', jsonb_build_object('conversation',
        (select leadpipe.conversation_document(c, p) from public.conversations c where c.id = p_conversation))) end
$$;

revoke all on function leadpipe.live_event_document(text, uuid, jsonb, jsonb) from public, anon, authenticated;

-- Lists subscribers, newest first, filtered by `status` and `query`, a part of the address. Those that were kept aside as
-- spam are listed only on request.
create or replace function public.list_subscribers(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
  v_page record;
  v_place jsonb;
  v_statuses text[];
  v_part text;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('subscribers', p ->> 'cursor');
  v_statuses := case when p ->> 'status' is null then '{active,unsubscribed}' else array[p ->> 'status'] end;
  v_part := lower(p ->> 'query');
  v_found := array(
    select s.id from public.newsletter_subscribers s
    where s.status = any (v_statuses)
      and (v_part is null or position(v_part in lower(s.email)) > 0)
      and (v_place is null or (s.subscribed_at, s.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by s.subscribed_at desc, s.id desc limit v_page.size + 1 offset v_page.skip);
  return leadpipe.page_info(p,
      case when v_place is null then (
        select count(*) from public.newsletter_subscribers s
        where s.status = any (v_statuses) and (v_part is null or position(v_part in lower(s.email)) > 0)) end,
      (select leadpipe.row_cursor('subscribers', s.subscribed_at, s.id) from public.newsletter_subscribers s
       where s.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.subscriber_document(s) order by s.subscribed_at desc, s.id desc), '[]')
      from public.newsletter_subscribers s where s.id = any (v_found[:v_page.size])));
end
$$;

revoke all on function public.list_subscribers(jsonb) from public, anon, authenticated;

grant execute on function public.list_subscribers(jsonb) to leadpipe_admin, service_role;

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

  if not v_was_active and not v_is_spam and to_regclass('public.lead_events') is not null then
    v_event := public.emit_lead_event('newsletter.subscribed', null, jsonb_strip_nulls(p -> 'payload'));
    update public.lead_events set request_id = left(p ->> 'requestId', 200) where id = v_event and p ? 'requestId';
  end if;
  return jsonb_build_object('id', v_id, 'isNew', not v_was_active, 'eventId', v_event, 'isSpam', v_is_spam);
end
$$;

revoke all on function public.subscribe_newsletter(jsonb) from public, anon, authenticated;

grant execute on function public.subscribe_newsletter(jsonb) to leadpipe_intake, service_role;

-- Returns the conditions of a search on a row `t` of conversations, as SQL; $1 is the search. The SQL is made of
-- constant strings only.
create or replace function leadpipe.search_conditions(f leadpipe.conversation_search) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  -- Among the agents, this id stands for none.
  c_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  c_warn constant text :=
    'case t.lead_quality when ''hot'' then ($1).warn_hot when ''warm'' then ($1).warn_warm else ($1).warn_cold end';
begin
  return concat_ws(' and ', 'true',
    -- What is kept aside as a robot's is shown only on request.
    case when f.statuses is not null then 't.status = any (($1).statuses)' else 't.status <> ''spam''' end,
    case when f.qualities is not null then 't.lead_quality = any (($1).qualities)' end,
    case when f.intents is not null then 't.intent = any (($1).intents)' end,
    case when f.areas is not null then 't.preferred_area = any (($1).areas)' end,
    case when c_nobody <> all (f.agents) then 't.assigned_agent_id = any (($1).agents)'
      when cardinality(f.agents) = 1 then 't.assigned_agent_id is null'
      when f.agents is not null then '(t.assigned_agent_id is null or t.assigned_agent_id = any (($1).agents))' end,
    case when f.tags is not null then 't.tags @> ($1).tags' end,
    case when f.sources is not null then 't.source = any (($1).sources)' end,
    case when f.least_score is not null then 't.lead_score between ($1).least_score and ($1).most_score' end,
    case when f.since is not null then 't.created_at >= ($1).since' end,
    case when f.until is not null then 't.created_at < ($1).until' end,
    (select '(' || string_agg(case state
       when 'due-today' then 't.follow_up_date >= ($1).today and t.follow_up_date < ($1).tomorrow'
       when 'overdue' then 't.follow_up_date < ($1).now'
       when 'scheduled' then 't.follow_up_date >= ($1).now' end, ' or ') || ')' from unnest(f.follow_ups) as state),
    -- Same rule as in sla_state.
    (select '(' || string_agg(case state
       when 'met' then 't.first_response_at is not null and (t.first_response_at > t.sla_response_deadline) is not true'
       when 'breached' then 't.first_response_at > t.sla_response_deadline or t.first_response_at is null and '
         'case when t.status in (''completed'', ''lost'', ''converted'') then t.sla_breached else t.sla_response_deadline <= ($1).now end'
       when 'warning' then 't.first_response_at is null and t.status not in (''completed'', ''lost'', ''converted'') '
         'and t.sla_response_deadline > ($1).now and t.sla_response_deadline <= ' || c_warn
         -- Lets the planner use the partial index on open deadlines.
         || ' and t.sla_response_deadline <= greatest(($1).warn_hot, ($1).warn_warm, ($1).warn_cold)'
       when 'ok' then 't.first_response_at is null and case when t.status in (''completed'', ''lost'', ''converted'') then not t.sla_breached '
         'else (t.sla_response_deadline <= ($1).now) is not true and (t.sla_response_deadline <= ' || c_warn || ') is not true end'
       end, ' or ') || ')' from unnest(f.sla_states) as state));
end
$$;

revoke all on function leadpipe.search_conditions(leadpipe.conversation_search) from public, anon, authenticated;

-- Returns the part of a search that the word index can answer: its words and exact terms, combined. Null if there are
-- none. Of the SLA state, the index contains only what does not change with time.
create or replace function leadpipe.search_terms(f leadpipe.conversation_search) returns tsquery
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_terms tsquery;
begin
  v_terms := nullif(concat_ws('&', '(' || f.wanted::text || ')',
    leadpipe.any_exact_term('s=', f.statuses), leadpipe.any_exact_term('q=', f.qualities), leadpipe.any_exact_term('i=', f.intents),
    leadpipe.any_exact_term('a=', f.areas), leadpipe.any_exact_term('g=', array_replace(f.agents::text[], '00000000-0000-0000-0000-000000000000', 'none')), leadpipe.any_exact_term('o=', f.sources),
    leadpipe.any_exact_term('l=', array(
      select distinct answer from unnest(f.sla_states) as state,
        unnest(case state when 'met' then '{met}' when 'breached' then '{late,open}' when 'warning' then '{open}' else '{closed,open}' end::text[])
        as answer)),
    leadpipe.any_exact_term('t=', f.tags, '&')), '')::tsquery;
  -- The index cannot answer what is only excluded.
  return case when f.statuses is null then v_terms && '!''s=spam''' else v_terms end;
end
$$;

revoke all on function leadpipe.search_terms(leadpipe.conversation_search) from public, anon, authenticated;

CREATE INDEX IF NOT EXISTS conversations_spam_idx ON public.conversations USING btree (created_at) WHERE (status = 'spam'::text);
