-- Returns all data about a delivery or an event. `kind` is delivery, event or none.
create or replace function public.show_delivery(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_reply jsonb;
begin
  select jsonb_build_object(
    'kind', 'delivery', 'now', leadpipe.iso8601(v_now),
    'delivery', leadpipe.delivery_document(to_jsonb(d)),
    'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', leadpipe.iso8601(e.created_at), 'processed', e.processed),
    'channel', (
      select jsonb_build_object('pausedUntil', leadpipe.iso8601(n.paused_until), 'isPaused', coalesce(n.paused_until > v_now, false),
        'class', n.pause_class, 'reason', n.pause_reason, 'failStreak', n.fail_streak, 'probe', n.probe)
      from public.notification_channels n where n.channel = d.channel),
    'attempts', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'attempt', a.attempt, 'fence', a.fence, 'startedAt', leadpipe.iso8601(a.started_at), 'finishedAt', leadpipe.iso8601(a.finished_at),
        'class', a.class, 'statusCode', a.status_code, 'providerCode', a.provider_code, 'retryAfterSeconds', a.retry_after_seconds,
        'excerpt', a.excerpt, 'worker', a.worker) order by a.fence), '[]')
      from (
        select * from public.notification_attempts ended where ended.delivery = d.id
        union all
        -- The attempt in progress has no row yet.
        select d.id, d.fence, d.retry_count + 1, d.begun_at, null, null, null, null, null, null, d.leased_by
        where d.status = 'sending' and not exists (
          select from public.notification_attempts begun where begun.delivery = d.id and begun.fence = d.fence)) a),
    'replays', (
      select coalesce(jsonb_agg(r.id order by r.created_at), '[]') from public.notification_logs r
      where r.lead_event_id = d.lead_event_id and r.replay_of = d.id),
    'workerLastSeen', (select leadpipe.iso8601(max(last_seen)) from public.workers))
  into v_reply
  from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
  where d.id = (p ->> 'id')::uuid;

  if v_reply is null then
    select jsonb_build_object(
      'kind', 'event', 'now', leadpipe.iso8601(v_now),
      'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', leadpipe.iso8601(e.created_at), 'processed', e.processed,
        'plannedAt', leadpipe.iso8601(e.planned_at), 'notifies', leadpipe.event_notifies(e.event_type, e.payload)),
      'deliveries', (select coalesce(jsonb_agg(d.id order by d.created_at, d.id), '[]')
                     from public.notification_logs d where d.lead_event_id = e.id),
      'workerLastSeen', (select leadpipe.iso8601(max(last_seen)) from public.workers))
    into v_reply
    from public.lead_events e where e.id = (p ->> 'id')::uuid;
  end if;
  return coalesce(v_reply, jsonb_build_object('kind', 'none'));
end
$$;
revoke all on function public.show_delivery(jsonb) from public, anon, authenticated;
grant execute on function public.show_delivery(jsonb) to leadpipe_admin, service_role;
