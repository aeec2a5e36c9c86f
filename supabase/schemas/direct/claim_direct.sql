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
