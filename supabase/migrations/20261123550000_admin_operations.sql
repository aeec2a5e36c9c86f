-- What happened, and what was said of it: messages, timeline, deliveries, channels, events, newsletter, and why things are as they are.
-- Around the operator's functions of 20261123100000 these put who may, pages, and words. Additive, and may be run again as a whole at
-- any time; 20261123500000 and 20261123540000 run before it.

-- The event log, newest first, of all types or of some; the one of everything is put together from its types.
create index if not exists lead_events_type_idx on public.lead_events (event_type, created_at, id);
create index if not exists newsletter_subscribers_subscribed_at_idx on public.newsletter_subscribers (subscribed_at, id);

-- ── Small parts ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- How many rows a page has, and how many are skipped before it: a cursor says itself where a page begins.
create or replace function public.page_of(p jsonb, out size integer, out skip bigint) language sql immutable as $$
  select size, case when p ->> 'cursor' is null then (greatest(coalesce((p ->> 'page')::bigint, 1), 1) - 1) * size else 0 end
  from (select least(greatest(coalesce((p ->> 'limit')::integer, 50), 1), 200)) as page (size)
$$;

-- What stands beside the rows of a page. `p_total` is counted for page numbers only.
create or replace function public.page_facts(p jsonb, p_total bigint, p_next text) returns jsonb language sql immutable as $$
  select jsonb_build_object('limit', (public.page_of(p)).size, 'nextCursor', p_next)
    || case when p_total is null then '{}' else jsonb_build_object('page', coalesce((p ->> 'page')::bigint, 1), 'total', p_total) end
$$;

-- An entry of the timeline as it is shown, of its row as jsonb: an argument of the table's own type would hold on to the table.
create or replace function public.timeline_document(t jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('id', t -> 'id', 'type', t -> 'event_type', 'title', t -> 'title', 'description', t -> 'description',
    'actorType', t -> 'actor_type', 'actorName', t -> 'actor_name', 'at', public.iso8601((t ->> 'created_at')::timestamptz),
    'metadata', t -> 'metadata')
$$;

-- An event as it is shown, of its row as jsonb, with its deliveries.
create or replace function public.event_document(e jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('id', e -> 'id', 'type', e -> 'event_type', 'conversationId', e -> 'conversation_id',
    'payload', e -> 'payload', 'processed', e -> 'processed', 'retryCount', e -> 'retry_count', 'lastError', e -> 'last_error',
    'createdAt', public.iso8601((e ->> 'created_at')::timestamptz), 'plannedAt', public.iso8601((e ->> 'planned_at')::timestamptz),
    'processedAt', public.iso8601((e ->> 'processed_at')::timestamptz),
    'deliveries', (
      select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'channel', d.channel, 'state', public.delivery_document(to_jsonb(d)) -> 'state')
        order by d.created_at, d.id), '[]')
      from public.notification_logs d where d.lead_event_id = (e ->> 'id')::uuid))
$$;

create or replace function public.subscriber_document(s public.newsletter_subscribers) returns jsonb language sql stable as $$
  select jsonb_build_object('id', s.id, 'email', s.email, 'status', s.status, 'source', s.source,
    'subscribedAt', public.iso8601(s.subscribed_at), 'unsubscribedAt', public.iso8601(s.unsubscribed_at))
$$;

-- ── Pages of what there may be millions of ────────────────────────────────────────────────────────────────────────────
-- Planned anew at each call, so that what is not asked for falls away and what is finds its index.

-- Deliveries, newest first: `conversationId`, `status` (one of the states too), `channel`, `class`, `since`.
create or replace function public.deliveries_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_place jsonb := public.cursor_place('notifications', p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_state text := p ->> 'status';
  v_status text;
  v_channel public.notification_channel := p ->> 'channel';
  v_class text := p ->> 'class';
  v_since timestamptz := p ->> 'since';
  v_found uuid[];
begin
  select * into v_page from public.page_of(p);
  v_status := case
    when v_state = 'claimed' then 'pending'
    when v_state in ('waiting', 'parked', 'given-up') then 'failed'
    else v_state end;
  v_found := array(
    select d.id from public.notification_logs d
    where (v_conversation is null or d.conversation_id = v_conversation)
      and (v_status is null or d.status = v_status)
      -- Says nothing new, but that their index will do.
      and (v_status is distinct from 'pending' or d.due_at is not null)
      and (v_state is distinct from 'claimed' or d.lease_until > now())
      and (v_state is distinct from 'waiting' or d.next_attempt_at is not null)
      and (coalesce(v_state, '') not in ('parked', 'given-up') or d.next_attempt_at is null)
      and (v_state is distinct from 'parked' or d.outcome_class = 'unknown')
      and (v_state is distinct from 'given-up' or d.outcome_class is distinct from 'unknown')
      and (v_channel is null or d.channel = v_channel)
      and (v_class is null or d.outcome_class = v_class)
      and (v_since is null or d.created_at >= v_since)
      and (v_at is null or (d.created_at, d.id) < (v_at, v_id))
    order by d.created_at desc, d.id desc limit v_page.size + 1 offset v_page.skip);
  return public.page_facts(p,
      case when v_at is null and v_conversation is not null then
        (select count(*) from public.notification_logs d where d.conversation_id = v_conversation) end,
      (select public.cursor_at('notifications', d.created_at, d.id) from public.notification_logs d
       where d.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.delivery_document(to_jsonb(d))
        || jsonb_build_object('eventType', e.event_type, 'subject', d.subject) order by d.created_at desc, d.id desc), '[]')
      from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
      where d.id = any (v_found[:v_page.size])));
