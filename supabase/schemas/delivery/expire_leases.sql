-- Reclaims deliveries whose worker stopped while sending. Their outcome is unknown. An attempt is used up, so that a
-- delivery that crashes its worker is not sent forever. The deliveries are sent again until `p_horizon` has passed.
-- With `p_parks`, those of channels other than email are parked instead: a repeated email is recognised by its
-- Message-ID, but a repeated message of another channel is not. A receipt is never sent again. Rows that another session has locked are left for a
-- later call. Returns when the next lease of a delivery that is being sent expires.
create or replace function leadpipe.expire_leases(p_parks boolean, p_horizon interval, p_now timestamptz) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_earliest timestamptz;
  v_events uuid[];
begin
  select min(d.lease_until) into v_earliest from public.notification_logs d
  where d.is_held and d.status = 'sending';
  if v_earliest <= p_now then
    with mine as materialized (
      select e.id, e.created_at from public.lead_events e
      where e.id in (select d.lead_event_id from public.notification_logs d
                     where d.is_held and d.status = 'sending' and d.lease_until <= p_now)
      order by e.id for no key update skip locked
    ), free as materialized (
      select unnest(leadpipe.hold_conversations(array(
        select o.conversation_id from mine join public.notification_logs o on o.lead_event_id = mine.id))) as id
    ), held as materialized (
      select o.id, o.channel, o.to_visitor, o.paused_before, o.retried_at, o.leased_by, mine.created_at
      from mine join public.notification_logs o on o.lead_event_id = mine.id
      where o.status = 'sending' and o.lease_until <= p_now
        and (o.conversation_id is null or o.conversation_id in (select id from free))
      order by o.id for no key update of o skip locked
    ), lapsed as (
      update public.notification_logs d set
        status = 'failed', outcome_class = 'unknown', retry_count = d.retry_count + 1,
        -- 3 seconds, because a live worker that could not record the outcome tries that again every second.
        next_attempt_at = case when not fate.parked and not fate.over then p_now + interval '3 seconds' end,
        lease_until = null, leased_by = null,
        error_message = case
          when o.to_visitor then 'It is unknown whether this receipt arrived; it is not sent again.'
          when fate.parked then 'It is unknown whether this arrived; it is parked: `leadpipe delivery retry ' || d.id || '` sends it again'
          when fate.over then 'The worker stopped while sending. It is unknown whether this arrived. The time limit for attempts has passed.'
          else 'The worker stopped while sending. It is unknown whether this arrived. It will be sent again.' end
      from held o cross join lateral (
        select p_parks and o.channel <> 'email' or o.to_visitor as parked, p_now > coalesce(o.retried_at, o.created_at) + p_horizon
          + make_interval(secs => greatest(leadpipe.paused_seconds(o.channel, p_now) - o.paused_before, 0)) as over
      ) fate
      where d.id = o.id and d.status = 'sending' and d.lease_until <= p_now
      returning d.id, d.fence, d.retry_count, d.begun_at, o.leased_by, d.lead_event_id, d.conversation_id, d.channel, d.to_visitor, d.next_attempt_at,
        d.error_message
    ), attempted as (
      insert into public.notification_attempts as a (delivery, fence, attempt, started_at, finished_at, class, worker)
      select id, fence, retry_count, coalesce(begun_at, p_now), p_now, 'unknown', leased_by from lapsed
      -- An earlier version wrote the row when the attempt began.
      on conflict (delivery, fence) do update set finished_at = excluded.finished_at, class = excluded.class
      where a.finished_at is null
    ), evented as (
      insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
      select 'notification.failed', conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown'),
        true, p_now, p_now
      from lapsed where next_attempt_at is null
    ), logged as (
      insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
      select conversation_id, 'notification_sent',
        case when to_visitor then 'Receipt may not have been sent' when p_parks and channel <> 'email' then 'Notification parked: ' else 'Notification failed via ' end || channel,
        error_message, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown')
      from lapsed where next_attempt_at is null and conversation_id is not null
    )
    select array_agg(distinct lead_event_id) into v_events from lapsed;
    if v_events is not null then
      perform leadpipe.settle_events(v_events);
    end if;
  end if;
  return case when v_earliest > p_now then v_earliest end;
end
$$;
revoke all on function leadpipe.expire_leases(boolean, interval, timestamptz) from public, anon, authenticated;
