-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- Returns the facts that explain a conversation's state: the conversation, the times of its first 200 lead.updated
-- events, its newest 50 deliveries and its newest 20 events that have none but should, both as returned by show_delivery,
-- and its next follow-up.
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
            where e.conversation_id = c.id and leadpipe.event_notifies(e.event_type, e.payload)
              and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
            order by e.created_at desc, e.id desc limit 20) e),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;

revoke all on function public.explain_conversation(jsonb) from public, anon, authenticated;

grant execute on function public.explain_conversation(jsonb) to leadpipe_admin, service_role;

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
      when exists (select from public.notification_logs d where d.lead_event_id = (p ->> 'id')::uuid)
      then 'event_not_finished' else 'event_without_notifications' end;
  end if;
  return jsonb_build_object('id', p -> 'id', 'deliveries', v_done -> 'deliveries');
end
$$;

revoke all on function public.replay_event(jsonb) from public, anon, authenticated;

grant execute on function public.replay_event(jsonb) to leadpipe_admin, service_role;

-- Sends finished notifications once more. For the newest delivery of each event, channel and recipient, it creates a
-- new delivery, linked by replay_of, and reopens the event. `ids`, `from` and `to` (the time of the event), `channel`
-- and `class` select the deliveries. Deliveries that are unfinished or were created since `asOf` are skipped, so that
-- two calls do not replay the same delivery. Events that were planned while no channel was configured for them are planned
-- again, unless a channel or class is given; their ids are in `events`. Each call replays at most 1,000 deliveries, oldest first; the next call
-- continues at `after`. With `dryRun`, nothing is changed.
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
    select d.*, gen_random_uuid() as new_id from public.notification_logs d where d.id = any (v_chosen)
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

-- Returns the data for /health. `mayCapture`: the login may store leads. A value is null if its table does not exist. Reads partial indexes only. With
-- `olderThanSeconds`, counts only rows that are at least that old and rounds the worker's time down to a multiple of
-- it, but not to before the worker's start, so that unauthenticated callers cannot see the effect of their own requests.
-- A worker is silent if it has not claimed for a minute while events wait, or for ten minutes.
create or replace function public.health_report(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_old double precision := coalesce((p ->> 'olderThanSeconds')::double precision, 0);
  v_before timestamptz := clock_timestamp() - make_interval(secs => v_old);
  v_claimed timestamptz;
  v_seen timestamptz;
  v_has_workers boolean := to_regclass('public.workers') is not null;
  v_paused jsonb := '[]';
  v_unprocessed bigint;
  v_oldest timestamptz;
  v_failed bigint;
begin
  if v_has_workers then
    select max(last_seen), max(case when v_old > 0 then greatest(date_bin(make_interval(secs => v_old), last_seen, 'epoch'), started_at)
                               else last_seen end)
    into v_claimed, v_seen from public.workers;
  end if;
  if to_regclass('public.lead_events') is not null then
    select count(*), min(created_at) into v_unprocessed, v_oldest from public.lead_events
    where processed = false and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select count(*) into v_failed from public.notification_logs where status = 'failed' and created_at <= v_before;
  end if;
  if to_regclass('public.notification_channels') is not null then
    select coalesce(jsonb_agg(channel order by channel), '[]') into v_paused from public.notification_channels
    where paused_until > clock_timestamp() and coalesce(paused_since, updated_at) <= v_before;
  end if;
  return jsonb_build_object(
    'mayCapture', has_function_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user), 'public.capture_lead(jsonb)', 'execute'),
    'workerIsSilent', v_has_workers and case when v_unprocessed > 0 then coalesce(v_claimed, '-infinity') < clock_timestamp() - interval '1 minute'
      else v_claimed < clock_timestamp() - interval '10 minutes' end,
    'pausedChannels', v_paused, 'workerLastSeen', leadpipe.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;

revoke all on function public.health_report(jsonb) from public, anon, authenticated;

grant execute on function public.health_report(jsonb) to leadpipe_admin, leadpipe_intake, leadpipe_worker, service_role;