end
$$;

-- Events, newest first: `conversationId`, `type` (a list), `processed`, `since`, `until`.
create or replace function public.events_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_place jsonb := public.cursor_place('events', p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_types public.lead_event_type[] := case when p ? 'type' then array(select jsonb_array_elements_text(p -> 'type')) end;
  v_processed boolean := p ->> 'processed';
  v_since timestamptz := p ->> 'since';
  v_until timestamptz := p ->> 'until';
  v_found uuid[];
begin
  select * into v_page from public.page_of(p);
  if v_conversation is not null or v_processed = false then
    v_found := array(
      select e.id from public.lead_events e
      where (v_conversation is null or e.conversation_id = v_conversation)
        and (v_types is null or e.event_type = any (v_types))
        and (v_processed is null or e.processed = v_processed)
        and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
        and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  else
    v_found := array(
      select e.id
      from (select distinct type from unnest(coalesce(v_types, enum_range(null::public.lead_event_type))) as type) types
      cross join lateral (
        select e.id, e.created_at from public.lead_events e
        where e.event_type = types.type
          and (v_processed is null or e.processed)
          and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
          and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
        order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip) e
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  end if;
  return public.page_facts(p,
      case when v_at is null and v_conversation is not null and v_types is null then
        (select count(*) from public.lead_events e where e.conversation_id = v_conversation) end,
      (select public.cursor_at('events', e.created_at, e.id) from public.lead_events e
       where e.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.event_document(to_jsonb(e)) order by e.created_at desc, e.id desc), '[]')
      from public.lead_events e where e.id = any (v_found[:v_page.size])));
end
$$;

-- ── One conversation ──────────────────────────────────────────────────────────────────────────────────────────────────

-- What was written, in its order.
create or replace function public.list_messages(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_last public.chat_messages;
  v_found uuid[];
begin
  p := public.admitted(p, 'read');
  c := public.conversation_of(p);
  select * into v_page from public.page_of(p);
  v_place := public.cursor_place('messages', p ->> 'cursor');
  if v_place is not null then
    -- Messages of one moment stand in the order in which they came, which the cursor does not say.
    select * into v_last from public.chat_messages m
    where m.id = (v_place ->> 'id')::uuid and m.conversation_id = c.id and m."timestamp" = (v_place ->> 'at')::timestamptz;
    if not found then
      raise exception using errcode = 'LP400', column = 'cursor', message = 'is no cursor of this list';
    end if;
  end if;
  v_found := array(
    select m.id from public.chat_messages m
    where m.conversation_id = c.id
      and (v_place is null or (m."timestamp", m.created_at, m.id) > (v_last."timestamp", v_last.created_at, v_last.id))
    order by m."timestamp", m.created_at, m.id limit v_page.size + 1 offset v_page.skip);
  return public.page_facts(p,
      case when v_place is null then (select count(*) from public.chat_messages m where m.conversation_id = c.id) end,
      (select public.cursor_at('messages', m."timestamp", m.id) from public.chat_messages m
       where m.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.message_document(m) order by m."timestamp", m.created_at, m.id), '[]')
      from public.chat_messages m where m.id = any (v_found[:v_page.size])));
end
$$;

