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
  v_split record;
begin
  if to_regclass('public.notification_logs') is null then
    return leadpipe.record_direct(p);
  elsif exists (select from leadpipe.direct_deliveries d where d.id = any (v_ids)) then
    v_split := leadpipe.split_direct(p -> 'outcomes');
    return leadpipe.join_replies(leadpipe.record_direct(p || jsonb_build_object('outcomes', v_split.direct)),
      case when v_split.others <> '[]' then public.record_outcomes(p || jsonb_build_object('outcomes', v_split.others)) end);
  end if;
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