-- What happened, newest first.
create or replace function public.list_timeline(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_found uuid[];
begin
  p := public.admitted(p, 'read');
  c := public.conversation_of(p);
  select * into v_page from public.page_of(p);
  v_place := public.cursor_place('timeline', p ->> 'cursor');
  v_found := array(
    select t.id from public.conversation_timeline t
    where t.conversation_id = c.id
      and (v_place is null or (t.created_at, t.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by t.created_at desc, t.id desc limit v_page.size + 1 offset v_page.skip);
  return public.page_facts(p,
      case when v_place is null then (select count(*) from public.conversation_timeline t where t.conversation_id = c.id) end,
      (select public.cursor_at('timeline', t.created_at, t.id) from public.conversation_timeline t
       where t.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.timeline_document(to_jsonb(t)) order by t.created_at desc, t.id desc), '[]')
      from public.conversation_timeline t where t.id = any (v_found[:v_page.size])));
end
$$;

create or replace function public.list_conversation_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := public.admitted(p, 'read');
  return public.deliveries_page(p || jsonb_build_object('conversationId', (public.conversation_of(p)).id));
end
$$;

create or replace function public.list_conversation_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := public.admitted(p, 'read');
  return public.events_page(p || jsonb_build_object('conversationId', (public.conversation_of(p)).id));
end
$$;

-- The facts that say why a conversation is as it is: itself, when it was added to, its newest deliveries as show_delivery tells
-- them, and its next follow-up.
create or replace function public.explain_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := public.admitted(p, 'read');
  c := public.conversation_of(p);
  return jsonb_build_object(
    'now', public.iso8601(clock_timestamp()),
    'conversation', public.conversation_document(c, p),
    'additions', (
      select coalesce(jsonb_agg(public.iso8601(e.created_at) order by e.created_at), '[]')
      from (select e.created_at from public.lead_events e where e.conversation_id = c.id and e.event_type = 'lead.updated'
            order by e.created_at limit 200) e),
    'deliveries', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', d.id)) order by d.created_at, d.id), '[]')
      from (select d.id, d.created_at from public.notification_logs d where d.conversation_id = c.id
            order by d.created_at desc, d.id desc limit 50) d),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', public.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;

-- ── Notifications ─────────────────────────────────────────────────────────────────────────────────────────────────────

create or replace function public.admin_list_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return public.deliveries_page(public.admitted(p, 'read'));
end
$$;

-- Makes a failed delivery due at once. LP409 where there is nothing to try again.
create or replace function public.admin_retry_delivery(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
  v_state text;
begin
  p := public.admitted(p, 'write');
  v_done := public.retry_deliveries(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done #> '{deliveries,0}' is not null then
    return v_done #> '{deliveries,0}';
  end if;
  v_state := v_done #>> '{refused,0,status}';
  if v_state = 'none' then
    raise exception using errcode = 'LP404', message = 'there is no such notification';
  end if;
  raise exception using errcode = 'LP409', message = case
    when v_state in ('sent', 'delivered') then 'it has been sent: a replay of its event sends it once more'
    when v_state = 'sending' then 'it is being sent at this moment'
    when v_state = 'pending' then 'it waits for its first try, and is sent without this'
    else 'it is due already, and is tried again without this' end;
end
$$;

-- ── Channels ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The channels of `configured`, a list of {channel, recipient}, and others of which something is known: how each stands, and what
-- waits.
create or replace function public.admin_list_channels(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_listed jsonb;
begin
  p := public.admitted(p, 'read');
  v_listed := public.list_channels(jsonb_build_object('configured',
    (select jsonb_agg(distinct e.channel) from jsonb_to_recordset(p -> 'configured') as e (channel text))));
  return jsonb_build_object('data', (
    select coalesce(jsonb_agg(
      jsonb_build_object(
        'name', c -> 'channel', 'isConfigured', recipients.list <> '[]', 'recipients', recipients.list,
        'state', case when c ->> 'pausedUntil' is not null then 'paused' when (c ->> 'failStreak')::integer > 0 then 'probing' else 'open' end,
        'pausedUntil', c -> 'pausedUntil', 'waiting', c -> 'waiting', 'sending', c -> 'sending', 'givenUp', c -> 'givenUp',
        'oldestDueAt', c -> 'oldestDueAt')
      -- What a pause was for is told while it lasts.
      || case when c ->> 'pausedUntil' is not null or (c ->> 'failStreak')::integer > 0
           then jsonb_build_object('class', c -> 'class', 'reason', c -> 'reason') else '{"class": null, "reason": null}' end
      order by n), '[]')
    from jsonb_array_elements(v_listed -> 'channels') with ordinality as listed (c, n)
    cross join lateral (
      select coalesce(jsonb_agg(e.recipient order by e.recipient), '[]') as list
      from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text) where e.channel = c ->> 'channel') recipients));
end
$$;

-- Ends the pause of the channel `name`. LP404 where it is neither configured nor known of.
create or replace function public.admin_resume_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := public.admitted(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name')
    and not exists (select from public.notification_channels n where n.channel::text = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'there is no such channel';
  end if;
  return public.resume_channel(jsonb_build_object('channel', p -> 'name'));
end
$$;

-- Queues a test message to each recipient of the channel `name` that `configured` names: an event that is planned already, with a
-- delivery for each, which takes the way of all others. A pause is waited for. LP404 where the channel is not configured.
create or replace function public.test_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_event uuid := gen_random_uuid();
  v_channel public.notification_channel;
  v_deliveries jsonb;
begin
  p := public.admitted(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'this channel is not configured';
  end if;
  v_channel := p ->> 'name';
  insert into public.lead_events (id, event_type, payload, planned_at, created_at)
  values (v_event, 'channel.test', jsonb_build_object('channel', v_channel, 'by', p -> 'by', 'askedAt', public.iso8601(v_now)), v_now, v_now);
  with made as (
    insert into public.notification_logs (lead_event_id, channel, recipient, created_at, paused_before)
    select distinct on (e.recipient) v_event, v_channel, coalesce(e.recipient, 'default'), v_now, public.paused_total(v_channel, v_now)
    from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text)
    where e.channel = p ->> 'name'
    returning id, recipient
  )
  select jsonb_agg(jsonb_build_object('id', id, 'recipient', recipient) order by recipient) into v_deliveries from made;
  return jsonb_build_object('channel', v_channel, 'eventId', v_event, 'deliveries', v_deliveries,
    'pausedUntil', (select public.iso8601(n.paused_until) from public.notification_channels n
                    where n.channel = v_channel and n.paused_until > v_now));
end
$$;

-- ── Events ────────────────────────────────────────────────────────────────────────────────────────────────────────────

create or replace function public.admin_list_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return public.events_page(public.admitted(p, 'read'));
end
$$;

-- Sends an event's finished notifications once more, as new rows linked to the first. LP409 where none is finished.
create or replace function public.admin_replay_event(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
begin
  p := public.admitted(p, 'owner');
  if not exists (select from public.lead_events e where e.id = (p ->> 'id')::uuid) then
    raise exception using errcode = 'LP404', message = 'there is no such event';
  end if;
  v_done := public.replay_events(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done -> 'deliveries' = '[]' then
    raise exception using errcode = 'LP409', message = case
      when exists (select from public.notification_logs d where d.lead_event_id = (p ->> 'id')::uuid)
      then 'its notifications are not finished: they are sent without this'
      else 'it has no notification that could be sent once more' end;
  end if;
  return jsonb_build_object('id', p -> 'id', 'deliveries', v_done -> 'deliveries');
end
$$;

-- ── Newsletter ────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Newest first: `status`, `query` (a part of the address).
create or replace function public.list_subscribers(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
  v_page record;
  v_place jsonb;
  v_status text;
  v_part text;
  v_found uuid[];
begin
  p := public.admitted(p, 'read');
  select * into v_page from public.page_of(p);
  v_place := public.cursor_place('subscribers', p ->> 'cursor');
  v_status := p ->> 'status';
  v_part := lower(p ->> 'query');
  v_found := array(
    select s.id from public.newsletter_subscribers s
    where (v_status is null or s.status = v_status)
      and (v_part is null or position(v_part in lower(s.email)) > 0)
      and (v_place is null or (s.subscribed_at, s.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by s.subscribed_at desc, s.id desc limit v_page.size + 1 offset v_page.skip);
  return public.page_facts(p,
      case when v_place is null then (
        select count(*) from public.newsletter_subscribers s
        where (v_status is null or s.status = v_status) and (v_part is null or position(v_part in lower(s.email)) > 0)) end,
      (select public.cursor_at('subscribers', s.subscribed_at, s.id) from public.newsletter_subscribers s
       where s.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.subscriber_document(s) order by s.subscribed_at desc, s.id desc), '[]')
      from public.newsletter_subscribers s where s.id = any (v_found[:v_page.size])));
end
$$;

-- Forgets a subscriber: the row, and the events that hold the address, with their deliveries. What has not been sent of him is never
-- sent. Whoever subscribes that address later is new, and notifies.
create or replace function public.delete_subscriber(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_email text;
  v_events uuid[];
begin
  p := public.admitted(p, 'owner');
  delete from public.newsletter_subscribers where id = (p ->> 'id')::uuid returning lower(email) into v_email;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no such subscriber';
  end if;
  -- After the clean-up there are no events.
  if to_regclass('public.lead_events') is not null then
    -- In the order of all locks: the events first, and their deliveries with them.
    select array_agg(id) into v_events from (
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = v_email order by e.id for update) held;
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  return '{}';
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.page_of(jsonb)');
  perform public.protect_function('public.page_facts(jsonb, bigint, text)');
  perform public.protect_function('public.timeline_document(jsonb)');
  perform public.protect_function('public.event_document(jsonb)');
  perform public.protect_function('public.subscriber_document(public.newsletter_subscribers)');
  perform public.protect_function('public.deliveries_page(jsonb)');
  perform public.protect_function('public.events_page(jsonb)');
  perform public.protect_function('public.list_messages(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_timeline(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_conversation_deliveries(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_conversation_events(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.explain_conversation(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.admin_list_deliveries(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.admin_retry_delivery(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.admin_list_channels(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.admin_resume_channel(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.test_channel(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.admin_list_events(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.admin_replay_event(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_subscribers(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.delete_subscriber(jsonb)', 'leadpipe_admin');
end
$$;
